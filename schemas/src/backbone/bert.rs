//! BERT's module paths, as `transformers` names them.

use super::{LinearSite, Module, SubLayer, Table, names::Names};

pub(super) const NAMES: Names = Names {
    model_prefix: "bert",
    blocks: "encoder.layer.",
    behind_number: "",
    attention: "attention.self",
    sublayers: ["attention.output", "output"],
    part,
};

pub(super) fn part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Embedding(Table::Word) => "embeddings.word_embeddings",
        Module::Embedding(Table::Position) => "embeddings.position_embeddings",
        Module::Embedding(Table::TokenType) => "embeddings.token_type_embeddings",
        Module::EmbeddingNorm => "embeddings.LayerNorm",
        Module::Linear { site, .. } => match site {
            LinearSite::Query => "attention.self.query",
            LinearSite::Key => "attention.self.key",
            LinearSite::Value => "attention.self.value",
            LinearSite::AttentionOutput => "attention.output.dense",
            LinearSite::FfnUp => "intermediate.dense",
            LinearSite::FfnDown => "output.dense",
            _ => return None,
        },
        Module::Norm { sublayer: SubLayer::Attention, .. } => "attention.output.LayerNorm",
        Module::Norm { sublayer: SubLayer::Ffn, .. } => "output.LayerNorm",
        Module::Pooler => "pooler.dense",
        Module::QaOutputs => "qa_outputs",
        Module::Classifier => "classifier",
        Module::LmTransform => "cls.predictions.transform.dense",
        Module::LmNorm => "cls.predictions.transform.LayerNorm",
        Module::Output => "cls.predictions.decoder",
        _ => return None,
    })
}
