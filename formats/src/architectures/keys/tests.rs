//! What libraries and trainers write is taken; what nobody knows is refused by its name.

use std::{collections::BTreeMap, fs, path::PathBuf};

use hub_schemas::backbone::Architecture;
use serde_json::{Map, Value, json};

use super::{Keys, known, tables};
use crate::{
    architectures::{ConfigError, TransformerConfig, View},
    checkpoint::CheckpointError,
};

type Json = Map<String, Value>;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

fn read(path: PathBuf) -> Json {
    serde_json::from_slice(&fs::read(path).expect("a configuration")).expect("JSON")
}

/// The configurations that a version of the library wrote, by architecture or by base.
fn of_library(file: &str) -> BTreeMap<String, Json> {
    let all = read(fixtures().join("configurations").join(file));
    all.into_iter().map(|(name, json)| (name, json.as_object().expect("an object").clone())).collect()
}

/// Every configuration of the bases of the fixtures.
fn bases() -> Vec<Json> {
    let folders = fs::read_dir(fixtures().join("methods/bases")).expect("bases");
    folders.map(|folder| read(folder.expect("a base").path().join("config.json"))).collect()
}

fn architecture(json: &Json) -> Architecture {
    json["model_type"].as_str().and_then(|name| name.parse().ok()).expect("an architecture")
}

fn of(json: &Json) -> [Result<TransformerConfig, ConfigError>; 2] {
    [View::Encoder, View::Whole].map(|view| TransformerConfig::of(json, view))
}

fn with(json: &Json, key: &str, value: Value) -> Json {
    let mut json = json.clone();
    json.insert(key.to_owned(), value);
    json
}

fn takes(json: &Json) {
    for read in of(json) {
        read.unwrap_or_else(|error| panic!("{}: {error}", json["model_type"]));
    }
}

/// `tests/fixtures/configurations/older.py` made them.
#[test]
fn what_versions_4_of_the_library_write_is_taken() {
    let all = of_library("transformers-4.json");
    assert_eq!(all.len(), Architecture::ALL.len());
    all.values().for_each(takes);
}

/// Keys of published checkpoints that no version above writes, and of those who train and convert them.
#[test]
fn what_trainers_and_old_converters_leave_behind_is_taken() {
    let anyones = json!({
        "_name_or_path": "ada/base", "_num_labels": 3, "finetuning_task": "sst-2", "problem_type": "regression",
        "num_labels": 1, "language": "en", "model_id": "ada", "unsloth_fixed": true, "unsloth_version": "2026.3.3",
        "auto_map": {"AutoModel": "modeling.Model"}, "sentence_transformers": {"activation_fn": "x"},
        "torch_dtype": "bfloat16", "_attn_implementation": "sdpa", "_attn_implementation_autoset": true,
        "adapters": {"adapters": {}, "fusions": {}}, "transformers.js_config": {"dtype": "q4"}, "output_past": true,
        "task_specific_params": {"summarization": {"max_length": 10}}, "forced_eos_token_id": 2, "mask_token_id": 3,
        "gradient_checkpointing": true, "nobody_knows": null,
    });
    for (model_type, plain) in of_library("transformers-4.json") {
        let own = match model_type.as_str() {
            "bert" => {
                json!({"directionality": "bidi", "pooler_fc_size": 768, "pooler_num_attention_heads": 12,
                "pooler_num_fc_layers": 3, "pooler_size_per_head": 128, "pooler_type": "first_token_transform"})
            }
            "albert" => json!({"down_scale_factor": 1, "gap_size": 0, "net_structure_type": 0,
                "num_memory_blocks": 0}),
            "distilbert" => json!({"tie_weights_": true, "hidden_size": 768}),
            "electra" => json!({"generator_size": "0.25"}),
            "deberta-v2" => json!({"padding_idx": 0, "attention_head_size": 64, "z_steps": 0}),
            "modernbert" => json!({"layer_norm_eps": 1e-5, "position_embedding_type": "sans_pos",
                "rope_theta": 160_000.0}),
            "gpt2" => {
                json!({"n_ctx": 1024, "n_special": 0, "predict_special_tokens": true, "hidden_size": 768})
            }
            "llama" => {
                json!({"rope_interleaved": false, "is_llama_config": true, "max_sequence_length": 2048})
            }
            "qwen2" => json!({"use_mrope": false}),
            "gemma" => json!({"hidden_activation": "gelu_pytorch_tanh"}),
            "gemma2" => json!({"hidden_act": "gelu_pytorch_tanh", "sliding_window_size": 4096,
                "cache_implementation": "hybrid"}),
            "t5" => json!({"n_positions": 512, "hidden_size": 512, "num_hidden_layers": 6}),
            "bart" => {
                json!({"add_bias_logits": false, "add_final_layer_norm": false, "normalize_before": false,
                "normalize_embedding": true, "static_position_embeddings": false, "extra_pos_embeddings": 2,
                "force_bos_token_to_be_generated": true, "classif_dropout": 0.0, "save_step": 7})
            }
            "mbart" => {
                json!({"add_bias_logits": false, "add_final_layer_norm": true, "normalize_before": true,
                "normalize_embedding": true, "static_position_embeddings": false})
            }
            "whisper" => json!({"forced_decoder_ids": [[1, 50259]], "num_hidden_layers": 4}),
            _ => json!({}),
        };
        let added =
            [&anyones, &own].into_iter().flat_map(|keys| keys.as_object().expect("an object").clone());
        takes(&plain.into_iter().chain(added).collect());
    }
}

