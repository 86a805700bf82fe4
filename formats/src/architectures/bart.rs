//! BART (Lewis et al. 2020) and mBART (Liu et al. 2020) as `transformers` stores it.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value};

use super::{
    ConfigError, NormOrder, Positions, Seq2SeqParts, TransformerConfig, activation, count, flag, fraction,
    keys::{
        Keys::{self, Idle, Only, Read},
        Usual::{No, Number, Yes},
    },
    padding_id,
    seq2seq_parts::{of_both, token_id},
};

/// Rows of a table of positions that no position has.
const OFFSET: usize = 2;

/// Beside those of two stacks. The switches are the original implementation's: the library's classes know one value of each.
pub(super) const KEYS: &[Keys] = &[
    Read(&["max_position_embeddings", "scale_embedding"]),
    Idle(&[
        "classif_dropout",
        // Of how answers begin.
        "force_bos_token_to_be_generated",
    ]),
    Only("add_bias_logits", No),
    Only("extra_pos_embeddings", Number(OFFSET as u32)),
    Only("normalize_embedding", Yes),
    Only("static_position_embeddings", No),
    // Without it both stacks and the output have tables of their own.
    Only("tie_word_embeddings", Yes),
];

/// BART's norms stand behind the residual sums.
pub(super) const BART_KEYS: &[Keys] = &[Only("add_final_layer_norm", No), Only("normalize_before", No)];

/// mBART's stand in front of the sub-layers.
pub(super) const MBART_KEYS: &[Keys] = &[Only("add_final_layer_norm", Yes), Only("normalize_before", Yes)];

pub(super) fn config(
    json: &Map<String, Value>,
    architecture: Architecture,
) -> Result<TransformerConfig, ConfigError> {
    let is_multilingual = architecture == Architecture::MBart;
    let decoder_layers = count(json, "decoder_layers")?;
    let (num_heads, decoder_heads) = of_both(json, "encoder_attention_heads", "decoder_attention_heads")?;
    let (intermediate_size, decoder_intermediate_size) = of_both(json, "encoder_ffn_dim", "decoder_ffn_dim")?;
    let shape = BackboneShape {
        hidden_size: count(json, "d_model")?,
        num_layers: count(json, "encoder_layers")?.saturating_add(decoder_layers),
        num_heads,
        intermediate_size,
        vocab_size: count(json, "vocab_size")?,
        max_positions: count(json, "max_position_embeddings")?.saturating_add(OFFSET),
        decoder_layers: Some(decoder_layers),
        decoder_heads,
        decoder_intermediate_size,
        ..BackboneShape::EMPTY
    };
    shape.validate()?;
    let scales = flag(json, "scale_embedding")?;
    Ok(TransformerConfig {
        positions: Positions::LearnedBehind(OFFSET),
        embedding_scale: scales.then(|| (shape.hidden_size as f64).sqrt()),
        padding_id: padding_id(json, 1)?,
        // PyTorch's: the configuration has no word for it.
        norm_eps: 1e-5,
        attention_dropout: fraction(json, "attention_dropout", 0.0)?,
        activation: activation(json, "activation_function", "gelu")?,
        seq2seq: Seq2SeqParts {
            start_token: token_id(json, "decoder_start_token_id", shape.vocab_size)?
                .or_else(|| (!is_multilingual).then_some(2)),
            reads_input: true,
            turns_input: is_multilingual,
            output_scale: None,
            end_token: Some(token_id(json, "eos_token_id", shape.vocab_size)?.unwrap_or(2)),
        },
        norm_order: if is_multilingual { NormOrder::Pre } else { NormOrder::Post },
        ..TransformerConfig::usual(architecture, shape)
    })
}
