use serde_json::{Value, json};

use super::*;

/// A complete manifest, as `hub train` writes it.
fn example() -> Value {
    let digest = Digest::of(b"example").to_string();
    json!({
        "manifest_version": "1.0",
        "name": "ada/sentiment",
        "version": "1.2.0",
        "description": "Sentiment of movie reviews.",
        "license": "Apache-2.0",
        "task": {"name": "sentiment", "subtask": "movie-reviews", "labels": ["negative", "positive"]},
        "languages": ["en"],
        "base": {
            "id": "sentence-transformers/all-MiniLM-L6-v2", "architecture": "bert", "hidden_size": 384,
            "num_layers": 6, "num_heads": 12, "intermediate_size": 1536, "vocab_size": 30522, "weights_digest": digest,
        },
        "method": {
            "type": "bottleneck", "mh_adapter": false, "output_adapter": true, "reduction_factor": 16.0,
            "non_linearity": "relu", "original_ln_before": true,
        },
        "head": {"type": "classification", "num_labels": 2, "layers": 2, "activation": "tanh", "pooling": "first"},
        "format": "adapters",
        "files": [
            {"path": "adapter_config.json", "size": 10, "digest": digest, "media_type": "application/json"},
            {"path": "adapter.safetensors", "size": 10, "digest": digest, "media_type": "application/vnd.safetensors"},
            {"path": "head_config.json", "size": 10, "digest": digest, "media_type": "application/json"},
            {"path": "model_head.safetensors", "size": 10, "digest": digest, "media_type": "application/vnd.safetensors"},
        ],
        "a_later_field": {"kept": true},
    })
}

fn parse(value: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(&canonical::to_bytes(value).expect("canonical"))
}

/// The message for the example with the value at `pointer` replaced.
fn message_with(pointer: &str, replacement: Value) -> String {
    let mut value = example();
    *value.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} exists")) = replacement;
    parse(&value).expect_err(pointer).to_string()
}

#[test]
fn a_manifest_round_trips_and_keeps_unknown_fields() {
    let manifest = parse(&example()).expect("the example is valid");
    assert_eq!(manifest.extra["a_later_field"], json!({"kept": true}));
    let bytes = manifest.to_canonical_bytes().expect("serialises");
    assert_eq!(Manifest::parse(&bytes).expect("parses again"), manifest);
}

#[test]
fn an_unknown_major_version_is_refused_before_anything_else() {
    let error = parse(&json!({"manifest_version": "2.0", "name": 7})).expect_err("major 2").to_string();
    insta::assert_snapshot!(error, @"the manifest has format version 2.0; this version reads 1.x: update hub to use this adapter");
    assert!(parse(&json!({"manifest_version": "1"})).is_err());
}

#[test]
fn a_later_minor_version_is_read() {
    let mut value = example();
    value["manifest_version"] = json!("1.7");
    assert!(parse(&value).is_ok());
}

#[test]
fn bytes_that_are_not_canonical_are_refused() {
    let pretty = serde_json::to_vec_pretty(&example()).expect("serialises");
    assert!(matches!(Manifest::parse(&pretty), Err(ManifestError::Canonical(_))));
    assert!(Manifest::parse_relaxed(&pretty).is_ok());
}

#[test]
fn every_lie_names_its_field() {
    let file = |path: &str, kind: &str| json!({"path": path, "size": 1, "digest": Digest::of(b"").to_string(), "media_type": kind});
    insta::assert_snapshot!(
        [
            message_with("/name", json!("sentiment")),
            message_with("/version", json!("one")),
            message_with("/license", json!("")),
            message_with("/base/architecture", json!("gpt-9")),
            message_with("/base/num_heads", json!(7)),
            message_with("/base/weights_digest", json!("sha256:00")),
            message_with("/method/reduction_factor", json!(0)),
            message_with("/method/type", json!("magic")),
            message_with("/head/num_labels", json!(3)),
            message_with("/task/labels", json!(["same", "same"])),
            message_with("/description", json!("\u{1b}[2J")),
            message_with("/files/0/path", json!("../adapter_config.json")),
            message_with("/files/0/path", json!("other.json")),
            message_with("/files/0", file("pytorch_adapter.bin", "application/json")),
            message_with("/files/0", file("Adapter.safetensors", "application/vnd.safetensors")),
            message_with("/files/0", file("adapter_config.json", "text/html")),
            message_with("/files/0/size", json!(1_u64 << 40)),
        ]
        .join("\n")
    );
}

