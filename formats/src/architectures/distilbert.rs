//! `DistilBERT` (Sanh et al. 2019) as `transformers` stores it: BERT without segments, whose pooler
//! belongs to the model classes with a head and ends in a rectifier.

use hub_schemas::{
    backbone::{Architecture, BackboneShape},
    method::Activation,
};
use serde_json::{Map, Value};

use super::{
    ConfigError, EncoderParts, TransformerConfig, activation, count, fraction,
    keys::{
        Keys::{self, Alias, Idle, Only, Read},
        Usual::Yes,
    },
    padding_id,
};

pub(super) const KEYS: &[Keys] = &[
    Read(&[
        "activation",
        "attention_dropout",
        "dim",
        "hidden_dim",
        "max_position_embeddings",
        "n_heads",
        "n_layers",
        "vocab_size",
    ]),
    // The table of positions is in the checkpoint, however it was made.
    Idle(&["dropout", "qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds"]),
    Only("tie_weights_", Yes),
    Alias("hidden_size", "dim"),
    Alias("num_attention_heads", "n_heads"),
    Alias("num_hidden_layers", "n_layers"),
];

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let shape = BackboneShape {
        hidden_size: count(json, "dim")?,
        num_layers: count(json, "n_layers")?,
        num_heads: count(json, "n_heads")?,
        intermediate_size: count(json, "hidden_dim")?,
        vocab_size: count(json, "vocab_size")?,
        max_positions: count(json, "max_position_embeddings")?,
        ..BackboneShape::EMPTY
    };
    shape.validate()?;
    Ok(TransformerConfig {
        padding_id: padding_id(json, 0)?,
        attention_dropout: fraction(json, "attention_dropout", 0.1)?,
        activation: activation(json, "activation", "gelu")?,
        encoder: EncoderParts { pooler_activation: Activation::Relu, ..EncoderParts::default() },
        ..TransformerConfig::usual(Architecture::DistilBert, shape)
    })
}
