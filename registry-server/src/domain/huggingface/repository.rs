//! Repositories and commits, as a Hugging Face hub names them.

use std::{fmt, str::FromStr};

use hub_schemas::{
    name::{AdapterId, AdapterName, Namespace},
    version::Version,
};
use time::{OffsetDateTime, UtcOffset};

/// Longest part of a repository's name: what `huggingface_hub` takes.
const MAX_PART: usize = 96;
/// Hexadecimal digits of a commit.
const COMMIT_DIGITS: usize = 40;

/// Why a text names nothing on a Hugging Face hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryError {
    /// Not a repository: a path on somebody's disk, say.
    #[error("`{0}` is no repository's name")]
    Repository(String),
    /// Not a commit.
    #[error("`{0}` is no commit")]
    Commit(String),
}

fn shortened(text: &str) -> String {
    text.chars().take(120).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `namespace/name`, or the name alone of one that is older than namespaces (`bert-base-uncased`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryId(String);

impl RepositoryId {
    /// Its namespace and its name, or its name alone.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// What an adapter from this repository is called: in lower case, with dashes for dots and for several
    /// separators in a row. `None` where that is no name either, or where it has no namespace.
    pub fn adapter_name(&self) -> Option<AdapterId> {
        let (namespace, name) = self.0.split_once('/')?;
        Some(AdapterId {
            namespace: plain(namespace).parse::<Namespace>().ok()?,
            name: plain(name).parse::<AdapterName>().ok()?,
        })
    }
}

fn plain(part: &str) -> String {
    let mut found = String::with_capacity(part.len());
    for c in part.chars() {
        let c = if c == '.' { '-' } else { c.to_ascii_lowercase() };
        let is_separator = |c: char| matches!(c, '-' | '_');
        if !(is_separator(c) && (found.is_empty() || found.ends_with(is_separator))) {
            found.push(c);
        }
    }
    found.truncate(found.trim_end_matches(['-', '_']).len());
    found
}

impl FromStr for RepositoryId {
    type Err = RepositoryError;
    fn from_str(text: &str) -> Result<Self, RepositoryError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let is_good = |part: &str| {
            (1..=MAX_PART).contains(&part.len())
                && part.bytes().all(allowed)
                && !part.contains("--")
                && !part.contains("..")
                && !part.starts_with(['-', '.'])
                && !part.ends_with(['-', '.'])
        };
        let is_named = text.split('/').count() <= 2 && text.split('/').all(is_good);
        if is_named { Ok(Self(text.to_owned())) } else { Err(RepositoryError::Repository(shortened(text))) }
    }
}

impl From<&AdapterId> for RepositoryId {
    fn from(id: &AdapterId) -> Self {
        Self(id.to_string())
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One state of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Commit(String);

impl Commit {
    /// Its hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Commit {
    type Err = RepositoryError;
    fn from_str(text: &str) -> Result<Self, RepositoryError> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == COMMIT_DIGITS && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RepositoryError::Commit(shortened(text)))
        }
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The number of a commit: year, month and day, hour, minute and second of its date in UTC, without leading
/// zeros. It depends on nothing else, so two registries give a commit the same one.
pub fn version_of(date: OffsetDateTime) -> Version {
    let date = date.to_offset(UtcOffset::UTC);
    let (year, month, day) = date.to_calendar_date();
    let (hour, minute, second) = date.to_hms();
    let year = u64::try_from(year).unwrap_or_default();
    let day = u64::from(u8::from(month)) * 100 + u64::from(day);
    let time = (u64::from(hour) * 100 + u64::from(minute)) * 100 + u64::from(second);
    Version::new(year, day, time)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn later_commits_have_higher_numbers_whatever_clock_they_were_dated_by() {
        let dates = [
            datetime!(2024-12-31 23:59:59 UTC),
            datetime!(2025-01-01 00:00:00 UTC),
            datetime!(2025-01-01 00:00:07 UTC),
            datetime!(2025-01-01 12:30:00 +02:00),
            datetime!(2025-11-02 09:08:07 UTC),
        ];
        let versions = dates.map(version_of);
        assert!(versions.is_sorted(), "{versions:?}");
        let shown = versions.map(|version| version.to_string());
        assert_eq!(
            shown,
            ["2024.1231.235959", "2025.101.0", "2025.101.7", "2025.101.103000", "2025.1102.90807"]
        );
        assert!(shown.iter().all(|text| text.parse::<Version>().is_ok()));
    }

    #[test]
    fn a_repository_is_called_in_the_alphabet_of_adapters() {
        let name = |text: &str| {
            let id = text.parse::<RepositoryId>().expect(text).adapter_name();
            id.map_or_else(String::new, |id| id.to_string())
        };
        assert_eq!(name("AdapterHub/bert-base-uncased-pf-imdb"), "adapterhub/bert-base-uncased-pf-imdb");
        assert_eq!(name("some_lab/Llama-3.1_-LoRA"), "some_lab/llama-3-1_lora");
        assert_eq!(name("some-lab/_x_"), "some-lab/x");
        assert_eq!(name("bert-base-uncased"), "");
    }

    #[test]
    fn paths_are_no_repositories() {
        for text in
            ["", "/home/ada/bert", "./bert", "../x/y", "a/b/c", "a//b", "a/b?x", "a/-b", "ä/b", "a\\b"]
        {
            assert!(text.parse::<RepositoryId>().is_err(), "{text}");
        }
        assert!("main".parse::<Commit>().is_err() && "A".repeat(40).parse::<Commit>().is_err());
        assert!("0a".repeat(20).parse::<Commit>().is_ok());
    }
}
