//! Gemma and Gemma 2 (Gemma Team 2024), as `transformers` stores them.

use hub_schemas::backbone::Architecture;
use serde_json::{Map, Value, json};

use super::{
    ConfigError, DecoderParts, NormKind, TransformerConfig, Window,
    keys::{
        Keys::{self, Idle, Only, Read},
        Usual::No,
    },
    llama, only, optional_count, optional_number,
};

/// Beside those of a LLaMA.
pub(super) const KEYS: &[Keys] = &[
    Read(&["hidden_activation"]),
    // The library has looked at it since 4.57.
    Only("use_bidirectional_attention", No),
];

/// Beside those of a Gemma. Gemma 2's code does not read `hidden_act`, nor the second name of its window.
pub(super) const GEMMA2_KEYS: &[Keys] = &[
    Read(&["attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar", "sliding_window"]),
    Idle(&["hidden_act", "sliding_window_size"]),
];

/// LLaMA with embeddings multiplied by the root of their width and gains stored less one.
pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let mut json = json.clone();
    json.entry("head_dim").or_insert(json!(256));
    json.entry("num_key_value_heads").or_insert(json!(16));
    json.entry("max_position_embeddings").or_insert(json!(8192));
    let activation = json.entry("hidden_act").or_insert(json!("gelu_pytorch_tanh")).clone();
    // Versions of the library differ in which of the two they read.
    only(&json, "hidden_activation", &activation)?;
    let config = llama::config(&json)?;
    Ok(TransformerConfig {
        architecture: Architecture::Gemma,
        norm_kind: NormKind::RmsFromOne,
        embedding_scale: Some((config.shape.hidden_size as f64).sqrt()),
        ..config
    })
}

/// Gemma with norms behind the sub-layers too, bounded scores, and a window in every other layer.
pub(super) fn gemma2(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let mut json = json.clone();
    json.entry("num_key_value_heads").or_insert(json!(4));
    // Gemma 2's code reads this key alone.
    let activation = json.remove("hidden_activation").filter(|name| !name.is_null());
    json.insert("hidden_act".to_owned(), activation.unwrap_or(json!("gelu_pytorch_tanh")));
    let number = |key: &'static str, usual: f64| match json.get(key) {
        None => Ok(Some(usual)),
        Some(_) => optional_number(&json, key),
    };
    let tokens = match json.get("sliding_window") {
        None => Some(4096),
        Some(_) => optional_count(&json, "sliding_window")?,
    };
    let config = config(&json)?;
    let decoder = DecoderParts {
        window: Window::of(&json, tokens, config.shape.num_layers, |layer| layer.is_multiple_of(2))?,
        query_scalar: number("query_pre_attn_scalar", 256.0)?,
        attention_soft_cap: number("attn_logit_softcapping", 50.0)?,
        logit_soft_cap: number("final_logit_softcapping", 30.0)?,
    };
    Ok(TransformerConfig { architecture: Architecture::Gemma2, decoder, ..config })
}
