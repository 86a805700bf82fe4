//! BERT's module paths, as `transformers` names them.

use super::{LinearSite, Module, SubLayer, Table};

pub(super) const MODEL_PREFIX: &str = "bert";
pub(super) const CLASSIFIER: &str = "classifier";

fn linear_path(layer: usize, site: LinearSite) -> Option<String> {
    let module = match site {
        LinearSite::Query => "attention.self.query",
        LinearSite::Key => "attention.self.key",
        LinearSite::Value => "attention.self.value",
        LinearSite::AttentionOutput => "attention.output.dense",
        LinearSite::FfnUp => "intermediate.dense",
        LinearSite::FfnDown => "output.dense",
        LinearSite::FfnGate | LinearSite::QueryKeyValue | LinearSite::FfnGateUp => return None,
    };
    Some(format!("encoder.layer.{layer}.{module}"))
}

pub(super) fn sublayer_path(layer: usize, sublayer: SubLayer) -> String {
    let module = match sublayer {
        SubLayer::Attention => "attention.output",
        SubLayer::Ffn => "output",
    };
    format!("encoder.layer.{layer}.{module}")
}

pub(super) fn module_path(module: Module) -> Option<String> {
    Some(match module {
        Module::Embedding(Table::Word) => "embeddings.word_embeddings".to_owned(),
        Module::Embedding(Table::Position) => "embeddings.position_embeddings".to_owned(),
        Module::Embedding(Table::TokenType) => "embeddings.token_type_embeddings".to_owned(),
        Module::EmbeddingNorm => "embeddings.LayerNorm".to_owned(),
        Module::Linear { layer, site } => linear_path(layer, site)?,
        Module::Norm { layer, sublayer } => format!("{}.LayerNorm", sublayer_path(layer, sublayer)),
        Module::EmbeddingProjection | Module::RelativeNorm | Module::FinalNorm => return None,
        Module::Pooler => "pooler.dense".to_owned(),
    })
}
