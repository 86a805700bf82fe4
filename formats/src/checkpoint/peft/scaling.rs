//! `IA3Config`.

use hub_schemas::{
    backbone::{Architecture, BackboneShape, Targets},
    method::{Ia3Config, Method},
};
use serde_json::{Value, json};

use super::{
    super::fields::Fields,
    File,
    targets::{ModuleFilter, target_modules},
};
use crate::checkpoint::CheckpointError;

pub(super) fn parse(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    fields.ignore(&["init_ia3_weights", "fan_in_fan_out"]);
    let targets = ModuleFilter::linears(fields, file)?;
    let inputs: Targets = match ModuleFilter::take_names(fields, "feedforward_modules")? {
        None => Targets::default(),
        Some(filter) => filter.among(fields, file, &targets)?,
    };
    let outputs = targets.iter().filter(|&module| !inputs.contains(module)).collect();
    Ok(Method::Ia3(Ia3Config { outputs, inputs, use_gating: false, alpha: 1.0, fused: Vec::new() }))
}

pub(super) fn render(architecture: Architecture, config: &Ia3Config, shape: &BackboneShape) -> Value {
    let all: Targets = config.outputs.iter().chain(config.inputs.iter()).collect();
    json!({
        "fan_in_fan_out": architecture.transposes_weights(),
        "feedforward_modules": target_modules(architecture, &config.inputs, shape),
        "init_ia3_weights": true,
        "peft_type": "IA3",
        "target_modules": target_modules(architecture, &all, shape),
    })
}
