//! Which identity tokens publish an adapter.
//!
//! A trusted publisher states what claims must be. `sub` is always among them, because it names
//! who the token is about; where it ends with a star, what stands before must name more than
//! the kind of subject (`repo:ukp/*`, not `repo:*`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Most claims that a publisher states.
const MAX_CLAIMS: usize = 12;
/// Longest name of a claim, and longest value, in bytes.
const MAX_NAME: usize = 64;
const MAX_VALUE: usize = 256;
/// The claim that names whom a token is about (RFC 7519, section 4.1.2).
const SUBJECT: &str = "sub";
/// Claims that are checked of every token.
const CHECKED: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

/// Why a publisher is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublisherError {
    /// Anybody's tokens would do.
    #[error("`claims` has no `{SUBJECT}`, which says whose tokens are meant")]
    NoSubject,
    /// Too many people's tokens would do.
    #[error("the subject `{0}` says too little before its star; write it out, or as in `repo:owner/*`")]
    WideSubject(String),
    /// More than anybody reads.
    #[error("`claims` has {0} claims; a publisher has at most {MAX_CLAIMS}")]
    TooMany(usize),
    /// A name that is none, or a value.
    #[error("`{0}` is not a claim with a value of 1 to {MAX_VALUE} bytes and a star at most at its end")]
    Form(String),
    /// It says nothing about who publishes.
    #[error("the claim `{0}` is checked of every token")]
    Checked(String),
}

/// What a trusted publisher says about a claim that a token has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The claim.
    pub claim: String,
    /// What it must be.
    pub wanted: String,
    /// What it is; nothing where the token has it not, or not as a text, number or truth value.
    pub found: Option<String>,
}

/// Checks what a new publisher states.
pub fn check(claims: &BTreeMap<String, String>) -> Result<(), PublisherError> {
    if claims.len() > MAX_CLAIMS {
        return Err(PublisherError::TooMany(claims.len()));
    }
    for (name, value) in claims {
        let fixed = value.strip_suffix('*').unwrap_or(value);
        let well_formed = (1..=MAX_NAME).contains(&name.len())
            && (1..=MAX_VALUE).contains(&value.len())
            && !fixed.contains('*')
            && !name.chars().chain(value.chars()).any(char::is_control);
        if !well_formed {
            return Err(PublisherError::Form(name.chars().take(MAX_NAME).collect()));
        }
        if CHECKED.contains(&name.as_str()) {
            return Err(PublisherError::Checked(name.clone()));
        }
    }
    let subject = claims.get(SUBJECT).ok_or(PublisherError::NoSubject)?;
    match subject.strip_suffix('*') {
        Some(fixed) if !names_somebody(fixed) => Err(PublisherError::WideSubject(subject.clone())),
        _ => Ok(()),
    }
}

/// Whether a beginning has the kind of subject and a whole name behind it.
fn names_somebody(fixed: &str) -> bool {
    let separators = |c: char| matches!(c, ':' | '/' | '@' | '|');
    fixed.ends_with(separators) && fixed.split(separators).filter(|part| !part.is_empty()).count() >= 2
}

/// The first claim that is not as it must be, `sub` before all others.
pub fn compare(wanted: &BTreeMap<String, String>, token: &Map<String, Value>) -> Option<Mismatch> {
    let subject = wanted.get_key_value(SUBJECT);
    let others = wanted.iter().filter(|(name, _)| *name != SUBJECT);
    subject.into_iter().chain(others).find_map(|(name, pattern)| {
        let found = token.get(name).and_then(text);
        let fits = found.as_deref().is_some_and(|found| match pattern.strip_suffix('*') {
            Some(start) => found.starts_with(start),
            None => found == pattern,
        });
        (!fits).then(|| Mismatch { claim: name.clone(), wanted: pattern.clone(), found })
    })
}

impl Mismatch {
    /// Whether the token is about somebody else altogether.
    pub fn is_of_the_subject(&self) -> bool {
        self.claim == SUBJECT
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.found {
            Some(found) => write!(f, "`{}` is `{found}` instead of `{}`", self.claim, self.wanted),
            None => write!(f, "the token has no `{}`, which must be `{}`", self.claim, self.wanted),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_publisher_says_whose_tokens_are_meant() {
        let subject = "repo:ukp/adapters:ref:refs/heads/main";
        for good in [subject, "repo:ukp/*", "repo:ukp/adapters:*", "project_path:ukp/adapters:*", "a-job"] {
            assert_eq!(check(&claims(&[("sub", good)])), Ok(()), "{good}");
        }
        for wide in ["*", "repo:*", "repo:ukp*", "r*", "://*"] {
            assert_eq!(check(&claims(&[("sub", wide)])), Err(PublisherError::WideSubject(wide.to_owned())));
        }
        assert_eq!(check(&claims(&[("ref", "main")])), Err(PublisherError::NoSubject));
        assert_eq!(
            check(&claims(&[("sub", subject), ("aud", "x")])),
            Err(PublisherError::Checked("aud".to_owned()))
        );
        for (name, value) in [("", "x"), ("ref", ""), ("ref", "a*b"), ("ref", "a\nb")] {
            assert!(check(&claims(&[("sub", subject), (name, value)])).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn the_first_claim_that_differs_is_told_and_the_subject_comes_first() {
        let wanted =
            claims(&[("ref", "refs/heads/main"), ("sub", "repo:ukp/*"), ("run", "7"), ("env", "p*")]);
        let token = |sub: &str, reference: &str| {
            let token = json!({"sub": sub, "ref": reference, "run": 7, "env": "prod", "other": ["x"]});
            token.as_object().cloned().unwrap_or_default()
        };
        let told = |token: &Map<String, Value>| compare(&wanted, token).map(|m| m.to_string());
        assert_eq!(told(&token("repo:ukp/a", "refs/heads/main")), None);
        assert_eq!(
            told(&token("repo:eve/a", "refs/heads/dev")).as_deref(),
            Some("`sub` is `repo:eve/a` instead of `repo:ukp/*`")
        );
        assert_eq!(
            told(&token("repo:ukp/a", "refs/heads/dev")).as_deref(),
            Some("`ref` is `refs/heads/dev` instead of `refs/heads/main`")
        );
        let lists = claims(&[("sub", "repo:ukp/a"), ("other", "x")]);
        let mismatch = compare(&lists, &token("repo:ukp/a", "main")).expect("a list is no text");
        assert_eq!(mismatch.to_string(), "the token has no `other`, which must be `x`");
    }
}
