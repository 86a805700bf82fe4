//! GPT-2's module paths, as `transformers` names them.

use super::{LinearSite, Module, SubLayer, Table};

pub(super) const MODEL_PREFIX: &str = "transformer";

pub(super) fn sublayer_path(layer: usize, sublayer: SubLayer) -> String {
    // The library hangs its adapters on the block itself.
    let module = match sublayer {
        SubLayer::Attention => "attention_adapters",
        SubLayer::Ffn => "output_adapters",
    };
    format!("h.{layer}.{module}")
}

pub(super) fn module_path(module: Module) -> Option<String> {
    Some(match module {
        Module::Embedding(Table::Word) => "wte".to_owned(),
        Module::Embedding(Table::Position) => "wpe".to_owned(),
        Module::Linear { layer, site } => {
            let module = match site {
                LinearSite::QueryKeyValue => "attn.c_attn",
                LinearSite::AttentionOutput => "attn.c_proj",
                LinearSite::FfnUp => "mlp.c_fc",
                LinearSite::FfnDown => "mlp.c_proj",
                _ => return None,
            };
            format!("h.{layer}.{module}")
        }
        Module::Norm { layer, sublayer: SubLayer::Attention } => format!("h.{layer}.ln_1"),
        Module::Norm { layer, sublayer: SubLayer::Ffn } => format!("h.{layer}.ln_2"),
        Module::FinalNorm => "ln_f".to_owned(),
        Module::Embedding(Table::TokenType)
        | Module::EmbeddingNorm
        | Module::EmbeddingProjection
        | Module::RelativeNorm
        | Module::Pooler => return None,
    })
}
