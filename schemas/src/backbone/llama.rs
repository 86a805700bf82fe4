//! LLaMA's module paths, as `transformers` names them.

use super::{LinearSite, Module, SubLayer, Table};

pub(super) const MODEL_PREFIX: &str = "model";

pub(super) fn sublayer_path(layer: usize, sublayer: SubLayer) -> String {
    // The library hangs its adapters on the block itself.
    let module = match sublayer {
        SubLayer::Attention => "attention_adapters",
        SubLayer::Ffn => "output_adapters",
    };
    format!("layers.{layer}.{module}")
}

pub(super) fn module_path(module: Module) -> Option<String> {
    Some(match module {
        Module::Embedding(Table::Word) => "embed_tokens".to_owned(),
        Module::Linear { layer, site } => {
            let module = match site {
                LinearSite::Query => "self_attn.q_proj",
                LinearSite::Key => "self_attn.k_proj",
                LinearSite::Value => "self_attn.v_proj",
                LinearSite::AttentionOutput => "self_attn.o_proj",
                LinearSite::FfnGate => "mlp.gate_proj",
                LinearSite::FfnUp => "mlp.up_proj",
                LinearSite::FfnDown => "mlp.down_proj",
                LinearSite::QueryKeyValue | LinearSite::FfnGateUp => return None,
            };
            format!("layers.{layer}.{module}")
        }
        Module::Norm { layer, sublayer: SubLayer::Attention } => format!("layers.{layer}.input_layernorm"),
        Module::Norm { layer, sublayer: SubLayer::Ffn } => {
            format!("layers.{layer}.post_attention_layernorm")
        }
        Module::FinalNorm => "norm".to_owned(),
        Module::Embedding(Table::Position | Table::TokenType)
        | Module::EmbeddingNorm
        | Module::EmbeddingProjection
        | Module::RelativeNorm
        | Module::Pooler => return None,
    })
}
