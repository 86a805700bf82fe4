//! Passwords: which are taken, and how they are kept.
//!
//! Argon2id (RFC 9106) with 19 MiB of memory, two passes and one lane, the first of the
//! equivalent settings of OWASP's "Password Storage Cheat Sheet" (2024). What is checked is
//! their length, as NIST SP 800-63B-4 asks for, and not which characters they have.

use std::sync::OnceLock;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher as _, PasswordVerifier as _},
};
use hub_schemas::{
    api::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS},
    name::Namespace,
};
use rand::CryptoRng;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
/// A password with fewer different characters is a pattern.
const MIN_DIFFERENT: usize = 5;

/// Why a password is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Guessed too soon.
    #[error("the password has {0} characters; a password has at least {MIN_PASSWORD_CHARS}")]
    Short(usize),
    /// Longer than what is read.
    #[error("the password has {0} bytes; a password has at most {MAX_PASSWORD_BYTES}")]
    Long(usize),
    /// Typed by accident.
    #[error("the password has a character that can't be typed")]
    Control,
    /// `aaaaaaaaaaaaaaa`, or a name.
    #[error(
        "the password is too easily guessed: it repeats few characters, or is little more than the user's name"
    )]
    Guessable,
    /// The library refuses, for want of memory say.
    #[error("the password can't be hashed: {0}")]
    Hash(password_hash::Error),
}

/// Checks a new password of `user`.
pub fn check(password: &str, user: &Namespace) -> Result<(), PasswordError> {
    let chars = password.chars().count();
    if chars < MIN_PASSWORD_CHARS {
        return Err(PasswordError::Short(chars));
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::Long(password.len()));
    }
    if password.chars().any(char::is_control) {
        return Err(PasswordError::Control);
    }
    let mut different: Vec<char> = password.chars().collect();
    different.sort_unstable();
    different.dedup();
    let rest = password.to_lowercase().replace(user.as_str(), "");
    if different.len() < MIN_DIFFERENT || rest.chars().count() < MIN_DIFFERENT {
        return Err(PasswordError::Guessable);
    }
    Ok(())
}

/// What is stored of a password: a PHC string with parameters and a new salt.
pub fn hash(password: &str, rng: &mut impl CryptoRng) -> Result<String, PasswordError> {
    let mut salt = [0; SALT_BYTES];
    rng.fill_bytes(&mut salt);
    let hashed = argon2().and_then(|a| a.hash_password_with_salt(password.as_bytes(), &salt));
    hashed.map(|hash| hash.to_string()).map_err(PasswordError::Hash)
}

/// Whether `password` is the one that was `stored`. Without one the answer is no, after the same
/// work, so that the time does not tell who has an account.
pub fn verify(password: &str, stored: Option<&str>) -> Result<bool, PasswordError> {
    static NOBODY: OnceLock<String> = OnceLock::new();
    let nobody = if let Some(nobody) = NOBODY.get() {
        nobody
    } else {
        let made = hash("nobody has this password", &mut rand::rng())?;
        NOBODY.get_or_init(|| made)
    };
    let long = password.len() > MAX_PASSWORD_BYTES;
    let text = if long { "" } else { password };
    let against = stored.unwrap_or(nobody);
    match argon2().and_then(|a| a.verify_password(text.as_bytes(), against)) {
        Ok(()) => Ok(stored.is_some() && !long),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(PasswordError::Hash(error)),
    }
}

fn argon2() -> Result<Argon2<'static>, password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Namespace {
        "ada".parse().expect("a name")
    }

    #[test]
    fn a_password_is_kept_as_argon2id_with_a_salt_of_its_own() {
        let password = "correct horse battery";
        let (one, two) = (hash(password, &mut rand::rng()), hash(password, &mut rand::rng()));
        let (one, two) = (one.expect("a hash"), two.expect("a hash"));
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && one != two, "{one} {two}");
        assert_eq!(verify(password, Some(&one)), Ok(true));
        assert_eq!(verify("correct horse batterz", Some(&one)), Ok(false));
        assert_eq!(verify("", Some(&one)), Ok(false));
    }

    #[test]
    fn whoever_has_no_password_has_every_password_wrong() {
        for password in ["nobody has this password", "", &"x".repeat(1000)] {
            assert_eq!(verify(password, None), Ok(false), "{password}");
        }
        assert!(verify("x", Some("no hash")).is_err());
    }

    #[test]
    fn short_and_guessable_passwords_are_refused() {
        assert_eq!(check("correct horse battery", &ada()), Ok(()));
        assert_eq!(check("gr\u{fc}\u{df}e aus dem wald", &ada()), Ok(()));
        assert_eq!(check("short", &ada()), Err(PasswordError::Short(5)));
        assert_eq!(check(&"ab".repeat(200), &ada()), Err(PasswordError::Long(400)));
        assert_eq!(check("with a\nline in it", &ada()), Err(PasswordError::Control));
        assert_eq!(check("aaaaaaaaaaaaaaaa", &ada()), Err(PasswordError::Guessable));
        assert_eq!(check("adaAdaADAada ada1", &ada()), Err(PasswordError::Guessable));
    }
}
