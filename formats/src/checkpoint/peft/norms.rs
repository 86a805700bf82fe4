//! `LN_TUNING`: trained copies of whole modules, by default of the norms (Zhao et al.,
//! "Tuning `LayerNorm` in Attention", 2023). The file names them; `target_modules` says the
//! same in patterns.

use std::collections::BTreeSet;

use hub_schemas::{
    backbone::{Architecture, BackboneShape},
    method::{Method, ReplaceConfig},
};
use serde_json::{Value, json};

use super::File;
use crate::checkpoint::{CheckpointError, fields::Fields};

/// Reads the modules off the tensors' names: PEFT has chosen them when it trained.
pub(super) fn parse(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    fields.ignore(&["target_modules", "exclude_modules"]);
    let has = |name: &str| file.weights.header.tensors.contains_key(name);
    let mut tensors = BTreeSet::new();
    for module in file.modules() {
        let at = format!("base_model.model.{}.ln_tuning_layers", file.path(module));
        if has(&format!("{at}.weight")) {
            // Norms without a bias have a copy of the weight alone.
            let is_bias = |tensor: &String| tensor.rsplit('.').next() == Some("bias");
            let is_there = |tensor: &String| !is_bias(tensor) || has(&format!("{at}.bias"));
            tensors.extend(module.tensors().into_iter().filter(is_there));
        }
    }
    if tensors.is_empty() {
        return Err(fields.wrong("peft_type", "is `LN_TUNING`, but the weights have no copy of any module"));
    }
    let mut config = ReplaceConfig::modules(tensors);
    if config.is_norms_only() {
        "layer-norm".clone_into(&mut config.selection);
    }
    Ok(Method::Replace(config))
}

/// The configuration; `None` where a part of a module is replaced.
pub(super) fn render(
    architecture: Architecture,
    config: &ReplaceConfig,
    shape: &BackboneShape,
) -> Option<Value> {
    let path = |module| architecture.module_path(module, shape.variant());
    let targets: Vec<String> = config.whole_modules()?.into_iter().map(path).collect();
    Some(json!({ "peft_type": "LN_TUNING", "target_modules": targets }))
}
