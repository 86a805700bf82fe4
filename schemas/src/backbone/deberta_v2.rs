//! DeBERTa-v2's and -v3's module paths, as `transformers` names them: BERT's with other names in
//! the attention, a pooler in the classes that classify, and a norm for relative positions.

use super::{LinearSite, Module, bert, names::Names};

pub(super) const NAMES: Names = Names { model_prefix: "deberta", part, ..bert::NAMES };

fn part(module: Module) -> Option<&'static str> {
    match module {
        Module::Linear { site: LinearSite::Query, .. } => Some("attention.self.query_proj"),
        Module::Linear { site: LinearSite::Key, .. } => Some("attention.self.key_proj"),
        Module::Linear { site: LinearSite::Value, .. } => Some("attention.self.value_proj"),
        Module::RelativeNorm => Some("encoder.LayerNorm"),
        other => bert::part(other),
    }
}
