//! Qwen2 (Yang et al. 2024) and Qwen3 (Yang et al. 2025), as `transformers` stores them.

use hub_schemas::backbone::Architecture;
use serde_json::{Map, Value, json};

use super::{ConfigError, TransformerConfig, flag, llama, optional_count};

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
    Ok(TransformerConfig { architecture: Architecture::Qwen3, normalises_heads: true, ..config })
}

fn common(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let mut json = json.clone();
    json.entry("num_key_value_heads").or_insert(json!(32));
    json.entry("max_position_embeddings").or_insert(json!(32_768));
    let window = window(&json)?;
    Ok(TransformerConfig { window, ..llama::config(&json)? })
}

/// The window of the upper layers. Inputs longer than it are refused: within it, it hides nothing.
fn window(json: &Map<String, Value>) -> Result<Option<usize>, ConfigError> {
    if !flag(json, "use_sliding_window")? {
        return Ok(None);
    }
    let layers = optional_count(json, "num_hidden_layers")?.unwrap_or(usize::MAX);
    // Layers below this one see everything.
    let first = json.get("max_window_layers").and_then(Value::as_u64).unwrap_or(28);
    let slides = |kind: &Value| kind == "sliding_attention";
    let some = match json.get("layer_types").and_then(Value::as_array) {
        Some(kinds) => kinds.iter().any(slides),
        None => first < layers as u64,
    };
    match json.get("sliding_window") {
        _ if !some => Ok(None),
        None => Ok(Some(4096)),
        Some(_) => optional_count(json, "sliding_window"),
    }
}
