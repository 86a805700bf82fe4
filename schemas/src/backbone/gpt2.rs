//! GPT-2's module paths, as `transformers` names them.

use super::{
    LinearSite, Module, SubLayer, Table,
    names::{Names, ON_THE_BLOCK},
};

pub(super) const NAMES: Names = Names {
    model_prefix: "transformer",
    blocks: "h.",
    behind_number: "",
    attention: "attn",
    sublayers: ON_THE_BLOCK,
    part,
};

fn part(module: Module) -> Option<&'static str> {
    Some(match module {
        Module::Embedding(Table::Word) => "wte",
        Module::Embedding(Table::Position) => "wpe",
        Module::Linear { site, .. } => match site {
            LinearSite::QueryKeyValue => "attn.c_attn",
            LinearSite::AttentionOutput => "attn.c_proj",
            LinearSite::FfnUp => "mlp.c_fc",
            LinearSite::FfnDown => "mlp.c_proj",
            _ => return None,
        },
        Module::Norm { sublayer: SubLayer::Attention, .. } => "ln_1",
        Module::Norm { sublayer: SubLayer::Ffn, .. } => "ln_2",
        Module::FinalNorm => "ln_f",
        Module::Output => "lm_head",
        Module::QaOutputs => "qa_outputs",
        Module::Classifier => "score",
        _ => return None,
    })
}
