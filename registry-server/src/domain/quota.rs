//! How much a namespace may hold.

use hub_schemas::{api::Usage, name::Namespace};

/// The limits; none is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of all versions together.
    pub max_bytes: Option<u64>,
    /// Adapters.
    pub max_adapters: Option<u64>,
}

impl std::fmt::Display for Quota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit =
            |limit: Option<u64>| limit.map_or_else(|| "any number of".to_owned(), |n| format!("at most {n}"));
        write!(f, "{} bytes, {} adapters", limit(self.max_bytes), limit(self.max_adapters))
    }
}

/// What is about to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addition {
    /// Bytes.
    pub bytes: u64,
    /// A new adapter.
    pub adapters: u64,
}

/// There is no room for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    /// Too many bytes.
    #[error("`{namespace}` holds {has} bytes and may hold {max}; there is no room for {adds} more")]
    Bytes {
        /// Whose quota.
        namespace: Namespace,
        /// What it holds.
        has: u64,
        /// What it may.
        max: u64,
        /// What was to be added.
        adds: u64,
    },
    /// Too many adapters.
    #[error("`{namespace}` has {has} adapters and may have {max}")]
    Adapters {
        /// Whose quota.
        namespace: Namespace,
        /// How many it has.
        has: u64,
        /// How many it may.
        max: u64,
    },
}

/// Refuses what would exceed the quota. `has` says which bytes count: those that are
/// published, for a version; those on their way too, for an upload.
pub fn check(namespace: &Namespace, usage: &Usage, has: u64, adds: Addition) -> Result<(), QuotaError> {
    let namespace = || namespace.clone();
    if let Some(max) = usage.max_bytes.filter(|&max| has.saturating_add(adds.bytes) > max) {
        return Err(QuotaError::Bytes { namespace: namespace(), has, max, adds: adds.bytes });
    }
    match usage.max_adapters {
        Some(max) if adds.adapters > 0 && usage.adapters + adds.adapters > max => {
            Err(QuotaError::Adapters { namespace: namespace(), has: usage.adapters, max })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_exactly_fits() {
        let lab: Namespace = "lab".parse().expect("a name");
        let usage =
            Usage { adapters: 2, bytes: 90, uploading_bytes: 5, max_adapters: Some(3), max_bytes: Some(100) };
        let add = |bytes, adapters| check(&lab, &usage, usage.bytes, Addition { bytes, adapters });
        assert_eq!(add(10, 1), Ok(()));
        assert_eq!(
            add(11, 0).expect_err("too much").to_string(),
            "`lab` holds 90 bytes and may hold 100; there is no room for 11 more"
        );
        assert_eq!(add(0, 2).expect_err("too many").to_string(), "`lab` has 2 adapters and may have 3");
        let free = Usage { max_adapters: None, max_bytes: None, ..usage };
        assert_eq!(check(&lab, &free, 90, Addition { bytes: u64::MAX, adapters: 9 }), Ok(()));
    }
}
