//! Short classifying words: tasks, languages and licences.

use std::str::FromStr;

use crate::parsed::parsed_string;

/// Why a classifying word was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Not a task word.
    #[error(
        "`{0}` is not a task: a task has 1 to 48 lower-case letters, digits and single dashes, as in `sentiment`"
    )]
    Task(String),
    /// Not a language tag.
    #[error("`{0}` is not a language: use a BCP 47 tag, as in `en` or `pt-BR`")]
    Language(String),
    /// Not a licence identifier.
    #[error("`{0}` is not a licence: use an SPDX identifier or expression, as in `Apache-2.0`")]
    License(String),
}

/// What an adapter is for: `sentiment`, `movie-reviews`, `named-entities`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(String);

impl FromStr for TaskId {
    type Err = LabelError;
    fn from_str(text: &str) -> Result<Self, LabelError> {
        let ok = (1..=48).contains(&text.len())
            && text.split('-').all(|part| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            });
        if ok { Ok(Self(text.to_owned())) } else { Err(LabelError::Task(text.to_owned())) }
    }
}

/// A language as a BCP 47 tag.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Language(String);

impl FromStr for Language {
    type Err = LabelError;
    fn from_str(text: &str) -> Result<Self, LabelError> {
        let mut parts = text.split('-');
        let primary = parts.next().unwrap_or_default();
        let ok = (2..=3).contains(&primary.len())
            && primary.bytes().all(|b| b.is_ascii_lowercase())
            && parts.all(|p| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()));
        if ok { Ok(Self(text.to_owned())) } else { Err(LabelError::Language(text.to_owned())) }
    }
}

/// A licence as an SPDX identifier or expression.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct License(String);

impl FromStr for License {
    type Err = LabelError;
    fn from_str(text: &str) -> Result<Self, LabelError> {
        let allowed =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'+' | b' ' | b'(' | b')');
        let ok = (1..=128).contains(&text.len())
            && text.bytes().all(allowed)
            && text.bytes().any(|b| b.is_ascii_alphanumeric())
            && text.trim() == text;
        if ok { Ok(Self(text.to_owned())) } else { Err(LabelError::License(text.to_owned())) }
    }
}

parsed_string!(
    TaskId,
    LabelError,
    description = "What an adapter is for, one lower-case word or words with dashes",
    example = "sentiment"
);
parsed_string!(Language, LabelError, description = "BCP 47 language tag", example = "en");
parsed_string!(
    License,
    LabelError,
    description = "SPDX licence identifier or expression",
    example = "Apache-2.0"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_words_parse() {
        assert!("movie-reviews".parse::<TaskId>().is_ok());
        assert!("pt-BR".parse::<Language>().is_ok());
        assert!("MIT OR Apache-2.0".parse::<License>().is_ok());
    }

    #[test]
    fn malformed_words_are_refused() {
        for text in ["", "Sentiment", "a--b", "a b"] {
            assert!(text.parse::<TaskId>().is_err(), "{text}");
        }
        for text in ["", "english", "EN", "en-"] {
            assert!(text.parse::<Language>().is_err(), "{text}");
        }
        for text in ["", " MIT", "<b>"] {
            assert!(text.parse::<License>().is_err(), "{text}");
        }
    }
}
