//! When a version, or an adapter with all its versions, may be deleted rather than yanked.
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

/// A version of an adapter that is to be deleted as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The version.
    pub version: Version,
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
    /// Somebody needs the adapter.
    #[error("{by} needs `{version}`")]
    NeededWhole {
        /// A version that would do for it.
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
        return Err(Kept::Needed { version: version.clone(), by: dependant.shown() });
    }
    if age > FREE_FOR && !yanked { Err(Kept::InUse(version.clone())) } else { Ok(()) }
}

/// Refuses an adapter one of whose versions must stay; `dependants` are other adapters.
pub fn check_whole(versions: &[Standing], dependants: &[Dependant]) -> Result<(), Kept> {
    for Standing { version, age, yanked } in versions {
        if let Some(dependant) = dependants.iter().find(|d| d.requirement.matches(version)) {
            return Err(Kept::NeededWhole { version: version.clone(), by: dependant.shown() });
        }
        if *age > FREE_FOR && !yanked {
            return Err(Kept::InUse(version.clone()));
        }
    }
    Ok(())
}

impl Dependant {
    fn shown(&self) -> String {
        let name = self.name.as_ref();
        name.map_or_else(|| "an adapter that you may not see".to_owned(), |name| format!("`{name}`"))
    }
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
    fn an_adapter_goes_when_every_version_may_go_and_nobody_needs_one() {
        let standing = |version: &str, hours, yanked| Standing {
            version: version.parse().expect("a version"),
            age: Duration::from_hours(hours),
            yanked,
        };
        let verdict = |versions: &[Standing], requirement: &str| {
            let needing = Dependant { name: None, requirement: requirement.parse().expect("a requirement") };
            check_whole(versions, &[needing]).err().map(|kept| kept.to_string())
        };
        let versions = [standing("1.1.0", 1, false), standing("1.0.0", 100, true)];
        assert_eq!(verdict(&versions, "^2"), None);
        assert_eq!(
            verdict(&versions, "=1.0.0").as_deref(),
            Some("an adapter that you may not see needs `1.0.0`")
        );
        assert_eq!(
            verdict(&[standing("1.0.0", 100, false)], "^2").as_deref(),
            Some("`1.0.0` was published more than 72 hours ago and is not yanked")
        );
        assert_eq!(verdict(&[], "*"), None);
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
