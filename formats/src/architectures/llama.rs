//! LLaMA (Touvron et al. 2023) and what is built like it, such as SmolLM and Mistral (Jiang et al. 2023),
//! as `transformers` stores them.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value, json};

use super::{
    ConfigError, DecoderParts, NormKind, NormOrder, Positions, RopeScaling, TransformerConfig, Window,
    activation, count, flag, fraction,
    keys::{
        Keys::{self, Only, Read},
        Usual::No,
    },
    names_padding, optional_count, padding_id,
    rope::rope,
};

/// The keys of a LLaMA, and of what is built like it.
pub(super) const KEYS: &[Keys] = &[
    Read(&[
        "attention_bias",
        "attention_dropout",
        "head_dim",
        "hidden_act",
        "hidden_size",
        "intermediate_size",
        "max_position_embeddings",
        "mlp_bias",
        "num_attention_heads",
        "num_hidden_layers",
        "num_key_value_heads",
        "original_max_position_embeddings",
        "partial_rotary_factor",
        "rms_norm_eps",
        "rope_parameters",
        "rope_scaling",
        "rope_theta",
        "vocab_size",
    ]),
    // SmolLM's trainer has heads whose components stand in another order.
    Only("rope_interleaved", No),
];

/// Beside those of a LLaMA.
pub(super) const MISTRAL_KEYS: &[Keys] = &[Read(&["sliding_window"])];

/// Mistral: LLaMA with other defaults, and with a window in every layer.
pub(super) fn mistral(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let window = match json.get("sliding_window") {
        None => Some(4096),
        Some(_) => optional_count(json, "sliding_window")?,
    };
    let mut json = json.clone();
    json.entry("num_key_value_heads").or_insert(json!(8));
    json.entry("max_position_embeddings").or_insert(json!(131_072));
    let config = config(&json)?;
    // Mistral's own code knows no `layer_types`: it slides everywhere, or nowhere.
    json.remove("layer_types");
    let window = Window::of(&json, window, config.shape.num_layers, |_| true)?;
    Ok(TransformerConfig {
        architecture: Architecture::Mistral,
        decoder: DecoderParts { window, ..config.decoder },
        ..config
    })
}

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let shape = BackboneShape {
        hidden_size: count(json, "hidden_size")?,
        num_layers: count(json, "num_hidden_layers")?,
        num_heads: count(json, "num_attention_heads")?,
        intermediate_size: count(json, "intermediate_size")?,
        vocab_size: count(json, "vocab_size")?,
        max_positions: optional_count(json, "max_position_embeddings")?.unwrap_or(2048),
        num_kv_heads: optional_count(json, "num_key_value_heads")?,
        head_dim: optional_count(json, "head_dim")?,
        ..BackboneShape::EMPTY
    };
    // One dimension is stated in one way only, so that equal shapes are equal.
    let shape = BackboneShape {
        num_kv_heads: shape.num_kv_heads.filter(|&heads| heads != shape.num_heads),
        head_dim: shape.head_dim.filter(|&width| width * shape.num_heads != shape.hidden_size),
        ..shape
    };
    shape.validate()?;
    let rope = rope(json, shape.max_positions)?;
    // The exponent of a base that grows is `w / (w − 2)`.
    let least = if matches!(rope.scaling, RopeScaling::Dynamic { .. }) { 4 } else { 2 };
    if !shape.head_width().is_multiple_of(2) || shape.head_width() < least {
        return Err(ConfigError::Field {
            key: "head_dim",
            found: shape.head_width().to_string(),
            expected: "rotary positions need heads of an even width, of 4 or more where they are dynamic",
        });
    }
    Ok(TransformerConfig {
        positions: Positions::Rotary(rope),
        norm_order: NormOrder::Pre,
        norm_kind: NormKind::Rms,
        is_causal: true,
        attention_bias: flag(json, "attention_bias")?,
        attention_output_bias: flag(json, "attention_bias")?,
        ffn_bias: flag(json, "mlp_bias")?,
        padding_id: padding_id(json, 0)?,
        names_padding: names_padding(json),
        norm_eps: fraction(json, "rms_norm_eps", 1e-6)?,
        attention_dropout: fraction(json, "attention_dropout", 0.0)?,
        activation: activation(json, "hidden_act", "silu")?,
        ..TransformerConfig::usual(Architecture::Llama, shape)
    })
}
