//! The `config.json` that a GGUF file amounts to.

use std::collections::BTreeMap;

use hub_schemas::layout::TensorInfo;
use serde_json::{Map, Value, json};

use super::{
    GgufError,
    metadata::{Meta, Metadata},
    required,
};

/// Keys that change nothing, or that are looked at here, behind `llama.`.
const SEEN: [&str; 14] = [
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_rms_epsilon",
    "attention.value_length",
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.factor",
    "rope.scaling.type",
    "vocab_size",
];

pub(super) fn json(
    metadata: &Metadata,
    tensors: &BTreeMap<String, TensorInfo>,
) -> Result<Map<String, Value>, GgufError> {
    refuse_unknown(metadata)?;
    let key = |name: &str| format!("llama.{name}");
    let wrong = |name: &str, reason: &str| GgufError::Key { key: key(name), reason: reason.to_owned() };
    let count = |name: &str| {
        required(metadata, &key(name))?.count().ok_or_else(|| wrong(name, "is not one positive number"))
    };
    let number = |name: &str| metadata.get(&key(name)).and_then(Meta::number);
    let heads = count("attention.head_count")?;
    let hidden = count("embedding_length")?;
    let width = match metadata.get(&key("attention.key_length")) {
        Some(_) => count("attention.key_length")?,
        None => hidden / heads.max(1),
    };
    for (name, found) in [
        ("attention.value_length", metadata.get(&key("attention.value_length")).map(Meta::count)),
        ("rope.dimension_count", metadata.get(&key("rope.dimension_count")).map(Meta::count)),
    ] {
        if found.is_some_and(|found| found != Some(width)) {
            return Err(wrong(name, &format!("is not {width}, the width of a head's keys")));
        }
    }
    let vocabulary = tensors.get("model.embed_tokens.weight").and_then(|info| info.shape.first().copied());
    let scaling = match metadata.get(&key("rope.scaling.type")).and_then(Meta::text) {
        None | Some("none") => Value::Null,
        Some("linear") => json!({ "rope_type": "linear", "factor": number("rope.scaling.factor") }),
        Some(other) => {
            return Err(wrong("rope.scaling.type", &format!("is `{other}`; `none` and `linear` are read")));
        }
    };
    let json = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": hidden,
        "head_dim": width,
        "intermediate_size": count("feed_forward_length")?,
        "max_position_embeddings": count("context_length")?,
        "num_attention_heads": heads,
        "num_hidden_layers": count("block_count")?,
        "num_key_value_heads": metadata.get(&key("attention.head_count_kv")).and_then(Meta::count).unwrap_or(heads),
        "rms_norm_eps": rounded(number("attention.layer_norm_rms_epsilon").unwrap_or(1e-5)),
        "rope_scaling": scaling,
        "rope_theta": number("rope.freq_base").unwrap_or(10_000.0),
        "tie_word_embeddings": !tensors.contains_key("lm_head.weight"),
        "vocab_size": vocabulary,
        "pad_token_id": metadata.get("tokenizer.ggml.padding_token_id").and_then(Meta::count),
        "eos_token_id": metadata.get("tokenizer.ggml.eos_token_id").and_then(Meta::count),
        "bos_token_id": metadata.get("tokenizer.ggml.bos_token_id").and_then(Meta::count),
    });
    match json {
        Value::Object(json) => Ok(json),
        _ => Ok(Map::new()),
    }
}

/// A key of the model that nobody looks at may change what it computes.
fn refuse_unknown(metadata: &Metadata) -> Result<(), GgufError> {
    let own = metadata.keys().filter_map(|key| Some((key, key.strip_prefix("llama.")?)));
    match own.into_iter().find(|(_, name)| !SEEN.contains(name)) {
        None => Ok(()),
        Some((key, _)) => Err(GgufError::Key {
            key: key.clone(),
            reason: "has a meaning that this version does not know".into(),
        }),
    }
}

/// The decimal number that a single-precision one was written for: 1e-5, not 0.00000999999974….
fn rounded(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}
