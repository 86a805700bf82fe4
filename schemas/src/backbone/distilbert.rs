//! `DistilBERT`'s module paths, as `transformers` names them.

use super::{
    LinearSite, Module, SubLayer, Table,
    names::{Names, ON_THE_BLOCK},
};

pub(super) const NAMES: Names = Names {
    model_prefix: "distilbert",
    blocks: "transformer.layer.",
    behind_number: "",
    attention: "attention",
    sublayers: ON_THE_BLOCK,
    part,
};

fn part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Embedding(Table::Word) => "embeddings.word_embeddings",
        Module::Embedding(Table::Position) => "embeddings.position_embeddings",
        Module::EmbeddingNorm => "embeddings.LayerNorm",
        Module::Linear { site, .. } => match site {
            LinearSite::Query => "attention.q_lin",
            LinearSite::Key => "attention.k_lin",
            LinearSite::Value => "attention.v_lin",
            LinearSite::AttentionOutput => "attention.out_lin",
            LinearSite::FfnUp => "ffn.lin1",
            LinearSite::FfnDown => "ffn.lin2",
            _ => return None,
        },
        Module::Norm { sublayer: SubLayer::Attention, .. } => "sa_layer_norm",
        Module::Norm { sublayer: SubLayer::Ffn, .. } => "output_layer_norm",
        // Outside of the backbone proper, in classes that classify.
        Module::Pooler => "pre_classifier",
        Module::QaOutputs => "qa_outputs",
        Module::Classifier => "classifier",
        Module::LmTransform => "vocab_transform",
        Module::LmNorm => "vocab_layer_norm",
        Module::Output => "vocab_projector",
        _ => return None,
    })
}
