//! Versions and version requirements: semantic versioning without build metadata.

use std::{fmt, str::FromStr};

use crate::parsed::text_serde;

/// Why a version or a requirement was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not a semantic version.
    #[error("`{text}` is not a version: {reason}; a version looks like `1.2.0`")]
    Syntax {
        /// The text as given.
        text: String,
        /// What the parser says.
        reason: String,
    },
    /// Two versions that differ only there would be the same version.
    #[error("`{0}` has build metadata (`+…`), which can't tell two versions apart; leave it out")]
    BuildMetadata(String),
    /// Not a requirement.
    #[error("`{text}` is not a version requirement: {reason}; a requirement looks like `^1.2` or `=1.2.0`")]
    Requirement {
        /// The text as given.
        text: String,
        /// What the parser says.
        reason: String,
    },
}

/// The version of a published adapter. Ordered as semver orders.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(semver::Version);

impl Version {
    /// `major.minor.patch`.
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// Has a pre-release part, such as `-rc.1`.
    pub fn is_prerelease(&self) -> bool {
        !self.0.pre.is_empty()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl FromStr for Version {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let version = semver::Version::parse(text)
            .map_err(|e| VersionError::Syntax { text: text.to_owned(), reason: e.to_string() })?;
        if version.build.is_empty() {
            Ok(Self(version))
        } else {
            Err(VersionError::BuildMetadata(text.to_owned()))
        }
    }
}

/// Which versions are acceptable: cargo's syntax (`^1.2`, `=1.2.0`, `>=1, <3`, `*`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionReq(semver::VersionReq);

impl VersionReq {
    /// Whether `version` satisfies this requirement.
    pub fn matches(&self, version: &Version) -> bool {
        self.0.matches(&version.0)
    }

    /// The newest of `versions` that satisfies this requirement.
    pub fn newest<'a>(&self, versions: impl IntoIterator<Item = &'a Version>) -> Option<&'a Version> {
        versions.into_iter().filter(|v| self.matches(v)).max()
    }
}

impl fmt::Display for VersionReq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl FromStr for VersionReq {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        // A full version names exactly itself: `@1.2.0` means 1.2.0, not "1.2.0 or newer".
        if let Ok(exact) = text.parse::<Version>() {
            let comparator = semver::Comparator {
                op: semver::Op::Exact,
                major: exact.0.major,
                minor: Some(exact.0.minor),
                patch: Some(exact.0.patch),
                pre: exact.0.pre,
            };
            return Ok(Self(semver::VersionReq { comparators: vec![comparator] }));
        }
        semver::VersionReq::parse(text)
            .map(Self)
            .map_err(|e| VersionError::Requirement { text: text.to_owned(), reason: e.to_string() })
    }
}

/// What semver.org suggests, without build metadata and with numbers that fit 64 bits.
const VERSION_PATTERN: &str = "^(0|[1-9][0-9]{0,18})\\.(0|[1-9][0-9]{0,18})\\.(0|[1-9][0-9]{0,18})\
     (-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?$";

text_serde!(
    Version,
    description = "Semantic version without build metadata",
    example = "1.2.0",
    pattern = VERSION_PATTERN
);
text_serde!(
    VersionReq,
    description = "Version requirement in cargo's syntax; a full version means exactly that one",
    example = "^1.2"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> Version {
        text.parse().expect(text)
    }

    #[test]
    fn a_full_version_means_exactly_that_one() {
        let req: VersionReq = "1.2.0".parse().expect("a requirement");
        assert!(req.matches(&v("1.2.0")) && !req.matches(&v("1.2.1")));
        assert_eq!(req.to_string(), "=1.2.0");
    }

    #[test]
    fn the_newest_match_is_chosen_and_prereleases_need_asking() {
        let all = ["1.2.0", "1.10.0", "2.0.0", "1.11.0-rc.1"].map(v);
        let newest = |req: &str| req.parse::<VersionReq>().expect(req).newest(&all).map(ToString::to_string);
        assert_eq!(newest("^1.2").as_deref(), Some("1.10.0"));
        assert_eq!(newest("*").as_deref(), Some("2.0.0"));
        assert_eq!(newest("^3"), None);
    }

    #[test]
    fn build_metadata_is_refused() {
        assert_eq!("1.0.0+a".parse::<Version>(), Err(VersionError::BuildMetadata("1.0.0+a".into())));
    }
}
