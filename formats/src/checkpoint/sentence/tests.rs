//! Folders that nobody should have written.

use std::{fs, path::Path};

use hub_schemas::head::{EmbeddingHead, Pooling};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::sentence_head;

const TRANSFORMER: &str = "sentence_transformers.models.Transformer";
const POOLING: &str = "sentence_transformers.models.Pooling";

/// A folder with these files.
fn folder(files: &[(&str, Value)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, json) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("creates");
        fs::write(path, json.to_string()).expect("writes");
    }
    folder
}

fn modules(pooling: &str) -> Value {
    json!([{ "type": TRANSFORMER, "path": "" }, { "type": POOLING, "path": pooling }])
}

/// The usual folder with one more file, or another in its place.
fn with(name: &str, json: Value) -> TempDir {
    let usual = [("modules.json", modules("1_Pooling")), ("1_Pooling/config.json", json!({}))];
    folder(&[&usual[..], &[(name, json)]].concat())
}

fn read(folder: &TempDir) -> EmbeddingHead {
    sentence_head(folder.path()).expect("is read").expect("states vectors")
}

fn refused(folder: &TempDir) -> String {
    let error = sentence_head(folder.path()).expect_err("refused").to_string();
    error.replace(&folder.path().display().to_string(), "DIR")
}

#[test]
fn what_is_left_out_is_what_the_library_takes_for_it() {
    let mean = EmbeddingHead { normalize: false, ..EmbeddingHead::of(Pooling::Mean) };
    assert_eq!(read(&with("other.json", json!({}))), mean);
    assert!(sentence_head(folder(&[]).path()).expect("is read").is_none());
    let scorer = with("config_sentence_transformers.json", json!({ "model_type": "CrossEncoder" }));
    assert!(sentence_head(scorer.path()).expect("is read").is_none());
}

#[test]
fn a_pooling_outside_of_the_folder_is_refused() {
    let outside = folder(&[("config.json", json!({ "pooling_mode": "cls" }))]);
    let absolute = outside.path().display().to_string();
    let refusals = ["..", "../1_Pooling", "1_Pooling/../..", "C:\\1_Pooling", "", "1_Pooling\0"]
        .map(|path| refused(&with("modules.json", modules(path))));
    insta::assert_snapshot!(refusals.join("\n"));
    let error = refused(&with("modules.json", modules(&absolute)));
    assert!(error.contains("`path` of `Pooling`: the file path"), "{error}");
    let long = refused(&with("modules.json", modules(&"a/".repeat(100_000))));
    assert!(long.len() < 1000, "{}", long.len());
}

#[test]
fn modules_that_are_not_computed_are_named() {
    let transformer = || json!({ "type": TRANSFORMER, "path": "" });
    let pooling = || json!({ "type": POOLING, "path": "1_Pooling" });
    let named = |class: &str| json!([transformer(), pooling(), { "type": class, "path": "2" }]);
    let lists = [
        named("sentence_transformers.base.modules.dense.Dense"),
        named("custom_st.Normalize"),
        named("sentence_transformers.models.Pooling"),
        json!([pooling(), transformer()]),
        json!([transformer()]),
        json!([]),
        json!([{ "type": TRANSFORMER, "path": "0_Transformer" }, pooling()]),
        json!([{ "type": TRANSFORMER, "path": "", "kwargs": ["task"] }, pooling()]),
        json!([{ "path": "" }]),
        json!([{ "type": 7 }]),
        json!({ "type": TRANSFORMER }),
        json!([[transformer()]]),
    ];
    let refusals = lists.map(|list| refused(&with("modules.json", list)));
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn poolings_that_are_not_computed_are_named() {
    let configs = [
        json!({ "pooling_mode": ["cls", "mean"] }),
        json!({ "pooling_mode_cls_token": true, "pooling_mode_max_tokens": true }),
        json!({ "pooling_mode": [] }),
        json!({ "pooling_mode": "attention" }),
        json!({ "pooling_mode": 3 }),
        json!({ "pooling_mode_mean_tokens": 1 }),
        json!({ "embedding_dimension": -1 }),
        json!({ "embedding_dimension": 1e300 }),
        json!({ "pooling_mode": "mean", "pooling_mode_middle_token": true }),
        json!([]),
    ];
    let refusals = configs.map(|config| refused(&with("1_Pooling/config.json", config)));
    insta::assert_snapshot!(refusals.join("\n"));
    let missing = refused(&folder(&[("modules.json", modules("1_Pooling"))]));
    assert!(missing.starts_with("can't read `DIR/1_Pooling/config.json`"), "{missing}");
    let config = json!({ "pooling_mode": ["lasttoken"], "pooling_mode_cls_token": true });
    assert_eq!(read(&with("1_Pooling/config.json", config)).pooling, Pooling::Last);
}

#[test]
fn lengths_are_numbers_of_tokens() {
    let stated = |length: Value| with("sentence_bert_config.json", json!({ "max_seq_length": length }));
    assert_eq!(read(&stated(json!(256))).max_length, Some(256));
    let of_old = with("sentence_xlm-roberta_config.json", json!({ "max_seq_length": 128 }));
    assert_eq!(read(&of_old).max_length, Some(128));
    let huge: Value = serde_json::from_str("1000000000000000019884624838656").expect("a number");
    for endless in [json!(null), huge.clone(), json!(1e300), json!(u64::MAX)] {
        assert_eq!(read(&stated(endless)).max_length, None);
    }
    assert_eq!(read(&with("tokenizer_config.json", json!({ "model_max_length": 77 }))).max_length, Some(77));
    assert_eq!(read(&with("tokenizer_config.json", json!({ "model_max_length": huge }))).max_length, None);
    let refusals = [json!(0), json!(-1), json!(1.5), json!("256")].map(|length| refused(&stated(length)));
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn what_would_change_the_texts_is_used_or_refused() {
    let model = |json| with("config_sentence_transformers.json", json);
    let prompts = json!({ "query": "query: ", "none": "" });
    let prompt = |name: &str| model(json!({ "prompts": prompts, "default_prompt_name": name }));
    assert_eq!(read(&prompt("query")).prompt.as_deref(), Some("query: "));
    assert_eq!(read(&prompt("none")).prompt, None);
    assert_eq!(read(&model(json!({ "prompts": prompts }))).prompt, None);
    let unpooled = prompt("query");
    fs::write(unpooled.path().join("1_Pooling/config.json"), json!({ "include_prompt": false }).to_string())
        .expect("writes");
    let bert = |json| refused(&with("sentence_bert_config.json", json));
    let chat = json!({ "modality_config": { "message": { "method": "forward" } } });
    let refusals = [
        refused(&prompt("passage")),
        refused(&unpooled),
        bert(chat),
        bert(json!({ "transformer_task": "fill-mask" })),
        bert(json!({ "processing_kwargs": { "text": { "truncation": false } } })),
        bert(json!({ "model_args": { "rotary_scaling_factor": 2 } })),
        refused(&model(json!({ "prompts": { "long": "long".repeat(9000) }, "default_prompt_name": "long" }))),
    ];
    insta::assert_snapshot!(refusals.join("\n"));
}
