//! Gemma (Gemma Team 2024), as `transformers` stores it.

use hub_schemas::backbone::Architecture;
use serde_json::{Map, Value, json};

use super::{ConfigError, NormKind, TransformerConfig, llama, only};

/// LLaMA with embeddings multiplied by the root of their width and gains stored less one.
pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let mut json = json.clone();
    json.entry("head_dim").or_insert(json!(256));
    json.entry("num_key_value_heads").or_insert(json!(16));
    json.entry("max_position_embeddings").or_insert(json!(8192));
    json.entry("hidden_act").or_insert(json!("gelu_pytorch_tanh"));
    // It has looked at bidirectional attention since `transformers` 4.57.
    only(&json, "use_bidirectional_attention", &json!(false))?;
    let config = llama::config(&json)?;
    Ok(TransformerConfig {
        architecture: Architecture::Gemma,
        norm_kind: NormKind::RmsFromOne,
        embedding_scale: Some((config.shape.hidden_size as f64).sqrt()),
        ..config
    })
}
