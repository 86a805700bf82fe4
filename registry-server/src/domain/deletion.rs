//! When a version may be deleted, rather than yanked.
//!
//! Soon after it was published, freely, as at crates.io; later only what was yanked, so that
//! people had a warning. Never what another adapter needs and nothing else would do for.

use std::time::Duration;

use hub_schemas::{
    name::AdapterId,
    version::{Version, VersionReq},
};

/// For so long a version may be deleted without being yanked first.
pub const FREE_FOR: Duration = Duration::from_hours(72);

/// What is known about a version when it is to be deleted.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The version.
    pub version: &'a Version,
    /// The adapter's other versions.
    pub others: &'a [Version],
    /// How long ago it was published.
    pub age: Duration,
    /// Whether it is yanked.
    pub yanked: bool,
}

/// A version of another adapter that needs this adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependant {
    /// Which adapter; nothing where the caller may not see it.
    pub name: Option<AdapterId>,
    /// Which versions it takes.
    pub requirement: VersionReq,
}

/// Why a version stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// Somebody needs it.
    #[error("{by} needs `{version}`, and no other version would do")]
    Needed {
        /// The version.
        version: Version,
        /// Who needs it.
        by: String,
    },
    /// People may use it.
    #[error("`{0}` was published more than {hours} hours ago and is not yanked", hours = FREE_FOR.as_secs() / 3600)]
    InUse(Version),
}

/// Refuses what must stay.
pub fn check(candidate: Candidate<'_>, dependants: &[Dependant]) -> Result<(), Kept> {
    let Candidate { version, others, age, yanked } = candidate;
    let needs =
        |d: &&Dependant| d.requirement.matches(version) && !others.iter().any(|v| d.requirement.matches(v));
    if let Some(dependant) = dependants.iter().find(needs) {
        let name = dependant.name.as_ref();
        let by =
            name.map_or_else(|| "an adapter that you may not see".to_owned(), |name| format!("`{name}`"));
        return Err(Kept::Needed { version: version.clone(), by });
    }
    if age > FREE_FOR && !yanked { Err(Kept::InUse(version.clone())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(age: u64, yanked: bool, others: &[&str], dependants: &[(&str, &str)]) -> Option<String> {
        let version: Version = "1.0.0".parse().expect("a version");
        let others: Vec<Version> = others.iter().map(|v| v.parse().expect("a version")).collect();
        let dependants: Vec<_> = dependants
            .iter()
            .map(|(name, requirement)| Dependant {
                name: name.parse().ok(),
                requirement: requirement.parse().expect("a requirement"),
            })
            .collect();
        let candidate =
            Candidate { version: &version, others: &others, age: Duration::from_hours(age), yanked };
        check(candidate, &dependants).err().map(|kept| kept.to_string())
    }

    #[test]
    fn new_versions_go_freely_and_old_ones_only_when_they_are_yanked() {
        assert_eq!(verdict(72, false, &[], &[]), None);
        assert_eq!(verdict(73, true, &[], &[]), None);
        assert_eq!(
            verdict(73, false, &[], &[]).as_deref(),
            Some("`1.0.0` was published more than 72 hours ago and is not yanked")
        );
    }

    #[test]
    fn what_somebody_needs_stays_unless_another_version_would_do() {
        assert_eq!(
            verdict(1, true, &["2.0.0"], &[("lab/x", "^1")]).as_deref(),
            Some("`lab/x` needs `1.0.0`, and no other version would do")
        );
        assert_eq!(
            verdict(1, true, &[], &[("", "*")]).as_deref(),
            Some("an adapter that you may not see needs `1.0.0`, and no other version would do")
        );
        assert_eq!(verdict(1, true, &["1.1.0"], &[("lab/x", "^1")]), None);
        assert_eq!(verdict(1, true, &[], &[("lab/x", "^2")]), None);
    }
}
