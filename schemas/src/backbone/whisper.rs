//! The module paths of Whisper's encoder, as `transformers` names them.

use super::{
    LinearSite, Module, SubLayer,
    names::{Names, ON_THE_BLOCK},
};

/// The encoder stands under `encoder` in the class that classifies and in the bare model.
pub(super) const NAMES: Names = Names {
    model_prefix: "encoder",
    blocks: "layers.",
    behind_number: "",
    attention: "self_attn",
    sublayers: ON_THE_BLOCK,
    part,
};

fn part(module: Module) -> Option<&'static str> {
    match module {
        Module::FinalNorm => Some("layer_norm"),
        inside => block_part(inside),
    }
}

/// The path of a module inside an encoder's block, in Whisper and in BART.
pub(super) fn block_part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Linear { site, .. } => match site {
            LinearSite::Query => "self_attn.q_proj",
            LinearSite::Key => "self_attn.k_proj",
            LinearSite::Value => "self_attn.v_proj",
            LinearSite::AttentionOutput => "self_attn.out_proj",
            LinearSite::FfnUp => "fc1",
            LinearSite::FfnDown => "fc2",
            _ => return None,
        },
        Module::Norm { sublayer: SubLayer::Attention, .. } => "self_attn_layer_norm",
        Module::Norm { sublayer: SubLayer::Ffn, .. } => "final_layer_norm",
        _ => return None,
    })
}
