//! BART's and mBART's module paths, as `transformers` names them.

use super::{
    LinearSite, Module, SubLayer, Table,
    names::{DecoderNames, Names, ON_THE_BLOCK},
    whisper::block_part,
};

pub(super) const NAMES: Names = Names {
    model_prefix: "model",
    blocks: "encoder.layers.",
    behind_number: "",
    attention: "self_attn",
    sublayers: ON_THE_BLOCK,
    part,
};
pub(super) const MBART: Names = Names { part: mbart_part, ..NAMES };
pub(super) const DECODER: DecoderNames = DecoderNames {
    own: Names { blocks: "decoder.layers.", part: decoder_part, ..NAMES },
    cross_attention: "encoder_attn",
    cross_sublayer: "cross_attention_adapters",
};

fn part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Embedding(Table::Word) => "shared",
        Module::Embedding(Table::EncoderWord) => "encoder.embed_tokens",
        Module::Embedding(Table::DecoderWord) => "decoder.embed_tokens",
        Module::Embedding(Table::Position) => "encoder.embed_positions",
        Module::Embedding(Table::DecoderPosition) => "decoder.embed_positions",
        Module::EmbeddingNorm => "encoder.layernorm_embedding",
        Module::DecoderEmbeddingNorm => "decoder.layernorm_embedding",
        Module::Output => "lm_head",
        Module::QaOutputs => "qa_outputs",
        Module::ClassifierDense => "classification_head.dense",
        Module::ClassifierOutput => "classification_head.out_proj",
        inside => return block_part(inside),
    })
}

fn mbart_part(module: Module) -> Option<&'static str> {
    match module {
        Module::FinalNorm => Some("encoder.layer_norm"),
        Module::DecoderFinalNorm => Some("decoder.layer_norm"),
        other => part(other),
    }
}

/// The path of a module inside a decoder's block, in BART and in Whisper.
pub(super) fn decoder_part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Linear { site: LinearSite::CrossQuery, .. } => "encoder_attn.q_proj",
        Module::Linear { site: LinearSite::CrossKey, .. } => "encoder_attn.k_proj",
        Module::Linear { site: LinearSite::CrossValue, .. } => "encoder_attn.v_proj",
        Module::Linear { site: LinearSite::CrossOutput, .. } => "encoder_attn.out_proj",
        Module::Norm { sublayer: SubLayer::CrossAttention, .. } => "encoder_attn_layer_norm",
        inside => return block_part(inside),
    })
}
