//! `ModernBERT` (Warner et al. 2024) as `transformers` stores it: pre-norm with rotary positions,
//! a gated feed-forward network, and layers that look only around most of the time.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value};

use super::{
    ConfigError, EncoderParts, LocalAttention, NormOrder, Positions, Rope, RopeScaling, TransformerConfig,
    activation, count,
    decoder_parts::layer_types,
    flag, fraction,
    keys::{
        Keys::{self, Alias, Idle, Only, Read},
        Usual::Null,
    },
    optional_count, padding_id,
    rope::base_of_kind,
    word,
};

pub(super) const KEYS: &[Keys] = &[
    Read(&[
        "attention_bias",
        "attention_dropout",
        "classifier_activation",
        "classifier_pooling",
        "global_attn_every_n_layers",
        "global_rope_theta",
        "hidden_activation",
        "hidden_size",
        "intermediate_size",
        "local_attention",
        "local_rope_theta",
        "max_position_embeddings",
        "mlp_bias",
        "norm_bias",
        "norm_eps",
        "num_attention_heads",
        "num_hidden_layers",
        "rope_parameters",
        "vocab_size",
    ]),
    Idle(&[
        // Whether a head has biases, its tensors say.
        "classifier_bias",
        "decoder_bias",
        "deterministic_flash_attn",
        "embedding_dropout",
        "initializer_cutoff_factor",
        // No class of the library reads these two: it is `norm_eps`, and positions are rotary.
        "layer_norm_eps",
        "position_embedding_type",
        "mlp_dropout",
        "reference_compile",
        "repad_logits_with_grad",
        // Which positions of a batch are given back.
        "sparse_pred_ignore_index",
        "sparse_prediction",
    ]),
    Only("rope_scaling", Null),
    Alias("rope_theta", "global_rope_theta"),
];

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
    if json.get("global_rope_theta") == Some(&Value::Null) {
        count(json, "global_rope_theta")?;
    }
    let global = base_of_kind(json, "full_attention", "global_rope_theta")?.unwrap_or(160_000.0);
    let local = base_of_kind(json, "sliding_attention", "local_rope_theta")?;
    let local = match json.get("local_rope_theta") {
        Some(Value::Null) => local.unwrap_or(global),
        _ => local.unwrap_or(10_000.0),
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
        padding_id: padding_id(json, 50_283)?,
        norm_eps: fraction(json, "norm_eps", 1e-5)?,
        attention_dropout: fraction(json, "attention_dropout", 0.0)?,
        activation: activation(json, "hidden_activation", "gelu")?,
        encoder: EncoderParts {
            pooler_activation: activation(json, "classifier_activation", "gelu")?,
            pools_mean: pooling == "mean",
            local: Some(LocalAttention {
                every: every(json, shape.num_layers)?,
                reach: optional_count(json, "local_attention")?.unwrap_or(128) / 2,
                rope: Rope { theta: local, scaling: RopeScaling::None },
            }),
            lacks_norm_bias: !flag(json, "norm_bias")?,
            ..EncoderParts::default()
        },
        ..TransformerConfig::usual(Architecture::ModernBert, shape)
    })
}

/// Of how many layers one looks everywhere: as it is stated, or as `layer_types` begins. That these say it of every layer
/// is checked for every architecture.
fn every(json: &Map<String, Value>, num_layers: usize) -> Result<usize, ConfigError> {
    if let Some(every) = optional_count(json, "global_attn_every_n_layers")? {
        return Ok(every);
    }
    let Some(kinds) = json.get("layer_types").filter(|kinds| !kinds.is_null()) else { return Ok(3) };
    let next = layer_types(kinds, num_layers)?.into_iter().skip(1).position(|slides| !slides);
    Ok(next.map_or(num_layers, |between| between + 1))
}
