//! DeBERTa-v2's and -v3's module paths, as `transformers` names them: BERT's with other names in
//! the attention, a pooler in the classes that classify, and a norm for relative positions.

use super::{LinearSite, Module, bert};

pub(super) const MODEL_PREFIX: &str = "deberta";

pub(super) fn module_path(module: Module) -> Option<String> {
    let own = |layer: usize, name: &str| Some(format!("encoder.layer.{layer}.attention.self.{name}"));
    match module {
        Module::Linear { layer, site: LinearSite::Query } => own(layer, "query_proj"),
        Module::Linear { layer, site: LinearSite::Key } => own(layer, "key_proj"),
        Module::Linear { layer, site: LinearSite::Value } => own(layer, "value_proj"),
        Module::RelativeNorm => Some("encoder.LayerNorm".to_owned()),
        other => bert::module_path(other),
    }
}
