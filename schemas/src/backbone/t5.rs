//! T5's module paths, as `transformers` names them: what a block calls its layers counts its
//! sub-layers, so that a decoder's feed-forward network has another number than an encoder's.

use super::{
    LinearSite, Module, SubLayer, Table,
    names::{DecoderNames, Names},
};

pub(super) const NAMES: Names = Names {
    model_prefix: "transformer",
    blocks: "encoder.block.",
    behind_number: "",
    attention: "layer.0.SelfAttention",
    sublayers: ["layer.0", "layer.1"],
    part,
};
/// With a gate in the feed-forward network: T5 v1.1 and Flan-T5.
pub(super) const GATED: Names = Names { part: gated_part, ..NAMES };

pub(super) const DECODER: DecoderNames = DecoderNames {
    own: Names { blocks: "decoder.block.", sublayers: ["layer.0", "layer.2"], part: decoder_part, ..NAMES },
    cross_attention: "layer.1.EncDecAttention",
    cross_sublayer: "layer.1",
};
pub(super) const GATED_DECODER: DecoderNames =
    DecoderNames { own: Names { part: gated_decoder_part, ..DECODER.own }, ..DECODER };

fn part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Linear { site: LinearSite::FfnUp, .. } => "layer.1.DenseReluDense.wi",
        Module::Linear { site: LinearSite::FfnGate, .. } => return None,
        other => return gated_part(other),
    })
}

fn gated_part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Embedding(Table::Word) => "shared",
        Module::Embedding(Table::EncoderWord) => "encoder.embed_tokens",
        Module::Embedding(Table::DecoderWord) => "decoder.embed_tokens",
        Module::Linear { site: LinearSite::FfnGate, .. } => "layer.1.DenseReluDense.wi_0",
        Module::Linear { site: LinearSite::FfnUp, .. } => "layer.1.DenseReluDense.wi_1",
        Module::Linear { site: LinearSite::FfnDown, .. } => "layer.1.DenseReluDense.wo",
        Module::Linear { site, .. } => attention(site)?,
        Module::Norm { sublayer: SubLayer::Attention, .. } => "layer.0.layer_norm",
        Module::Norm { sublayer: SubLayer::Ffn, .. } => "layer.1.layer_norm",
        Module::FinalNorm => "encoder.final_layer_norm",
        Module::DecoderFinalNorm => "decoder.final_layer_norm",
        Module::Output => "lm_head",
        Module::QaOutputs => "qa_outputs",
        Module::Classifier => "classifier",
        Module::ClassifierDense => "classification_head.dense",
        Module::ClassifierOutput => "classification_head.out_proj",
        _ => return None,
    })
}

fn decoder_part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Linear { site: LinearSite::FfnUp, .. } => "layer.2.DenseReluDense.wi",
        Module::Linear { site: LinearSite::FfnGate, .. } => return None,
        other => return gated_decoder_part(other),
    })
}

fn gated_decoder_part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Linear { site, .. } => match site {
            LinearSite::CrossQuery => "layer.1.EncDecAttention.q",
            LinearSite::CrossKey => "layer.1.EncDecAttention.k",
            LinearSite::CrossValue => "layer.1.EncDecAttention.v",
            LinearSite::CrossOutput => "layer.1.EncDecAttention.o",
            LinearSite::FfnGate => "layer.2.DenseReluDense.wi_0",
            LinearSite::FfnUp => "layer.2.DenseReluDense.wi_1",
            LinearSite::FfnDown => "layer.2.DenseReluDense.wo",
            _ => return attention(site),
        },
        Module::Norm { sublayer, .. } => match sublayer {
            SubLayer::Attention => "layer.0.layer_norm",
            SubLayer::CrossAttention => "layer.1.layer_norm",
            SubLayer::Ffn => "layer.2.layer_norm",
        },
        _ => return None,
    })
}

fn attention(site: LinearSite) -> Option<&'static str> {
    Some(match site {
        LinearSite::Query => "layer.0.SelfAttention.q",
        LinearSite::Key => "layer.0.SelfAttention.k",
        LinearSite::Value => "layer.0.SelfAttention.v",
        LinearSite::AttentionOutput => "layer.0.SelfAttention.o",
        _ => return None,
    })
}
