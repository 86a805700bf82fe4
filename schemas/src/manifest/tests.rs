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
