//! `ModernBERT`'s module paths, as `transformers` names them.

use super::{LinearSite, Module, SubLayer, Table};

pub(super) const MODEL_PREFIX: &str = "model";

pub(super) fn sublayer_path(layer: usize, sublayer: SubLayer) -> String {
    let module = match sublayer {
        SubLayer::Attention => "attn",
        SubLayer::Ffn => "mlp",
    };
    format!("layers.{layer}.{module}")
}

pub(super) fn module_path(module: Module) -> Option<String> {
    Some(match module {
        Module::Embedding(Table::Word) => "embeddings.tok_embeddings".to_owned(),
        Module::EmbeddingNorm => "embeddings.norm".to_owned(),
        Module::Linear { layer, site } => {
            let module = match site {
                LinearSite::QueryKeyValue => "attn.Wqkv",
                LinearSite::AttentionOutput => "attn.Wo",
                LinearSite::FfnGateUp => "mlp.Wi",
                LinearSite::FfnDown => "mlp.Wo",
                _ => return None,
            };
            format!("layers.{layer}.{module}")
        }
        // The norm of the embeddings stands where the first block's would.
        Module::Norm { layer: 0, sublayer: SubLayer::Attention } => return None,
        Module::Norm { layer, sublayer: SubLayer::Attention } => format!("layers.{layer}.attn_norm"),
        Module::Norm { layer, sublayer: SubLayer::Ffn } => format!("layers.{layer}.mlp_norm"),
        Module::FinalNorm => "final_norm".to_owned(),
        // Outside of the backbone proper, in classes with a head.
        Module::Pooler => "head.dense".to_owned(),
        _ => return None,
    })
}