#[test]
fn a_key_that_nobody_knows_is_refused_by_its_name() {
    let newer = of_library("transformers-5.json").into_values();
    let all = bases().into_iter().chain(of_library("transformers-4.json").into_values()).chain(newer);
    for plain in all {
        for (key, value) in plain.iter().filter(|(key, value)| *key != "model_type" && !value.is_null()) {
            // Even a word that only looks like one that is known.
            for name in [format!("{key}s"), format!("x_{key}")] {
                let mut json = plain.clone();
                json.remove(key);
                json.insert(name.clone(), value.clone());
                for read in of(&json) {
                    let message = read.expect_err("refused").to_string();
                    let named = message.contains(&format!("`{name}` is"));
                    assert!(named, "{} with `{name}`: {message}", plain["model_type"]);
                }
            }
        }
    }
}

#[test]
fn all_unknown_keys_are_named_at_once_with_what_to_do() {
    let plain = &of_library("transformers-4.json")["llama"];
    let json = with(&with(plain, "scale_depth", json!(1.4)), "dim_model_base", json!(256));
    let error = TransformerConfig::from_json(&json).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "`dim_model_base` is 256, `scale_depth` is 1.4; this version does not know what they mean, and they may \
         change what the model computes"
    );
    let hint = CheckpointError::Config { path: "config.json".into(), source: error }.hint();
    assert!(hint.is_some_and(|hint| hint.contains("can be removed from `config.json`")));
}

#[test]
fn an_unknown_parameter_of_rotary_positions_is_refused_by_its_name() {
    let plain = &of_library("transformers-4.json")["llama"];
    let scaling = json!({"rope_type": "linear", "factor": 2.0, "bend": 0.5, "nothing": null});
    let message = TransformerConfig::from_json(&with(plain, "rope_scaling", scaling)).expect_err("refused");
    assert!(message.to_string().starts_with("`bend` is 0.5; "), "{message}");
}

#[test]
fn a_switch_is_refused_where_it_is_set() {
    for plain in of_library("transformers-4.json").into_values() {
        for keys in tables(architecture(&plain)).into_iter().flatten() {
            let (key, others) = match *keys {
                Keys::Only(key, _) => (key, [json!(true), json!(false), json!(0.25), json!({"0": [1]})]),
                Keys::Alias(key, _) => (key, [json!(true), json!(false), json!(7), json!("snake")]),
                Keys::Read(_) | Keys::Idle(_) => continue,
            };
            let refused = others.iter().filter(|&other| {
                let message = TransformerConfig::from_json(&with(&plain, key, other.clone())).err();
                message.is_some_and(|message| message.to_string().contains(&format!("`{key}`")))
            });
            assert!(refused.count() >= 3, "{}: `{key}`", plain["model_type"]);
        }
    }
}

#[test]
fn two_names_of_a_key_must_say_the_same() {
    let plain = &of_library("transformers-4.json")["gpt2"];
    let message =
        TransformerConfig::from_json(&with(plain, "hidden_size", json!(1024))).expect_err("refused");
    let expected = "`hidden_size` is 1024 and `n_embd` is 768; they mean the same and must say the same";
    assert_eq!(message.to_string(), expected);
}

/// Whether another backbone or an error comes of some other value.
fn matters(json: &Json, key: &str) -> bool {
    let others = [
        json!("snake"),
        json!(1),
        json!(7),
        json!(0.5),
        json!(true),
        json!(false),
        json!([1]),
        json!(1 << 20),
    ];
    others.into_iter().any(|value| of(&with(json, key, value)) != of(json))
}

/// Whether it does where some other key, which says it too, is left out.
fn matters_alone(json: &Json, key: &str) -> bool {
    json.keys().any(|other| {
        let mut json = json.clone();
        json.remove(other);
        other != key && matters(&json, key)
    })
}

#[test]
fn something_comes_of_every_key_that_is_called_read() {
    let mut all = bases();
    let qwen3 = all.iter().find(|json| json["model_type"] == "qwen3").expect("a base").clone();
    all.push(with(&with(&qwen3, "use_sliding_window", json!(true)), "sliding_window", json!(3)));
    let yarn = json!({"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 16});
    let scaled = all.iter().filter(|json| json.contains_key("rms_norm_eps"));
    all.extend(scaled.map(|json| with(json, "rope_scaling", yarn.clone())).collect::<Vec<_>>());
    for architecture in Architecture::ALL {
        let own: Vec<&Json> = all.iter().filter(|json| self::architecture(json) == architecture).collect();
        // What all have is read by whoever opens the folder.
        for keys in tables(architecture).into_iter().skip(1).flatten() {
            let Keys::Read(keys) = *keys else { continue };
            for key in keys.iter().filter(|key| matches!(known(architecture, key), Some(Keys::Read(_)))) {
                let is_read = own.iter().any(|json| matters(json, key) || matters_alone(json, key));
                assert!(is_read, "{architecture}: `{key}` is read by nothing");
            }
        }
    }
}
