//! What may be taken from another registry, and on whose behalf.

use super::permissions::Actor;
use hub_schemas::{
    label::License,
    name::{AdapterId, Namespace},
};

/// Which licences are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LicenseRules {
    /// Only these; `None`: any.
    pub allow: Option<Vec<License>>,
    /// Never these.
    pub deny: Vec<License>,
}

impl LicenseRules {
    /// Whether something under `license` is taken. Of alternatives (`A OR B`) one that is
    /// allowed is enough; an identifier that is denied anywhere in an expression denies it.
    pub fn admit(&self, license: &License) -> bool {
        let text: &str = license.as_ref();
        let same = |rule: &License, text: &str| AsRef::<str>::as_ref(rule).eq_ignore_ascii_case(text.trim());
        let separators = |c: char| c == ' ' || c == '(' || c == ')';
        let denied = |text: &str| self.deny.iter().any(|rule| same(rule, text));
        if denied(text) || text.split(separators).any(denied) {
            return false;
        }
        let Some(allow) = &self.allow else { return true };
        let allowed = |text: &str| allow.iter().any(|rule| same(rule, text));
        allowed(text) || (!text.contains('(') && text.split(" OR ").any(allowed))
    }
}

/// Allows filling the cache of one namespace of another registry. Only
/// the mirrors make one, for a user and a namespace that is mirrored.
#[derive(Debug, Clone)]
pub struct MirrorPermit {
    actor: Actor,
    namespace: Namespace,
}

impl MirrorPermit {
    pub(crate) const fn new(user: Namespace, namespace: Namespace) -> Self {
        Self { actor: Actor::Mirror(user), namespace }
    }

    /// Who asked first.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Whether it covers `adapter`.
    pub fn covers(&self, adapter: &AdapterId) -> bool {
        self.namespace == adapter.namespace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licenses(texts: &[&str]) -> Vec<License> {
        texts.iter().map(|text| text.parse().expect("a licence")).collect()
    }

    fn admits(rules: &LicenseRules, text: &str) -> bool {
        rules.admit(&text.parse().expect("a licence"))
    }

    #[test]
    fn without_rules_everything_is_taken() {
        assert!(admits(&LicenseRules::default(), "CC-BY-NC-4.0"));
    }

    #[test]
    fn of_alternatives_one_that_is_allowed_is_enough_and_one_that_is_denied_too() {
        let rules = LicenseRules { allow: Some(licenses(&["MIT", "Apache-2.0"])), deny: Vec::new() };
        assert!(admits(&rules, "mit") && admits(&rules, "GPL-3.0 OR Apache-2.0"));
        assert!(!admits(&rules, "GPL-3.0") && !admits(&rules, "MIT AND GPL-3.0"));
        assert!(!admits(&rules, "(MIT OR GPL-3.0) AND CC-BY-4.0"));
        let rules = LicenseRules { allow: None, deny: licenses(&["CC-BY-NC-4.0"]) };
        assert!(admits(&rules, "MIT"));
        assert!(!admits(&rules, "CC-BY-NC-4.0") && !admits(&rules, "MIT OR (CC-BY-NC-4.0)"));
    }
}
