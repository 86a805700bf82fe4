//! ALBERT's module paths, as `transformers` names them: a block here is a group of layers that
//! share their weights.

use super::{LinearSite, Module, SubLayer, Table, names::Names};

pub(super) const NAMES: Names = Names {
    model_prefix: "albert",
    blocks: "encoder.albert_layer_groups.",
    behind_number: ".albert_layers.0",
    attention: "attention",
    sublayers: ["attention.attention_adapters", "output_adapters"],
    part,
};

fn part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Embedding(Table::Word) => "embeddings.word_embeddings",
        Module::Embedding(Table::Position) => "embeddings.position_embeddings",
        Module::Embedding(Table::TokenType) => "embeddings.token_type_embeddings",
        Module::EmbeddingNorm => "embeddings.LayerNorm",
        Module::EmbeddingProjection => "encoder.embedding_hidden_mapping_in",
        Module::Linear { site, .. } => match site {
            LinearSite::Query => "attention.query",
            LinearSite::Key => "attention.key",
            LinearSite::Value => "attention.value",
            LinearSite::AttentionOutput => "attention.dense",
            LinearSite::FfnUp => "ffn",
            LinearSite::FfnDown => "ffn_output",
            _ => return None,
        },
        Module::Norm { sublayer: SubLayer::Attention, .. } => "attention.LayerNorm",
        Module::Norm { sublayer: SubLayer::Ffn, .. } => "full_layer_layer_norm",
        Module::Pooler => "pooler",
        Module::QaOutputs => "qa_outputs",
        Module::Classifier => "classifier",
        Module::LmTransform => "predictions.dense",
        Module::LmNorm => "predictions.LayerNorm",
        Module::Output => "predictions.decoder",
        _ => return None,
    })
}
