//! ALBERT's module paths, as `transformers` names them: a block here is a group of layers that
//! share their weights.

use super::{LinearSite, Module, SubLayer, Table};

pub(super) const MODEL_PREFIX: &str = "albert";
/// What stands in front of a block's number.
pub(super) const BLOCKS: &str = "encoder.albert_layer_groups.";

pub(super) fn block_path(layer: usize) -> String {
    format!("{BLOCKS}{layer}.albert_layers.0")
}

pub(super) fn sublayer_path(layer: usize, sublayer: SubLayer) -> String {
    let module = match sublayer {
        SubLayer::Attention => "attention.attention_adapters",
        SubLayer::Ffn => "output_adapters",
    };
    format!("{}.{module}", block_path(layer))
}

pub(super) fn module_path(module: Module) -> Option<String> {
    Some(match module {
        Module::Embedding(Table::Word) => "embeddings.word_embeddings".to_owned(),
        Module::Embedding(Table::Position) => "embeddings.position_embeddings".to_owned(),
        Module::Embedding(Table::TokenType) => "embeddings.token_type_embeddings".to_owned(),
        Module::EmbeddingNorm => "embeddings.LayerNorm".to_owned(),
        Module::EmbeddingProjection => "encoder.embedding_hidden_mapping_in".to_owned(),
        Module::Linear { layer, site } => {
            let module = match site {
                LinearSite::Query => "attention.query",
                LinearSite::Key => "attention.key",
                LinearSite::Value => "attention.value",
                LinearSite::AttentionOutput => "attention.dense",
                LinearSite::FfnUp => "ffn",
                LinearSite::FfnDown => "ffn_output",
                _ => return None,
            };
            format!("{}.{module}", block_path(layer))
        }
        Module::Norm { layer, sublayer: SubLayer::Attention } => {
            format!("{}.attention.LayerNorm", block_path(layer))
        }
        Module::Norm { layer, sublayer: SubLayer::Ffn } => {
            format!("{}.full_layer_layer_norm", block_path(layer))
        }
        Module::Pooler => "pooler".to_owned(),
        Module::RelativeNorm | Module::FinalNorm => return None,
    })
}
