//! BERT (Devlin et al. 2019) as `transformers` stores it.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value};

use super::{
    ConfigError, TransformerConfig, activation, count,
    keys::Keys::{self, Idle, Read},
    padding_id, shown, word,
};

/// The keys of a BERT, and of what is built like it.
pub(super) const KEYS: &[Keys] = &[
    Read(&[
        "attention_probs_dropout_prob",
        "hidden_act",
        "hidden_size",
        "intermediate_size",
        "layer_norm_eps",
        "max_position_embeddings",
        "num_attention_heads",
        "num_hidden_layers",
        "position_embedding_type",
        "type_vocab_size",
        "vocab_size",
    ]),
    Idle(&[
        "hidden_dropout_prob",
        // Of the first multilingual ones; no class of the library reads them.
        "directionality",
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_size_per_head",
        "pooler_type",
    ]),
];

pub(super) fn config(
    json: &Map<String, Value>,
    architecture: Architecture,
) -> Result<TransformerConfig, ConfigError> {
    let shape = BackboneShape {
        hidden_size: count(json, "hidden_size")?,
        num_layers: count(json, "num_hidden_layers")?,
        num_heads: count(json, "num_attention_heads")?,
        intermediate_size: count(json, "intermediate_size")?,
        vocab_size: count(json, "vocab_size")?,
        max_positions: count(json, "max_position_embeddings")?,
        token_types: count(json, "type_vocab_size")?,
        ..BackboneShape::EMPTY
    };
    shape.validate()?;
    let positions = word(json, "position_embedding_type", "absolute");
    if positions != "absolute" {
        return Err(ConfigError::Field {
            key: "position_embedding_type",
            found: positions.to_owned(),
            expected: "only `absolute` positions are supported",
        });
    }
    let norm_eps = match json.get("layer_norm_eps") {
        None => 1e-12,
        Some(value) => {
            value.as_f64().filter(|e| (0.0..1.0).contains(e)).ok_or_else(|| ConfigError::Field {
                key: "layer_norm_eps",
                found: shown(Some(value)),
                expected: "it must be a small positive number",
            })?
        }
    };
    Ok(TransformerConfig {
        padding_id: padding_id(json, 0)?,
        norm_eps,
        attention_dropout: json
            .get("attention_probs_dropout_prob")
            .and_then(Value::as_f64)
            .filter(|p| (0.0..1.0).contains(p))
            .unwrap_or(0.1),
        activation: activation(json, "hidden_act", "gelu")?,
        ..TransformerConfig::usual(architecture, shape)
    })
}
