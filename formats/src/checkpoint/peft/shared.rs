//! `RandLoraConfig` and `VBLoRAConfig`: updates made of what all layers share.

use hub_schemas::{
    backbone::{Architecture, BackboneShape},
    method::{Method, RandLoraConfig, VbLoraConfig},
};
use serde_json::{Value, json};

use super::{
    super::fields::Fields,
    File,
    targets::{ModuleFilter, render_targets},
    whole,
};
use crate::checkpoint::CheckpointError;

/// Refuses random matrices of all layers that only PyTorch's generator can draw again; `tensor` is one of them.
pub(super) fn refuse_unsaved(
    fields: &mut Fields,
    file: &File<'_>,
    tensor: &str,
) -> Result<(), CheckpointError> {
    let saved = fields.bool_or("save_projection", true)?;
    let held = file.weights.header.tensors.contains_key(tensor);
    if !saved && !held {
        return Err(fields.wrong(
            "save_projection",
            "is false: the shared random matrices are not in the file, and only PyTorch's generator can \
             draw them again; save the adapter in PEFT with `save_projection=True`",
        ));
    }
    Ok(())
}

pub(super) fn randlora(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    // How the matrices were drawn.
    fields.ignore(&["fan_in_fan_out", "projection_prng_key", "sparse", "very_sparse"]);
    refuse_unsaved(fields, file, "base_model.randlora_A")?;
    Ok(Method::RandLora(RandLoraConfig {
        r: fields.count("r")?.unwrap_or(32),
        randlora_alpha: fields.number("randlora_alpha")?.unwrap_or(640.0),
        targets: ModuleFilter::linears(fields, file)?,
        dropout: fields.number("randlora_dropout")?.unwrap_or(0.0),
    }))
}

pub(super) fn vblora(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    fields.ignore(&["fan_in_fan_out", "init_vector_bank_bound", "init_logits_std"]);
    Ok(Method::VbLora(VbLoraConfig {
        r: fields.count("r")?.unwrap_or(4),
        num_vectors: fields.count("num_vectors")?.unwrap_or(256),
        vector_length: fields.count("vector_length")?.unwrap_or(256),
        topk: fields.count("topk")?.unwrap_or(2),
        only_topk: fields.bool_or("save_only_topk_weights", false)?,
        targets: ModuleFilter::linears(fields, file)?,
        dropout: fields.number("vblora_dropout")?.unwrap_or(0.0),
    }))
}

pub(super) fn render_randlora(
    architecture: Architecture,
    config: &RandLoraConfig,
    shape: &BackboneShape,
) -> Value {
    let mut json = json!({
        "bias": "none",
        "fan_in_fan_out": architecture.transposes_weights(),
        "init_weights": true,
        "peft_type": "RANDLORA",
        "projection_prng_key": 0,
        "r": config.r,
        "randlora_alpha": whole(config.randlora_alpha),
        "randlora_dropout": config.dropout,
        "save_projection": true,
        "sparse": false,
        "very_sparse": false,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    json
}

pub(super) fn render_vblora(
    architecture: Architecture,
    config: &VbLoraConfig,
    shape: &BackboneShape,
) -> Value {
    let mut json = json!({
        "bias": "none",
        "fan_in_fan_out": architecture.transposes_weights(),
        "init_logits_std": 0.1,
        "init_vector_bank_bound": 0.02,
        "num_vectors": config.num_vectors,
        "peft_type": "VBLORA",
        "r": config.r,
        "save_only_topk_weights": config.only_topk,
        "topk": config.topk,
        "vblora_dropout": config.dropout,
        "vector_length": config.vector_length,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    json
}
