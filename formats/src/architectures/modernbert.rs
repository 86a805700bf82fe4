//! `ModernBERT` (Warner et al. 2024) as `transformers` stores it: pre-norm with rotary positions,
//! a gated feed-forward network, and layers that look only around most of the time.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value};

use super::{
    ConfigError, EncoderParts, LocalAttention, NormOrder, Positions, Rope, RopeScaling, TransformerConfig,
    count, flag, fraction, only, optional_count, padding_id, shown, word,
};

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let shape = BackboneShape {
        hidden_size: count(json, "hidden_size")?,
        num_layers: count(json, "num_hidden_layers")?,
        num_heads: count(json, "num_attention_heads")?,
        intermediate_size: count(json, "intermediate_size")?,
        vocab_size: count(json, "vocab_size")?,
        max_positions: optional_count(json, "max_position_embeddings")?.unwrap_or(8192),
        ..BackboneShape::EMPTY
    };
    shape.validate()?;
    if !shape.head_width().is_multiple_of(2) {
        return Err(ConfigError::Field {
            key: "num_attention_heads",
            found: shape.num_heads.to_string(),
            expected: "rotary positions need heads of an even width",
        });
    }
    only(json, "rope_scaling", &Value::Null)?;
    let global = theta(json, "global_rope_theta")?.unwrap_or(160_000.0);
    let local = match json.get("local_rope_theta") {
        Some(Value::Null) => global,
        _ => theta(json, "local_rope_theta")?.unwrap_or(10_000.0),
    };
    let pooling = word(json, "classifier_pooling", "cls");
    if pooling != "cls" && pooling != "mean" {
        return Err(ConfigError::Field {
            key: "classifier_pooling",
            found: pooling.to_owned(),
            expected: "`cls` and `mean` are supported",
        });
    }
    Ok(TransformerConfig {
        positions: Positions::Rotary(Rope { theta: global, scaling: RopeScaling::None }),
        norm_order: NormOrder::Pre,
        attention_bias: flag(json, "attention_bias")?,
        attention_output_bias: flag(json, "attention_bias")?,
        ffn_bias: flag(json, "mlp_bias")?,
        padding_id: padding_id(json, 50_283),
        norm_eps: fraction(json, "norm_eps", 1e-5)?,
        attention_dropout: fraction(json, "attention_dropout", 0.0)?,
        activation: word(json, "hidden_activation", "gelu").parse()?,
        encoder: EncoderParts {
            pooler_activation: word(json, "classifier_activation", "gelu").parse()?,
            pools_mean: pooling == "mean",
            local: Some(LocalAttention {
                every: optional_count(json, "global_attn_every_n_layers")?.unwrap_or(3),
                reach: optional_count(json, "local_attention")?.unwrap_or(128) / 2,
                rope: Rope { theta: local, scaling: RopeScaling::None },
            }),
            lacks_norm_bias: !flag(json, "norm_bias")?,
            ..EncoderParts::default()
        },
        ..TransformerConfig::usual(Architecture::ModernBert, shape)
    })
}

fn theta(json: &Map<String, Value>, key: &'static str) -> Result<Option<f64>, ConfigError> {
    match json.get(key) {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|n| *n > 0.0 && n.is_finite()).map(Some).ok_or_else(|| {
            ConfigError::Field { key, found: shown(Some(value)), expected: "it must be a positive number" }
        }),
    }
}
