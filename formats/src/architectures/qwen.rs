//! Qwen2 (Yang et al. 2024) and Qwen3 (Yang et al. 2025), as `transformers` stores them.

use hub_schemas::backbone::Architecture;
use serde_json::{Map, Value, json};

use super::{
    ConfigError, DecoderParts, TransformerConfig, Window, flag,
    keys::{
        Keys::{self, Only, Read},
        Usual::No,
    },
    llama, optional, optional_count,
};

/// Beside those of a LLaMA.
pub(super) const KEYS: &[Keys] = &[
    Read(&["max_window_layers", "sliding_window", "use_sliding_window"]),
    // Positions in three dimensions, of pictures.
    Only("use_mrope", No),
];

/// LLaMA with biases on queries, keys and values, and nowhere else.
pub(super) fn qwen2(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let config = common(json)?;
    Ok(TransformerConfig { architecture: Architecture::Qwen2, attention_bias: true, ..config })
}

/// LLaMA with norms on the queries and keys of every head.
pub(super) fn qwen3(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let mut json = json.clone();
    json.entry("head_dim").or_insert(json!(128));
    let config = common(&json)?;
    Ok(TransformerConfig { architecture: Architecture::Qwen3, ..config })
}

fn common(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let mut json = json.clone();
    json.entry("num_key_value_heads").or_insert(json!(32));
    json.entry("max_position_embeddings").or_insert(json!(32_768));
    let config = llama::config(&json)?;
    let window = window(&json, config.shape.num_layers)?;
    Ok(TransformerConfig { decoder: DecoderParts { window, ..config.decoder }, ..config })
}

/// From which layer on there is a window.
const FIRST: &str = "max_window_layers";

/// The window of the upper layers, or of those that are named.
fn window(json: &Map<String, Value>, num_layers: usize) -> Result<Option<Window>, ConfigError> {
    if !flag(json, "use_sliding_window")? {
        return Ok(None);
    }
    let tokens = match json.get("sliding_window") {
        None => Some(4096),
        Some(_) => optional_count(json, "sliding_window")?,
    };
    // Layers below this one see everything.
    let first = optional(json, FIRST, Value::as_u64, "it must be a number of layers")?.unwrap_or(28);
    Window::of(json, tokens, num_layers, |layer| layer as u64 >= first)
}
