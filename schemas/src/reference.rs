//! What a person types to say which adapter they mean.

use std::{fmt, str::FromStr};

use crate::{
    digest::{Digest, DigestError},
    label::{LabelError, TaskId},
    name::{AdapterId, NameError},
    parsed::text_serde,
    version::{VersionError, VersionReq},
};

/// Why a reference was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The part before `@`, with a slash in it.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The part before `@`, without a slash.
    #[error("`{0}` is neither a task nor the name of an adapter: use lower-case letters, digits and dashes")]
    Word(String),
    /// The part after `@`.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A malformed `sha256:…`.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// `sentiment`, `ada/sentiment`, `ada/sentiment@^1.2`, or `sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A bare word: a task or a name, resolved to the best adapter for the base model in use.
    Word(String),
    /// A full name, with the versions that will do.
    Adapter {
        /// Which adapter.
        id: AdapterId,
        /// Which versions; `None` is the newest.
        version: Option<VersionReq>,
    },
    /// Exactly the version whose manifest has this digest.
    Digest(Digest),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.pad(word),
            Self::Adapter { id, version: None } => f.pad(&id.to_string()),
            Self::Adapter { id, version: Some(req) } => f.pad(&format!("{id}@{req}")),
            Self::Digest(digest) => f.pad(&digest.to_string()),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.starts_with("sha256:") {
            return Ok(Self::Digest(text.parse()?));
        }
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version.parse::<VersionReq>()?)),
            None => (text, None),
        };
        if name.contains('/') {
            return Ok(Self::Adapter { id: name.parse()?, version });
        }
        if let Some(version) = version {
            return Err(VersionError::Requirement {
                text: version.to_string(),
                reason: format!("a version needs the full name, as in `namespace/{name}@{version}`"),
            }
            .into());
        }
        let is_task = name.parse::<TaskId>().map_err(|_: LabelError| ());
        let is_name = name.parse::<crate::name::AdapterName>().map_err(|_| ());
        if is_task.is_ok() || is_name.is_ok() {
            Ok(Self::Word(name.to_owned()))
        } else {
            Err(ReferenceError::Word(name.to_owned()))
        }
    }
}

text_serde!(
    Reference,
    description = "A task, a name, `namespace/name`, `namespace/name@req`, or a digest",
    example = "ada/sentiment@^1.2"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_parses_and_prints_back() {
        let digest = Digest::of(b"x").to_string();
        for text in ["sentiment", "movie_reviews", "ada/sentiment", "ada/sentiment@^1.2", digest.as_str()] {
            assert_eq!(text.parse::<Reference>().map(|r| r.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_version_needs_the_full_name() {
        let error = "sentiment@^1".parse::<Reference>().expect_err("no namespace").to_string();
        assert!(error.contains("namespace/sentiment@^1"), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "Sentiment!", "a/b/c", "a/b@", "a/b@?", "sha256:12"] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }
}
