//! Token secrets: how they are made, recognised and stored.
//!
//! `hubt_`, 32 random base-62 characters (190 bits), and 6 characters of checksum,
//! so that scanners of public repositories tell a real secret from a lookalike.
//! A secret of 190 random bits can't be guessed from its hash, so one SHA-256
//! without salt is enough; slow password hashes protect what people choose.

use std::fmt;

use hub_schemas::token::TOKEN_PREFIX;
use rand::{CryptoRng, distr::SampleString as _};
use sha2::{Digest as _, Sha256};

const RANDOM_LEN: usize = 32;
const CHECKSUM_LEN: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The secret half of a token. Printed once, then only its hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(String);

impl TokenSecret {
    /// A new secret.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let random = rand::distr::Alphanumeric.sample_string(rng, RANDOM_LEN);
        Self(format!("{TOKEN_PREFIX}{random}{}", checksum(&random)))
    }

    /// Recognises a secret; `None` for what can't be one.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(TOKEN_PREFIX)?;
        let (random, sum) = body.split_at_checked(RANDOM_LEN)?;
        let ok = random.bytes().all(|b| b.is_ascii_alphanumeric()) && sum == checksum(random);
        ok.then(|| Self(text.to_owned()))
    }

    /// The secret itself, to print it once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the database keeps.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.0.as_bytes()))
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(****)")
    }
}

fn checksum(random: &str) -> String {
    let digest = Sha256::digest(random.as_bytes());
    let mut number = digest.iter().take(8).fold(0_u64, |n, &b| n << 8 | u64::from(b));
    let mut text = String::with_capacity(CHECKSUM_LEN);
    for _ in 0..CHECKSUM_LEN {
        text.push(char::from(ALPHABET[(number % 62) as usize]));
        number /= 62;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_recognised_and_never_shown_by_debug() {
        let secret = TokenSecret::generate(&mut rand::rng());
        assert_eq!(secret.expose().len(), TOKEN_PREFIX.len() + RANDOM_LEN + CHECKSUM_LEN);
        assert_eq!(TokenSecret::parse(secret.expose()), Some(secret.clone()));
        assert_eq!(format!("{secret:?}"), "TokenSecret(****)");
    }

    #[test]
    fn lookalikes_are_not_secrets() {
        let secret = TokenSecret::generate(&mut rand::rng());
        let mut typo = secret.expose().to_owned();
        let last = if typo.ends_with('a') { 'b' } else { 'a' };
        typo.pop();
        typo.push(last);
        let unprefixed = secret.expose().trim_start_matches(TOKEN_PREFIX);
        for text in ["", "hubt_", "hubt_ü", typo.as_str(), unprefixed] {
            assert_eq!(TokenSecret::parse(text), None, "{text}");
        }
    }
}
