//! `DistilBERT` (Sanh et al. 2019) as `transformers` stores it: BERT without segments, whose pooler
//! belongs to the model classes with a head and ends in a rectifier.

use hub_schemas::{
    backbone::{Architecture, BackboneShape},
    method::Activation,
};
use serde_json::{Map, Value};

use super::{ConfigError, EncoderParts, NormKind, NormOrder, Positions, TransformerConfig, count, fraction};

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let shape = BackboneShape {
        hidden_size: count(json, "dim")?,
        num_layers: count(json, "n_layers")?,
        num_heads: count(json, "n_heads")?,
        intermediate_size: count(json, "hidden_dim")?,
        vocab_size: count(json, "vocab_size")?,
        max_positions: count(json, "max_position_embeddings")?,
        token_types: 0,
        num_kv_heads: None,
        head_dim: None,
        embedding_size: None,
    };
    shape.validate()?;
    Ok(TransformerConfig {
        architecture: Architecture::DistilBert,
        shape,
        positions: Positions::Learned,
        norm_order: NormOrder::Post,
        norm_kind: NormKind::Layer,
        is_causal: false,
        window: None,
        attention_bias: true,
        attention_output_bias: true,
        normalises_heads: false,
        embedding_scale: None,
        ffn_bias: true,
        padding_id: json.get("pad_token_id").and_then(Value::as_u64).unwrap_or(0) as u32,
        norm_eps: 1e-12,
        attention_dropout: fraction(json, "attention_dropout", 0.1)?,
        activation: json.get("activation").and_then(Value::as_str).unwrap_or("gelu").parse()?,
        encoder: EncoderParts { pooler_activation: Activation::Relu, ..EncoderParts::default() },
    })
}
