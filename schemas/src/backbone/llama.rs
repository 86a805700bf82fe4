//! LLaMA's module paths, as `transformers` names them; those of Mistral, Qwen and Gemma too.

use super::{
    LinearSite, Module, SubLayer, Table,
    names::{Names, ON_THE_BLOCK},
};

pub(super) const NAMES: Names = Names {
    model_prefix: "model",
    blocks: "layers.",
    behind_number: "",
    attention: "self_attn",
    sublayers: ON_THE_BLOCK,
    part,
};
pub(super) const QWEN3: Names = Names { part: qwen3, ..NAMES };
pub(super) const GEMMA2: Names = Names { part: gemma2, ..NAMES };

fn part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Embedding(Table::Word) => "embed_tokens",
        Module::Linear { site, .. } => match site {
            LinearSite::Query => "self_attn.q_proj",
            LinearSite::Key => "self_attn.k_proj",
            LinearSite::Value => "self_attn.v_proj",
            LinearSite::AttentionOutput => "self_attn.o_proj",
            LinearSite::FfnGate => "mlp.gate_proj",
            LinearSite::FfnUp => "mlp.up_proj",
            LinearSite::FfnDown => "mlp.down_proj",
            _ => return None,
        },
        Module::Norm { sublayer: SubLayer::Attention, .. } => "input_layernorm",
        Module::Norm { sublayer: SubLayer::Ffn, .. } => "post_attention_layernorm",
        Module::FinalNorm => "norm",
        Module::Output => "lm_head",
        Module::QaOutputs => "qa_outputs",
        Module::Classifier => "score",
        _ => return None,
    })
}

fn qwen3(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::QueryNorm { .. } => "self_attn.q_norm",
        Module::KeyNorm { .. } => "self_attn.k_norm",
        other => return part(other),
    })
}

fn gemma2(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::OutputNorm { sublayer: SubLayer::Attention, .. } => "post_attention_layernorm",
        Module::Norm { sublayer: SubLayer::Ffn, .. } => "pre_feedforward_layernorm",
        Module::OutputNorm { sublayer: SubLayer::Ffn, .. } => "post_feedforward_layernorm",
        other => return part(other),
    })
}
