//! Which versions the rules of a namespace delete.

use std::time::Duration;

use hub_schemas::{api::RetentionRules, version::Version};

/// Longest that a rule may wait: a century.
pub const MAX_DAYS: u32 = 36_500;
/// Most pre-releases of an adapter that a rule may keep.
pub const MAX_KEPT: u32 = 10_000;

/// What is known about a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aged {
    /// The version.
    pub version: Version,
    /// How long ago it was published.
    pub published: Duration,
    /// How long it has been yanked, when it is.
    pub yanked: Option<Duration>,
}

/// Rules that can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Too soon, or so late that it is a slip.
    #[error("`{field}` is {found}; it must lie between 1 and {MAX_DAYS} days")]
    Days {
        /// The field.
        field: &'static str,
        /// What it says.
        found: u32,
    },
    /// More than anybody publishes.
    #[error("`keep_prereleases` is {0}; it must be at most {MAX_KEPT}")]
    Kept(u32),
    /// Nothing to keep it from.
    #[error("`keep_prereleases` is set, but `prerelease_days` is not, so no pre-release is ever deleted")]
    NothingToKeep,
}

/// Refuses rules that can't be meant.
pub fn check(rules: &RetentionRules) -> Result<(), RulesError> {
    for (field, days) in [("prerelease_days", rules.prerelease_days), ("yanked_days", rules.yanked_days)] {
        if let Some(found) = days.filter(|days| !(1..=MAX_DAYS).contains(days)) {
            return Err(RulesError::Days { field, found });
        }
    }
    if rules.keep_prereleases > MAX_KEPT {
        return Err(RulesError::Kept(rules.keep_prereleases));
    }
    if rules.keep_prereleases > 0 && rules.prerelease_days.is_none() {
        return Err(RulesError::NothingToKeep);
    }
    Ok(())
}

/// The versions of one adapter that `rules` delete, each with the rule in a sentence.
pub fn expired<'a>(rules: &RetentionRules, versions: &'a [Aged]) -> Vec<(&'a Version, String)> {
    let days = |days: u32| Duration::from_hours(24 * u64::from(days));
    let mut prereleases: Vec<&Version> =
        versions.iter().map(|aged| &aged.version).filter(|version| version.is_prerelease()).collect();
    prereleases.sort_by(|a, b| b.cmp(a));
    let kept = prereleases.iter().take(rules.keep_prereleases as usize).copied().collect::<Vec<_>>();
    let reason = |aged: &Aged| {
        if let (Some(limit), Some(since)) = (rules.yanked_days, aged.yanked)
            && since > days(limit)
        {
            return Some(format!("yanked for more than {limit} days"));
        }
        match rules.prerelease_days {
            Some(limit)
                if aged.version.is_prerelease()
                    && aged.published > days(limit)
                    && !kept.contains(&&aged.version) =>
            {
                Some(format!("a pre-release of more than {limit} days ago"))
            }
            _ => None,
        }
    };
    versions.iter().filter_map(|aged| Some((&aged.version, reason(aged)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aged(version: &str, published: u64, yanked: Option<u64>) -> Aged {
        let days = |days: u64| Duration::from_hours(24 * days);
        Aged {
            version: version.parse().expect("a version"),
            published: days(published),
            yanked: yanked.map(days),
        }
    }

    fn names(rules: RetentionRules, versions: &[Aged]) -> Vec<String> {
        expired(&rules, versions).into_iter().map(|(version, _)| version.to_string()).collect()
    }

    #[test]
    fn old_prereleases_go_but_the_newest_stay_and_releases_always_do() {
        let versions = [
            aged("2.0.0-rc.2", 5, None),
            aged("2.0.0-rc.1", 40, None),
            aged("1.0.0", 900, None),
            aged("1.0.0-rc.2", 901, None),
            aged("1.0.0-rc.1", 902, None),
        ];
        let rules = RetentionRules { prerelease_days: Some(30), keep_prereleases: 2, yanked_days: None };
        assert_eq!(names(rules, &versions), ["1.0.0-rc.2", "1.0.0-rc.1"]);
        let rules = RetentionRules { keep_prereleases: 0, ..rules };
        assert_eq!(names(rules, &versions), ["2.0.0-rc.1", "1.0.0-rc.2", "1.0.0-rc.1"]);
        assert_eq!(names(RetentionRules::default(), &versions), [""; 0]);
    }

    #[test]
    fn what_has_been_yanked_for_long_enough_goes_however_old_it_is() {
        let versions = [aged("1.1.0", 900, Some(10)), aged("1.0.0", 20, Some(15)), aged("0.9.0", 900, None)];
        let rules = RetentionRules { yanked_days: Some(14), ..RetentionRules::default() };
        assert_eq!(names(rules, &versions), ["1.0.0"]);
    }

    #[test]
    fn rules_that_can_not_be_meant_are_refused() {
        let told = |rules: RetentionRules| check(&rules).map_err(|e| e.to_string());
        assert_eq!(
            told(RetentionRules { yanked_days: Some(0), ..RetentionRules::default() }),
            Err("`yanked_days` is 0; it must lie between 1 and 36500 days".to_owned())
        );
        assert!(told(RetentionRules { keep_prereleases: 3, ..RetentionRules::default() }).is_err());
        assert!(told(RetentionRules::default()).is_ok());
    }
}
