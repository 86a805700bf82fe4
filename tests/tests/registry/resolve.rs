//! From a bare word to the best adapter, with reasons.

use hub_schemas::{api::Resolution, problem::ProblemCode};
use hub_tests::hub::{SampleAdapter, TestHub, tiny_base};
use insta::assert_json_snapshot;

#[tokio::test]
async fn the_order_is_name_task_subtask_then_metric_then_pulls() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let task = |sample: SampleAdapter, name: &str, subtask: Option<&str>| {
        sample.with(|m| {
            m.task.name = name.parse().expect("a task");
            m.task.subtask = subtask.map(|s| s.parse().expect("a task"));
        })
    };
    let by_name = task(SampleAdapter::lora("ada/sentiment", "1.0.0"), "opinion", None);
    let better = SampleAdapter::lora("ada/better", "1.0.0").with_metric("accuracy", 0.9);
    let popular = SampleAdapter::lora("ada/popular", "1.0.0").with_metric("accuracy", 0.8);
    let by_subtask = task(SampleAdapter::lora("ada/sub", "1.0.0"), "opinion", Some("sentiment"));
    let unrelated = task(SampleAdapter::lora("ada/topics", "1.0.0"), "topic", None);
    for sample in [&by_subtask, &popular, &better, &by_name, &unrelated] {
        ada.publish(sample).await;
    }
    for _ in 0..5 {
        ada.get(&format!("manifests/{}?purpose=pull", popular.digest())).await;
    }
    hub.flush_pulls().await;
    let resolution = hub.anonymous().get("resolve?word=sentiment").await;
    let parsed: Resolution = resolution.expect_ok();
    let names: Vec<_> = parsed.candidates.iter().map(|c| c.adapter.name.to_string()).collect();
    assert_eq!(names, ["ada/sentiment", "ada/better", "ada/popular", "ada/sub"]);
    let reasons: Vec<_> = parsed.candidates.iter().map(|c| &c.reasons).collect();
    assert_json_snapshot!(reasons);
}

#[tokio::test]
async fn with_a_base_model_the_others_are_only_counted() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/fits", "1.0.0")).await;
    let foreign = SampleAdapter::lora("ada/foreign", "1.0.0")
        .with_metric("accuracy", 0.99)
        .with(|m| m.base = tiny_base("org/other"));
    ada.publish(&foreign).await;
    let base = tiny_base("tiny-bert").weights_digest;
    let resolution: Resolution = ada.get(&format!("resolve?word=sentiment&base={base}")).await.expect_ok();
    assert_eq!(resolution.other_bases, 1);
    assert_eq!(resolution.candidates.len(), 1);
    assert_eq!(resolution.candidates[0].adapter.name.to_string(), "ada/fits");
}

#[tokio::test]
async fn only_a_bare_word_is_resolved() {
    let hub = TestHub::start().await;
    let anyone = hub.anonymous();
    assert_eq!(
        anyone.get("resolve?word=unheard-of").await.json()["candidates"].as_array().map(Vec::len),
        Some(0)
    );
    for query in ["word=ada/sentiment", "word=", "word=%27", "word=x&base=sha256:0", "nothing=1", ""] {
        assert_eq!(anyone.get(&format!("resolve?{query}")).await.code(), ProblemCode::BadRequest, "{query}");
    }
}
