//! ViT's and DINOv2's module paths, as `transformers` names them.

use super::{LinearSite, Module, SubLayer, names::Names};

pub(super) const VIT: Names = Names {
    model_prefix: "vit",
    blocks: "encoder.layer.",
    behind_number: "",
    attention: "attention.attention",
    // The library hangs its bottlenecks on the block for the attention, on the output module for the
    // feed-forward network.
    sublayers: ["attention_adapters", "output.output_adapters"],
    part: vit,
};
pub(super) const DINOV2: Names = Names { model_prefix: "dinov2", part: dinov2, ..VIT };

/// With a gate in the feed-forward network: DINOv2-giant.
pub(super) const GATED_DINOV2: Names = Names { part: gated_dinov2, ..DINOV2 };

const PATCHES: &str = "embeddings.patch_embeddings.projection";

fn vit(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Patches => PATCHES,
        Module::Linear { site, .. } => linear(site, ["intermediate.dense", "output.dense"])?,
        Module::Norm { sublayer: SubLayer::Attention, .. } => "layernorm_before",
        Module::Norm { sublayer: SubLayer::Ffn, .. } => "layernorm_after",
        Module::FinalNorm => "layernorm",
        Module::Classifier => "classifier",
        Module::Pooler => "pooler.dense",
        _ => return None,
    })
}

fn dinov2(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Patches => PATCHES,
        Module::Linear { site, .. } => linear(site, ["mlp.fc1", "mlp.fc2"])?,
        Module::Norm { sublayer: SubLayer::Attention, .. } => "norm1",
        Module::Norm { sublayer: SubLayer::Ffn, .. } => "norm2",
        Module::FinalNorm => "layernorm",
        Module::Classifier => "classifier",
        _ => return None,
    })
}

fn gated_dinov2(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Linear { site: LinearSite::FfnGateUp, .. } => "mlp.weights_in",
        Module::Linear { site: LinearSite::FfnDown, .. } => "mlp.weights_out",
        Module::Linear { site: LinearSite::FfnUp, .. } => return None,
        other => return dinov2(other),
    })
}

fn linear(site: LinearSite, [up, down]: [&'static str; 2]) -> Option<&'static str> {
    Some(match site {
        LinearSite::Query => "attention.attention.query",
        LinearSite::Key => "attention.attention.key",
        LinearSite::Value => "attention.attention.value",
        LinearSite::AttentionOutput => "attention.output.dense",
        LinearSite::FfnUp => up,
        LinearSite::FfnDown => down,
        _ => return None,
    })
}
