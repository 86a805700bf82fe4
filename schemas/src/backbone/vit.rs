//! ViT's and DINOv2's module paths, as `transformers` names them.

use super::{LinearSite, Module, SubLayer};

pub(super) const VIT_PREFIX: &str = "vit";
pub(super) const DINO_PREFIX: &str = "dinov2";
pub(super) const CLASSIFIER: &str = "classifier";

/// Where `adapters` hangs its bottlenecks: on the block for the attention, on the output module
/// for the feed-forward network.
pub(super) fn sublayer_path(layer: usize, sublayer: SubLayer) -> String {
    let module = match sublayer {
        SubLayer::Attention => "attention_adapters",
        SubLayer::Ffn => "output.output_adapters",
    };
    format!("encoder.layer.{layer}.{module}")
}

pub(super) fn vit_path(module: Module) -> Option<String> {
    Some(match module {
        Module::Linear { layer, site } => linear_path(layer, site, ["intermediate.dense", "output.dense"])?,
        Module::Norm { layer, sublayer: SubLayer::Attention } => {
            format!("encoder.layer.{layer}.layernorm_before")
        }
        Module::Norm { layer, sublayer: SubLayer::Ffn } => format!("encoder.layer.{layer}.layernorm_after"),
        Module::FinalNorm => "layernorm".to_owned(),
        Module::Pooler => "pooler.dense".to_owned(),
        Module::Embedding(_) | Module::EmbeddingNorm => return None,
    })
}

pub(super) fn dino_path(module: Module) -> Option<String> {
    Some(match module {
        Module::Linear { layer, site } => linear_path(layer, site, ["mlp.fc1", "mlp.fc2"])?,
        Module::Norm { layer, sublayer: SubLayer::Attention } => format!("encoder.layer.{layer}.norm1"),
        Module::Norm { layer, sublayer: SubLayer::Ffn } => format!("encoder.layer.{layer}.norm2"),
        Module::FinalNorm => "layernorm".to_owned(),
        Module::Embedding(_) | Module::EmbeddingNorm | Module::Pooler => return None,
    })
}

fn linear_path(layer: usize, site: LinearSite, [up, down]: [&str; 2]) -> Option<String> {
    let module = match site {
        LinearSite::Query => "attention.attention.query",
        LinearSite::Key => "attention.attention.key",
        LinearSite::Value => "attention.attention.value",
        LinearSite::AttentionOutput => "attention.output.dense",
        LinearSite::FfnUp => up,
        LinearSite::FfnDown => down,
        LinearSite::FfnGate | LinearSite::QueryKeyValue => return None,
    };
    Some(format!("encoder.layer.{layer}.{module}"))
}
