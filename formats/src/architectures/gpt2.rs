//! GPT-2 (Radford et al. 2019) as `transformers` stores it: weights of linear layers are `[in, out]`.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value, json};

use super::{
    ConfigError, NormOrder, TransformerConfig, activation, count, fraction, names_padding, only,
    optional_count, padding_id,
};

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let hidden_size = count(json, "n_embd")?;
    let shape = BackboneShape {
        hidden_size,
        num_layers: count(json, "n_layer")?,
        num_heads: count(json, "n_head")?,
        intermediate_size: optional_count(json, "n_inner")?.unwrap_or(4 * hidden_size),
        vocab_size: count(json, "vocab_size")?,
        max_positions: count(json, "n_positions")?,
        ..BackboneShape::EMPTY
    };
    shape.validate()?;
    only(json, "scale_attn_weights", &json!(true))?;
    only(json, "scale_attn_by_inverse_layer_idx", &json!(false))?;
    only(json, "add_cross_attention", &json!(false))?;
    Ok(TransformerConfig {
        norm_order: NormOrder::Pre,
        is_causal: true,
        padding_id: padding_id(json, 0),
        names_padding: names_padding(json),
        norm_eps: fraction(json, "layer_norm_epsilon", 1e-5)?,
        attention_dropout: fraction(json, "attn_pdrop", 0.1)?,
        activation: activation(json, "activation_function", "gelu_new")?,
        ..TransformerConfig::usual(Architecture::Gpt2, shape)
    })
}
