//! GPT-2 (Radford et al. 2019) as `transformers` stores it: weights of linear layers are `[in, out]`.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value};

use super::{
    ConfigError, NormOrder, TransformerConfig, activation, count, fraction,
    keys::{
        Keys::{self, Alias, Idle, Only, Read},
        Usual::{No, Yes},
    },
    names_padding, optional_count, padding_id,
};

pub(super) const KEYS: &[Keys] = &[
    Read(&[
        "activation_function",
        "attn_pdrop",
        "layer_norm_epsilon",
        "n_embd",
        "n_head",
        "n_inner",
        "n_layer",
        "n_positions",
        "vocab_size",
    ]),
    Idle(&[
        "embd_pdrop",
        // Of the first versions of the library: the size of a mask, and words of GPT's own training.
        "n_ctx",
        "n_special",
        "predict_special_tokens",
        // The same scores, in single precision where all else is in half.
        "reorder_and_upcast_attn",
        "resid_pdrop",
    ]),
    Only("scale_attn_by_inverse_layer_idx", No),
    Only("scale_attn_weights", Yes),
    Alias("hidden_size", "n_embd"),
    Alias("max_position_embeddings", "n_positions"),
    Alias("num_attention_heads", "n_head"),
    Alias("num_hidden_layers", "n_layer"),
];

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
    Ok(TransformerConfig {
        norm_order: NormOrder::Pre,
        is_causal: true,
        padding_id: padding_id(json, 0)?,
        names_padding: names_padding(json),
        norm_eps: fraction(json, "layer_norm_epsilon", 1e-5)?,
        attention_dropout: fraction(json, "attn_pdrop", 0.1)?,
        activation: activation(json, "activation_function", "gelu_new")?,
        ..TransformerConfig::usual(Architecture::Gpt2, shape)
    })
}
