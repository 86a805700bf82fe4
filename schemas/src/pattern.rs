//! Patterns of adapter names, which limit what a token is good for.
//!
//! A star stands at the end or nowhere: `*`, `lab/*`, `lab/bert-*`, `lab/sentiment`.
//! So a pattern is a beginning, and whoever reads it knows at once what it covers.

use std::str::FromStr;

use crate::{
    name::{AdapterId, AdapterName, MAX_NAME_LEN, NameError, Namespace},
    parsed::parsed_string,
};

/// Which adapters, by their full names.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamePattern(String);

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Neither `*` nor a namespace and what is in it.
    #[error(
        "`{0}` is not a pattern of names; write `*`, `namespace/*`, `namespace/start-*` or `namespace/name`"
    )]
    Form(String),
    /// A namespace or name that can't exist.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl NamePattern {
    /// Whether it covers this adapter.
    pub fn matches(&self, id: &AdapterId) -> bool {
        let name = id.to_string();
        self.0.strip_suffix('*').map_or_else(|| name == self.0, |start| name.starts_with(start))
    }

    /// Whether it covers everything in this namespace.
    pub fn covers(&self, namespace: &Namespace) -> bool {
        self.0 == "*" || self.0.strip_suffix("/*") == Some(namespace.as_str())
    }

    /// The same for SQL's `LIKE`, with `escape` before what would be a wildcard there.
    pub fn as_like(&self, escape: char) -> String {
        let (start, end) = self.0.strip_suffix('*').map_or((self.0.as_str(), ""), |start| (start, "%"));
        start.replace('_', &format!("{escape}_")) + end
    }
}

impl FromStr for NamePattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let form = || PatternError::Form(text.chars().take(2 * MAX_NAME_LEN).collect());
        if text == "*" {
            return Ok(Self(text.to_owned()));
        }
        let (namespace, name) = text.split_once('/').ok_or_else(form)?;
        namespace.parse::<Namespace>()?;
        match name.strip_suffix('*') {
            None => drop(name.parse::<AdapterName>()?),
            Some("") => {}
            // A beginning may end where a whole name can't.
            Some(start) => drop(start.trim_end_matches(['-', '_']).parse::<AdapterName>()?),
        }
        Ok(Self(text.to_owned()))
    }
}

/// The same as a regular expression, but for the lengths of names.
const PATTERN: &str = "^(\\*|[a-z0-9]([-_]?[a-z0-9])*/(\\*|[a-z0-9]([-_]?[a-z0-9])*([-_]*\\*)?))$";

parsed_string!(
    NamePattern,
    PatternError,
    description = "Which adapters: `*`, `namespace/*`, `namespace/start-*` or `namespace/name`",
    example = "lab/bert-*",
    pattern = PATTERN
);

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, id: &str) -> bool {
        pattern.parse::<NamePattern>().expect(pattern).matches(&id.parse().expect(id))
    }

    #[test]
    fn a_pattern_is_a_whole_name_or_the_beginning_of_one() {
        for pattern in ["*", "lab/*", "lab/bert-*", "lab/bert-base"] {
            assert!(matches(pattern, "lab/bert-base"), "{pattern}");
        }
        for pattern in ["la/*", "lab/bert", "lab/bert-base-*", "lab2/*", "lab/x*"] {
            assert!(!matches(pattern, "lab/bert-base"), "{pattern}");
        }
        for wrong in ["", "lab", "lab*", "*/x", "lab/**", "lab/*x", "lab/a/b", "lab/A*", "lab/-*"] {
            assert!(wrong.parse::<NamePattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_a_whole_namespace_is_covered() {
        let covers = |pattern: &str| {
            pattern.parse::<NamePattern>().expect(pattern).covers(&"lab".parse().expect("a namespace"))
        };
        assert!(covers("*") && covers("lab/*"));
        assert!(!covers("lab/a*") && !covers("lab2/*"));
    }

    #[test]
    fn an_underscore_is_no_wildcard() {
        let like = |pattern: &str| pattern.parse::<NamePattern>().expect(pattern).as_like('!');
        assert_eq!(like("my_lab/a_*"), "my!_lab/a!_%");
        assert_eq!(like("*"), "%");
    }
}
