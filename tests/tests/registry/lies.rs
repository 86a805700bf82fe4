//! Everything a publish can get wrong: one clear refusal, and nothing is made.

use hub_schemas::problem::ProblemCode;
use hub_tests::hub::{Answer, SampleAdapter, TINY_BERT, TestHub, Visitor, safetensors_bytes};
use insta::{assert_snapshot, with_settings};
use serde_json::{Value, json};

async fn refusal(ada: &Visitor, sample: &SampleAdapter) -> String {
    let answer = ada.try_publish(sample).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
    let name = &sample.manifest.name;
    assert_eq!(ada.get(&format!("adapters/{name}")).await.status, 404, "nothing was made");
    format!("{}: {}", answer.code().as_str(), answer.problem().detail)
}

fn lora() -> SampleAdapter {
    SampleAdapter::lora("ada/liar", "1.0.0")
}

fn bottleneck() -> SampleAdapter {
    SampleAdapter::bottleneck("ada/liar", "1.0.0")
}

#[tokio::test]
async fn weights_that_do_not_fit_the_manifest_are_refused() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let wider = lora().with(|m| m.base.shape.hidden_size = 32);
    let deeper = bottleneck().with(|m| m.base.shape.num_layers = 3);
    let weights = lora().file("adapter_model.safetensors").to_vec();
    let truncated = lora().with_file("adapter_model.safetensors", &weights[..weights.len() - 4]);
    let tiny = lora().with_file("adapter_model.safetensors", b"tiny");
    let stray = lora().with_file("extra.safetensors", &safetensors_bytes(&[("x".to_owned(), vec![1])]));
    let foreign =
        lora().with_file("adapter_model.safetensors", &safetensors_bytes(&[("x".to_owned(), vec![1])]));
    let mut messages = Vec::new();
    for sample in [wider, deeper, truncated, tiny, stray, foreign] {
        messages.push(refusal(&ada, &sample).await);
    }
    assert_snapshot!(messages.join("\n"));
}

#[tokio::test]
async fn configurations_that_contradict_the_manifest_are_refused() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let scaled = lora().with_json("adapter_config.json", &json!({"r": 4, "lora_alpha": 64}));
    let nameless = bottleneck().with_json("adapter_config.json", &json!({"hidden_size": 16}));
    let misnamed = bottleneck().with_json("head_config.json", &json!({"name": "other"}));
    let resized =
        bottleneck().with_json("adapter_config.json", &json!({"name": "sample", "hidden_size": 768}));
    let no_json = lora().with_file("adapter_config.json", b"{not json");
    let no_object = lora().with_json("adapter_config.json", &json!([1, 2]));
    let mut messages = Vec::new();
    for sample in [scaled, nameless, misnamed, resized, no_json, no_object] {
        messages.push(refusal(&ada, &sample).await);
    }
    assert_snapshot!(messages.join("\n"));
}

#[tokio::test]
async fn our_own_format_is_checked_like_the_others() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::biases("ada/honest", "1.0.0")).await;
    let biases = || SampleAdapter::biases("ada/liar", "1.0.0");
    let config = |change: &dyn Fn(&mut Value)| {
        let mut json: Value = serde_json::from_slice(biases().file("hub_adapter.json")).expect("JSON");
        change(&mut json);
        biases().with_json("hub_adapter.json", &json)
    };
    let weights = "hub_adapter.safetensors";
    let samples = [
        biases().without_file("hub_adapter.json"),
        biases().with(|m| m.base.shape.hidden_size = 32),
        biases().with_file(weights, &safetensors_bytes(&[("layers.0.query.bias".to_owned(), vec![16])])),
        biases().with_file("adapter.safetensors", &safetensors_bytes(&[("x".to_owned(), vec![1])])),
        config(&|json| json["format_version"] = json!(9)),
        config(&|json| json["method"]["gain"] = json!(2)),
        config(&|json| json["method"]["tensors"] = json!(["layers.0.query.bias"])),
        config(&|json| json["head"] = json!(null)),
        config(&|json| json["labels"] = json!(["positive", "negative"])),
        config(&|json| json["architecture"] = json!("roberta")),
    ];
    let mut messages = Vec::new();
    for sample in samples {
        messages.push(refusal(&ada, &sample).await);
    }
    assert_snapshot!(messages.join("\n"));
}

