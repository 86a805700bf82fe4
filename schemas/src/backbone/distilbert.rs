//! `DistilBERT`'s module paths, as `transformers` names them.

use super::{LinearSite, Module, SubLayer, Table};

pub(super) const MODEL_PREFIX: &str = "distilbert";

pub(super) fn sublayer_path(layer: usize, sublayer: SubLayer) -> String {
    // The library hangs its adapters on the block itself.
    let module = match sublayer {
        SubLayer::Attention => "attention_adapters",
        SubLayer::Ffn => "output_adapters",
    };
    format!("transformer.layer.{layer}.{module}")
}

pub(super) fn module_path(module: Module) -> Option<String> {
    Some(match module {
        Module::Embedding(Table::Word) => "embeddings.word_embeddings".to_owned(),
        Module::Embedding(Table::Position) => "embeddings.position_embeddings".to_owned(),
        Module::EmbeddingNorm => "embeddings.LayerNorm".to_owned(),
        Module::Linear { layer, site } => {
            let module = match site {
                LinearSite::Query => "attention.q_lin",
                LinearSite::Key => "attention.k_lin",
                LinearSite::Value => "attention.v_lin",
                LinearSite::AttentionOutput => "attention.out_lin",
                LinearSite::FfnUp => "ffn.lin1",
                LinearSite::FfnDown => "ffn.lin2",
                _ => return None,
            };
            format!("transformer.layer.{layer}.{module}")
        }
        Module::Norm { layer, sublayer: SubLayer::Attention } => {
            format!("transformer.layer.{layer}.sa_layer_norm")
        }
        Module::Norm { layer, sublayer: SubLayer::Ffn } => {
            format!("transformer.layer.{layer}.output_layer_norm")
        }
        // Outside of the backbone proper, in classes that classify.
        Module::Pooler => "pre_classifier".to_owned(),
        _ => return None,
    })
}
