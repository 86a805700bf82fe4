//! Names of namespaces and adapters.
//!
//! The alphabet is the intersection of what the neighbours accept: OCI repository
//! names, Hugging Face repository names, folder names on every file system, and
//! Python module names (an adapter's name becomes part of tensor keys in the
//! `adapters` library, which refuses a dot).

use std::{fmt, str::FromStr};

use crate::parsed::{parsed_string, text_serde};

/// Longest namespace or adapter name, in bytes.
pub const MAX_NAME_LEN: usize = 64;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name can't be empty")]
    Empty,
    /// Longer than [`MAX_NAME_LEN`].
    #[error("`{name}` has {len} characters; a name has at most {MAX_NAME_LEN}")]
    TooLong {
        /// The name as given, shortened.
        name: String,
        /// Its length in bytes.
        len: usize,
    },
    /// A character outside the alphabet.
    #[error("`{name}` has the character {found:?}; a name has lower-case letters, digits, `-` and `_`")]
    Character {
        /// The name as given.
        name: String,
        /// The first offending character.
        found: char,
    },
    /// Starts or ends with a separator, or has two in a row.
    #[error("`{name}` has a `-` or `_` at an end, or two in a row")]
    Separator {
        /// The name as given.
        name: String,
    },
    /// An adapter id without exactly one slash.
    #[error("`{0}` is not of the form `namespace/name`")]
    NotTwoParts(String),
}

/// What [`check_name`] takes but for the length, as a regular expression of ECMA-262 (and JSON Schema).
const NAME_PATTERN: &str = "^[a-z0-9]([-_]?[a-z0-9])*$";
/// Two names with a slash between them.
const ID_PATTERN: &str = "^[a-z0-9]([-_]?[a-z0-9])*/[a-z0-9]([-_]?[a-z0-9])*$";

fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_LEN {
        return Err(NameError::TooLong { name: name.chars().take(24).collect(), len: name.len() });
    }
    let is_separator = |c: char| matches!(c, '-' | '_');
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || is_separator(c);
    if let Some(found) = name.chars().find(|&c| !allowed(c)) {
        return Err(NameError::Character { name: name.to_owned(), found });
    }
    let doubled = name.as_bytes().windows(2).any(|w| w.iter().all(|&b| is_separator(b.into())));
    if doubled || name.starts_with(is_separator) || name.ends_with(is_separator) {
        return Err(NameError::Separator { name: name.to_owned() });
    }
    Ok(())
}

/// The owner part of an adapter's name: a user or an organisation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace(String);

/// The name of an adapter inside its namespace.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AdapterName(String);

/// The name of a team inside its organisation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TeamName(String);

impl FromStr for TeamName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        check_name(text).map(|()| Self(text.to_owned()))
    }
}

impl FromStr for Namespace {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        check_name(text).map(|()| Self(text.to_owned()))
    }
}

impl FromStr for AdapterName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        check_name(text).map(|()| Self(text.to_owned()))
    }
}

parsed_string!(
    Namespace,
    NameError,
    description = "Owner of adapters: lower-case letters, digits, `-`, `_`",
    example = "ada",
    pattern = NAME_PATTERN,
    max_length = MAX_NAME_LEN
);
parsed_string!(
    AdapterName,
    NameError,
    description = "Name of an adapter: lower-case letters, digits, `-`, `_`",
    example = "sentiment",
    pattern = NAME_PATTERN,
    max_length = MAX_NAME_LEN
);
parsed_string!(
    TeamName,
    NameError,
    description = "Name of a team: lower-case letters, digits, `-`, `_`",
    example = "linguists",
    pattern = NAME_PATTERN,
    max_length = MAX_NAME_LEN
);

/// `namespace/name`: the full name of an adapter.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct AdapterId {
    /// Who owns it.
    pub namespace: Namespace,
    /// What it is called there.
    pub name: AdapterName,
}

impl fmt::Display for AdapterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.namespace, self.name))
    }
}

impl FromStr for AdapterId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split('/').collect::<Vec<_>>()[..] {
            [namespace, name] => Ok(Self { namespace: namespace.parse()?, name: name.parse()? }),
            _ => Err(NameError::NotTwoParts(text.to_owned())),
        }
    }
}

text_serde!(
    AdapterId,
    description = "Full name of an adapter, `namespace/name`",
    example = "ada/sentiment",
    pattern = ID_PATTERN
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_parse_and_print_back() {
        for text in ["ada/sentiment", "ukp-lab/sst_2", "a/0", "x1/houlsby-16"] {
            assert_eq!(text.parse::<AdapterId>().map(|id| id.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn each_wrong_name_says_what_is_wrong() {
        let message = |text: &str| text.parse::<AdapterName>().map(|_| ()).map_err(|e| e.to_string());
        insta::assert_debug_snapshot!(
            ["", "Sentiment", "a.b", "-a", "a--b", "../x", &"a".repeat(65)].map(message),
            @r#"
        [
            Err(
                "a name can't be empty",
            ),
            Err(
                "`Sentiment` has the character 'S'; a name has lower-case letters, digits, `-` and `_`",
            ),
            Err(
                "`a.b` has the character '.'; a name has lower-case letters, digits, `-` and `_`",
            ),
            Err(
                "`-a` has a `-` or `_` at an end, or two in a row",
            ),
            Err(
                "`a--b` has a `-` or `_` at an end, or two in a row",
            ),
            Err(
                "`../x` has the character '.'; a name has lower-case letters, digits, `-` and `_`",
            ),
            Err(
                "`aaaaaaaaaaaaaaaaaaaaaaaa` has 65 characters; a name has at most 64",
            ),
        ]
        "#
        );
    }

    #[test]
    fn an_id_has_exactly_one_slash() {
        assert_eq!("sentiment".parse::<AdapterId>(), Err(NameError::NotTwoParts("sentiment".into())));
        assert_eq!("a/b/c".parse::<AdapterId>(), Err(NameError::NotTwoParts("a/b/c".into())));
    }
}
