//! Regular expressions over module paths, as Python's `re` reads them: with look-around and references back where
//! somebody wrote them.

use std::cell::Cell;

use crate::checkpoint::{CheckpointError, fields::Fields};

/// Compiled size, in bytes.
const MAX_SIZE: usize = 1 << 20;
/// Steps back in one match. Paths have a hundred characters at most; what needs more is written to take for ever.
const MAX_STEPS: usize = 10_000;

/// A pattern that is matched in bounded time.
#[derive(Debug)]
pub(super) struct PathRegex {
    regex: Kind,
    gave_up: Cell<bool>,
}

#[derive(Debug)]
enum Kind {
    /// In time that grows with the path alone.
    Linear(regex::Regex),
    /// With look-around or references back, by trying.
    Trying(Box<fancy_regex::Regex>),
}

impl PathRegex {
    /// Reads the value of `field`, or a key in it.
    pub(super) fn new(fields: &Fields, field: &str, text: &str) -> Result<Self, CheckpointError> {
        let linear = regex::RegexBuilder::new(text).size_limit(MAX_SIZE).build();
        let regex = match linear {
            Ok(regex) => Kind::Linear(regex),
            Err(reason) => {
                let mut builder = fancy_regex::RegexBuilder::new(text);
                let built = builder.backtrack_limit(MAX_STEPS).delegate_size_limit(MAX_SIZE).build();
                let wrong = |_| {
                    fields.wrong(
                        field,
                        format!("holds no regular expression that this version reads: {reason}"),
                    )
                };
                Kind::Trying(Box::new(built.map_err(wrong)?))
            }
        };
        Ok(Self { regex, gave_up: Cell::new(false) })
    }

    /// Whether the pattern is somewhere in `path`. What takes too long matches nothing, and is noted.
    pub(super) fn is_match(&self, path: &str) -> bool {
        match &self.regex {
            Kind::Linear(regex) => regex.is_match(path),
            Kind::Trying(regex) => regex.is_match(path).unwrap_or_else(|_| {
                self.gave_up.set(true);
                false
            }),
        }
    }

    /// Refuses a pattern that took too long on some path.
    pub(super) fn check(&self, fields: &Fields, field: &str) -> Result<(), CheckpointError> {
        if !self.gave_up.get() {
            return Ok(());
        }
        let reason =
            format!("holds a regular expression that takes more than {MAX_STEPS} steps on one module's path");
        Err(fields.wrong(field, reason))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Map;

    use super::*;

    fn read(text: &str) -> Result<PathRegex, CheckpointError> {
        PathRegex::new(&Fields::new(Path::new("adapter_config.json"), Map::new()), "target_modules", text)
    }

    #[test]
    fn look_around_and_references_mean_what_they_mean_in_python() {
        let regex = read(r"^(?:(?!.*\.0\.).*(?<=attn)\.(q|v)_proj)$").expect("reads");
        let paths =
            ["layers.1.attn.q_proj", "layers.0.attn.q_proj", "layers.1.mlp.q_proj", "layers.1.attn.k_proj"];
        assert_eq!(paths.map(|path| regex.is_match(path)), [true, false, false, false]);
        let twice = read(r"^(?P<n>\d)\.(?P=n)$").expect("reads");
        assert_eq!(["1.1", "1.2"].map(|path| twice.is_match(path)), [true, false]);
    }

    #[test]
    fn a_pattern_that_takes_for_ever_is_refused() {
        let regex = read(r"^(?:(a+)+\1)+b$").expect("reads");
        regex.is_match(&"a".repeat(90));
        let fields = Fields::new(Path::new("adapter_config.json"), Map::new());
        let error = regex.check(&fields, "target_modules").expect_err("gives up").to_string();
        assert!(error.contains("10000 steps"), "{error}");
    }

    #[test]
    fn what_is_no_pattern_is_refused_by_field() {
        for text in ["(", "(?<=", "a{1000000}{1000000}"] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains("target_modules"), "{error}");
        }
    }
}
