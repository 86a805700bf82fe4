//! From a bare word to the best adapter.
//!
//! The order is lexicographic: exact name, task, subtask, base model; then the
//! stated metric, pulls, and recency. Metrics compare only under the same name
//! (an accuracy says nothing about an F1), which alone would be no total order: a
//! better accuracy could win against a candidate that lost to an F1 in between. So
//! candidates are first ordered by pulls and recency, and then those that share a
//! metric's name change places among themselves until the higher value stands first.

use std::{cmp::Reverse, collections::BTreeMap};

use hub_schemas::{
    api::{AdapterSummary, Candidate, Reason, Resolution},
    digest::Digest,
};

/// Most candidates in an answer.
pub const MAX_CANDIDATES: usize = 10;

/// How a candidate matches, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Match {
    name: Reverse<bool>,
    task: Reverse<bool>,
    subtask: Reverse<bool>,
    base: Reverse<bool>,
}

/// Ranks the `listed` adapters that match `word`; with a `base`, those that do not
/// fit it are only counted.
pub fn rank(word: &str, base: Option<&Digest>, listed: Vec<AdapterSummary>) -> Resolution {
    let mut other_bases = 0;
    let mut found: Vec<(Match, AdapterSummary)> = Vec::new();
    for adapter in listed {
        let grade = Match {
            name: Reverse(adapter.name.name.as_str() == word),
            task: Reverse(adapter.task.as_str() == word),
            subtask: Reverse(adapter.subtask.as_ref().is_some_and(|s| s.as_str() == word)),
            base: Reverse(base == Some(&adapter.base.weights_digest)),
        };
        if !(grade.name.0 || grade.task.0 || grade.subtask.0) {
            continue;
        }
        if base.is_some() && !grade.base.0 {
            other_bases += 1;
        } else {
            found.push((grade, adapter));
        }
    }
    found.sort_by(|(a, x), (b, y)| {
        let use_of = |s: &AdapterSummary| (Reverse(s.pulls), Reverse(s.published_at));
        a.cmp(b).then_with(|| use_of(x).cmp(&use_of(y))).then_with(|| x.name.cmp(&y.name))
    });
    let mut rest = found.as_mut_slice();
    while let Some(grade) = rest.first().map(|(grade, _)| *grade) {
        let len = rest.iter().take_while(|(other, _)| *other == grade).count();
        let (tier, later) = rest.split_at_mut(len);
        order_by_metric(tier);
        rest = later;
    }
    let candidates = found.into_iter().take(MAX_CANDIDATES).map(|(grade, adapter)| candidate(grade, adapter));
    Resolution { candidates: candidates.collect(), other_bases }
}

/// Lets the candidates that share a metric change places among themselves.
fn order_by_metric(tier: &mut [(Match, AdapterSummary)]) {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, (_, adapter)) in tier.iter().enumerate() {
        if let Some(metric) = &adapter.metric {
            places.entry(metric.name.clone()).or_default().push(place);
        }
    }
    for places in places.values() {
        let mut group: Vec<_> = places.iter().map(|&place| tier[place].clone()).collect();
        // Stable: equal values keep the order of pulls and recency.
        group.sort_by(|(_, a), (_, b)| value(b).total_cmp(&value(a)));
        for (&place, member) in places.iter().zip(group) {
            tier[place] = member;
        }
    }
}

fn value(adapter: &AdapterSummary) -> f64 {
    adapter.metric.as_ref().map_or(f64::NEG_INFINITY, |m| m.value)
}

fn candidate(grade: Match, adapter: AdapterSummary) -> Candidate {
    let mut reasons = Vec::new();
    let matches = [
        (grade.name.0, Reason::ExactName),
        (grade.task.0, Reason::TaskMatch),
        (grade.subtask.0, Reason::SubtaskMatch),
        (grade.base.0, Reason::BaseMatch),
    ];
    reasons.extend(matches.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason));
    reasons.extend(adapter.metric.iter().map(|m| Reason::Metric { name: m.name.clone(), value: m.value }));
    if adapter.pulls > 0 {
        reasons.push(Reason::Pulls { count: adapter.pulls });
    }
    Candidate { adapter, reasons }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