/// The manifest of a base model in two shards.
fn base_example() -> Value {
    let digest = Digest::of(b"example").to_string();
    let file =
        |path: &str, kind: &str| json!({"path": path, "size": 10, "digest": digest, "media_type": kind});
    json!({
        "manifest_version": "1.0", "kind": "base", "name": "ada/minilm", "version": "1.0.0", "license": "Apache-2.0",
        "base": example()["base"],
        "files": [
            file("config.json", "application/json"),
            file("model-00001-of-00002.safetensors", "application/vnd.safetensors"),
            file("model-00002-of-00002.safetensors", "application/vnd.safetensors"),
            file("model.safetensors.index.json", "application/json"),
            file("chat_template.jinja", "text/plain"),
        ],
    })
}

#[test]
fn a_manifest_says_which_kind_of_artifact_it_is_and_nothing_means_an_adapter() {
    let bytes = |value: &Value| canonical::to_bytes(value).expect("canonical");
    let base = Artifact::parse(&bytes(&base_example())).expect("a base model");
    assert_eq!(base.kind(), ArtifactKind::Base);
    let written = base.to_canonical_bytes().expect("serialises");
    assert_eq!(Artifact::parse(&written).expect("parses again"), base);
    assert_eq!(Artifact::parse(&bytes(&example())).expect("an adapter").kind(), ArtifactKind::Adapter);
    let mut explicit = example();
    explicit["kind"] = json!("adapter");
    assert_eq!(Artifact::parse(&bytes(&explicit)).expect("an adapter").kind(), ArtifactKind::Adapter);
    let refused = Manifest::parse(&bytes(&base_example())).expect_err("no adapter").to_string();
    assert_eq!(refused, "it is the manifest of a base model");
    let refused = BaseManifest::parse(&bytes(&example())).expect_err("no base model").to_string();
    assert_eq!(refused, "it is the manifest of an adapter");
    explicit["kind"] = json!("dataset");
    let refused = Artifact::parse(&bytes(&explicit)).expect_err("no such kind").to_string();
    assert!(refused.contains("`kind` is wrong: \"dataset\" is neither"), "{refused}");
}

#[test]
fn a_base_model_is_a_folder_or_a_gguf_file_and_nothing_between() {
    let digest = Digest::of(b"example").to_string();
    let file =
        |path: &str, kind: &str| json!({"path": path, "size": 10, "digest": digest, "media_type": kind});
    let config = || file("config.json", "application/json");
    let weights = |path: &str| file(path, "application/vnd.safetensors");
    let gguf = || file("model-q4.gguf", "application/vnd.gguf");
    let with = |files: Vec<Value>| {
        let mut value = base_example();
        value["files"] = files.into();
        BaseManifest::parse(&canonical::to_bytes(&value).expect("canonical")).map_err(|e| e.to_string())
    };
    assert!(with(vec![config(), weights("model.safetensors")]).is_ok());
    assert!(with(vec![gguf()]).is_ok());
    for (files, reason) in [
        (vec![config()], "needs weights"),
        (vec![weights("model.safetensors")], "needs `config.json`"),
        (vec![config(), weights("other.safetensors")], "shards with"),
        (vec![config(), gguf()], "not both"),
        (vec![gguf(), file("second.gguf", "application/vnd.gguf")], "not both"),
        (vec![config(), file("pytorch_model.bin", "application/json")], "pickles never are"),
    ] {
        let error = with(files).expect_err(reason);
        assert!(error.contains(reason), "{error}");
    }
    // An adapter brings no GGUF file.
    let error = message_with("/files/0", gguf());
    assert!(error.contains("of a kind that is not accepted"), "{error}");
}
