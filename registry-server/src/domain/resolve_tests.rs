use hub_schemas::{
    api::{BaseSummary, MetricSummary, Visibility},
    backbone::Architecture,
};
use time::{Duration, OffsetDateTime};

use super::*;

fn base(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// `ns/name`, with task `sentiment` on base `mini`, never pulled, without metric.
fn adapter(name: &str) -> AdapterSummary {
    AdapterSummary {
        kind: hub_schemas::manifest::ArtifactKind::Adapter,
        name: name.parse().expect("a full name"),
        version: "1.0.0".parse().expect("a version"),
        digest: Digest::of(name.as_bytes()),
        description: String::new(),
        task: "sentiment".parse().expect("a task"),
        subtask: None,
        languages: Vec::new(),
        license: "MIT".parse().expect("a licence"),
        base: BaseSummary {
            id: "mini".into(),
            architecture: Architecture::Bert,
            weights_digest: base("mini"),
        },
        method: "lora".into(),
        method_summary: "lora r8 query,value".into(),
        metric: None,
        size: 1,
        pulls: 0,
        published_at: OffsetDateTime::UNIX_EPOCH,
        published_as: None,
        visibility: Visibility::Public,
    }
}

fn measured(name: &str, metric: &str, value: f64, pulls: u64) -> AdapterSummary {
    let metric =
        MetricSummary { name: metric.into(), value, dataset: "reviews".into(), split: "test".into() };
    AdapterSummary { metric: Some(metric), pulls, ..adapter(name) }
}

fn order(word: &str, base: Option<&Digest>, listed: Vec<AdapterSummary>) -> Vec<String> {
    rank(word, base, listed).candidates.into_iter().map(|c| c.adapter.name.to_string()).collect()
}

#[test]
fn an_exact_name_beats_a_task_and_a_task_beats_a_subtask() {
    let subtask = AdapterSummary {
        task: "opinion".parse().expect("a task"),
        subtask: Some("sentiment".parse().expect("a task")),
        ..measured("a/sub", "accuracy", 0.99, 1000)
    };
    let named = AdapterSummary { task: "opinion".parse().expect("a task"), ..adapter("z/sentiment") };
    let other = AdapterSummary { task: "topic".parse().expect("a task"), ..adapter("a/unrelated") };
    let listed = vec![subtask, measured("b/by-task", "accuracy", 0.5, 0), other, named];
    assert_eq!(order("sentiment", None, listed), ["z/sentiment", "b/by-task", "a/sub"]);
}

#[test]
fn other_base_models_are_counted_but_never_chosen() {
    let mut foreign = measured("a/foreign", "accuracy", 0.99, 9);
    foreign.base.weights_digest = base("large");
    let resolution = rank("sentiment", Some(&base("mini")), vec![foreign, adapter("b/fitting")]);
    assert_eq!(resolution.other_bases, 1);
    assert_eq!(resolution.candidates.len(), 1);
    assert_eq!(resolution.candidates[0].reasons, [Reason::TaskMatch, Reason::BaseMatch]);
}

#[test]
fn the_higher_metric_wins_over_pulls() {
    let listed =
        vec![measured("a/popular", "accuracy", 0.80, 1000), measured("b/better", "accuracy", 0.85, 1)];
    assert_eq!(order("sentiment", None, listed), ["b/better", "a/popular"]);
}

#[test]
fn different_metrics_do_not_compare_and_every_input_order_gives_the_same_answer() {
    let all = [
        measured("a/acc-high", "accuracy", 0.9, 1),
        measured("b/f1", "macro_f1", 0.95, 2),
        measured("c/acc-low", "accuracy", 0.8, 3),
        adapter("d/unmeasured"),
    ];
    let expected = ["a/acc-high", "b/f1", "c/acc-low", "d/unmeasured"];
    for rotation in 0..all.len() {
        let mut listed = all.to_vec();
        listed.rotate_left(rotation);
        assert_eq!(order("sentiment", None, listed.clone()), expected);
        listed.reverse();
        assert_eq!(order("sentiment", None, listed), expected);
    }
}

#[test]
fn then_pulls_then_recency_then_the_name_decide() {
    let pulled = AdapterSummary { pulls: 5, ..adapter("z/pulled") };
    let recent =
        AdapterSummary { published_at: OffsetDateTime::UNIX_EPOCH + Duration::DAY, ..adapter("y/recent") };
    let listed = vec![adapter("b/second"), recent, adapter("a/first"), pulled];
    assert_eq!(order("sentiment", None, listed), ["z/pulled", "y/recent", "a/first", "b/second"]);
}

#[test]
fn at_most_ten_candidates_are_named() {
    let listed = (0..15).map(|i| adapter(&format!("a/n{i:02}"))).collect();
    assert_eq!(rank("sentiment", None, listed).candidates.len(), MAX_CANDIDATES);
}
