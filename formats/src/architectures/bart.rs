//! BART (Lewis et al. 2020) and mBART (Liu et al. 2020) as `transformers` stores it.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value, json};

use super::{
    ConfigError, NormOrder, Positions, Seq2SeqParts, TransformerConfig, activation, count, flag, fraction,
    only, padding_id,
    seq2seq_parts::{of_both, token_id},
};

/// Rows of a table of positions that no position has.
const OFFSET: usize = 2;

pub(super) fn config(
    json: &Map<String, Value>,
    architecture: Architecture,
) -> Result<TransformerConfig, ConfigError> {
    let is_multilingual = architecture == Architecture::MBart;
    // Switches of the original implementation: the library's classes know one value of each.
    for (key, usual) in [
        ("normalize_before", json!(is_multilingual)),
        ("add_final_layer_norm", json!(is_multilingual)),
        ("normalize_embedding", json!(true)),
        ("static_position_embeddings", json!(false)),
        ("extra_pos_embeddings", json!(OFFSET)),
        ("is_encoder_decoder", json!(true)),
        // Without it both stacks and the output have tables of their own.
        ("tie_word_embeddings", json!(true)),
    ] {
        only(json, key, &usual)?;
    }
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
        padding_id: padding_id(json, 1),
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