#[tokio::test]
async fn pickles_and_other_foreign_content_are_refused_whatever_they_are_called() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let pickle = b"\x80\x02}q\x00(X\x06\x00\x00\x00weightq\x01K\x01u.";
    let samples = [
        lora().with_file("adapter_model.safetensors", pickle),
        lora().with_file("adapter_config.json", pickle),
        lora().with_file("vocab.txt", pickle),
        lora().with_file("figure.png", b"PK\x03\x04\x14\x00\x00\x00archive/data.pkl"),
        lora().with_file("figure.png", b"<svg onload=alert(1)>"),
        lora().with_file("adapter_model.safetensors", b"PK\x03\x04\x14\x00\x00\x00archive/data.pkl"),
        lora().with_file("README.md", b"\x00\x01\x02"),
    ];
    let mut messages = Vec::new();
    for sample in samples {
        messages.push(refusal(&ada, &sample).await);
    }
    assert_snapshot!(messages.join("\n"));
}

/// Sends `manifest` as it is, canonical or not.
async fn send(ada: &Visitor, path: &str, body: Vec<u8>) -> Answer {
    ada.put(&format!("adapters/{path}"), body).await
}

/// The sample's manifest with the value at `pointer` replaced.
fn altered(pointer: &str, value: Value) -> Vec<u8> {
    let mut manifest: Value = serde_json::from_slice(&lora().manifest_bytes()).expect("JSON");
    *manifest.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} exists")) = value;
    hub_schemas::canonical::to_bytes(&manifest).expect("canonical")
}

#[tokio::test]
async fn every_lie_of_a_manifest_names_what_is_wrong() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.upload_files(&lora()).await;
    let here = "ada/liar/versions/1.0.0";
    let pretty = serde_json::to_vec_pretty(&lora().manifest).expect("JSON");
    let cases = [
        (here, b"not json".to_vec()),
        (here, pretty),
        (here, altered("/manifest_version", json!("2.0"))),
        (here, altered("/name", json!("ada/other"))),
        ("ada/liar/versions/1.0.1", lora().manifest_bytes()),
        (here, altered("/files/0/path", json!("../../etc/passwd"))),
        (here, altered("/files/0/path", json!("/etc/passwd"))),
        (here, altered("/files/0/path", json!("weights.bin"))),
        (here, altered("/files/0/size", json!(1))),
        (here, altered("/files/0/digest", json!("sha256:00"))),
        (here, altered("/base/hidden_size", json!(0))),
        (here, altered("/task/labels", json!(["only one"]))),
    ];
    let mut messages = Vec::new();
    for (path, body) in cases {
        let answer = send(&ada, path, body).await;
        messages.push(format!(
            "{} {}: {}",
            answer.status.as_u16(),
            answer.code().as_str(),
            answer.problem().detail
        ));
    }
    assert_eq!(ada.get("adapters/ada/liar").await.status, 404);
    with_settings!({filters => [(r"sha256:[0-9a-f]{64}", "[digest]")]}, {
        assert_snapshot!(messages.join("\n"));
    });
}

#[tokio::test]
async fn a_manifest_or_version_above_the_limit_is_too_large() {
    let hub = TestHub::start_with(|config| config.limits.max_version_bytes = 2000).await;
    let ada = hub.user("ada").await;
    let answer = ada.try_publish(&lora()).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (413, ProblemCode::TooLarge));
    let body = vec![b' '; (1 << 20) + 1];
    let answer = send(&ada, "ada/liar/versions/1.0.0", body).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (413, ProblemCode::TooLarge));
}

#[tokio::test]
async fn names_that_try_to_leave_their_place_are_refused() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    for path in [
        "adapters/ada/..%2f..%2fetc",
        "adapters/%2e%2e/x",
        "adapters/ada/a%00b",
        "adapters/ADA/x",
        "index/ada/x%20y",
        "adapters/ada/x/blobs/sha256:..%2f..%2fx",
        "manifests/..%2f..%2fregistry.sqlite",
    ] {
        let answer = ada.get(path).await;
        assert!([400, 404].contains(&answer.status.as_u16()), "{path}: {answer:?}");
        answer.problem();
    }
}

#[tokio::test]
async fn both_spellings_of_tensor_names_are_accepted() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    // As saved from a bare `BertModel`: no `bert.` in front, and so no classifier.
    let sample = lora().with(|m| {
        m.head = None;
        m.task.labels.clear();
    });
    let tensors: Vec<(String, Vec<usize>)> = (0..TINY_BERT.num_layers)
        .flat_map(|layer| ["query", "value"].map(move |site| (layer, site)))
        .flat_map(|(layer, site)| {
            let at = format!("base_model.model.encoder.layer.{layer}.attention.self.{site}");
            [(format!("{at}.lora_A.weight"), vec![4, 16]), (format!("{at}.lora_B.weight"), vec![16, 4])]
        })
        .collect();
    let sample = sample.with_file("adapter_model.safetensors", &safetensors_bytes(&tensors));
    assert!(ada.publish(&sample).await.created);
}
