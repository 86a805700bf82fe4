//! Whisper's module paths, as `transformers` names them: of the encoder alone, and of encoder and decoder.

use super::{
    LinearSite, Module, SubLayer, Table,
    bart::decoder_part,
    names::{DecoderNames, Names, ON_THE_BLOCK},
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

/// The same encoder in front of its decoder.
pub(super) const WHOLE: Names =
    Names { model_prefix: "model", blocks: "encoder.layers.", part: whole_part, ..NAMES };
pub(super) const DECODER: DecoderNames = DecoderNames {
    own: Names { blocks: "decoder.layers.", part: decoder_part, ..WHOLE },
    cross_attention: "encoder_attn",
    cross_sublayer: "cross_attention_adapters",
};

fn part(module: Module) -> Option<&'static str> {
    match module {
        Module::FirstConvolution => Some("conv1"),
        Module::SecondConvolution => Some("conv2"),
        Module::FinalNorm => Some("layer_norm"),
        Module::ClassifierDense => Some("projector"),
        Module::ClassifierOutput => Some("classifier"),
        inside => block_part(inside),
    }
}

fn whole_part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Embedding(Table::Word) => "decoder.embed_tokens",
        Module::Embedding(Table::DecoderPosition) => "decoder.embed_positions",
        Module::FirstConvolution => "encoder.conv1",
        Module::SecondConvolution => "encoder.conv2",
        Module::FinalNorm => "encoder.layer_norm",
        Module::DecoderFinalNorm => "decoder.layer_norm",
        Module::Output => "proj_out",
        inside => return block_part(inside),
    })
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
