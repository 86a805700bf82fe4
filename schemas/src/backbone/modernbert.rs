//! `ModernBERT`'s module paths, as `transformers` names them.

use super::{
    LinearSite, Module, SubLayer, Table,
    names::{Names, ON_THE_BLOCK},
};

pub(super) const NAMES: Names = Names {
    model_prefix: "model",
    blocks: "layers.",
    behind_number: "",
    attention: "attn",
    sublayers: ON_THE_BLOCK,
    part,
};

fn part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Embedding(Table::Word) => "embeddings.tok_embeddings",
        Module::EmbeddingNorm => "embeddings.norm",
        Module::Linear { site, .. } => match site {
            LinearSite::QueryKeyValue => "attn.Wqkv",
            LinearSite::AttentionOutput => "attn.Wo",
            LinearSite::FfnGateUp => "mlp.Wi",
            LinearSite::FfnDown => "mlp.Wo",
            _ => return None,
        },
        // The norm of the embeddings stands where the first block's would.
        Module::Norm { layer: 0, sublayer: SubLayer::Attention } => return None,
        Module::Norm { sublayer: SubLayer::Attention, .. } => "attn_norm",
        Module::Norm { sublayer: SubLayer::Ffn, .. } => "mlp_norm",
        Module::FinalNorm => "final_norm",
        // Outside of the backbone proper, in classes with a head.
        Module::Pooler => "head.dense",
        Module::LmNorm => "head.norm",
        Module::Output => "decoder",
        Module::Classifier => "classifier",
        _ => return None,
    })
}
