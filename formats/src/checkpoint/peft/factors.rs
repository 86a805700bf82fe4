//! `DeloraConfig`, `GraloraConfig`, `HiraConfig`, `GloraConfig` and `DeftConfig`: updates made of factors of their own.

use hub_schemas::{
    backbone::{Architecture, BackboneShape, Module, Targets},
    method::{
        DeftConfig, DeftDecomposition, DeloraConfig, GloraConfig, GloraPath, GraloraConfig, HiraConfig,
        Method, RankPattern,
    },
};
use serde_json::{Value, json};

use super::{
    super::fields::Fields,
    File, low_rank,
    targets::{ModuleFilter, every_target, render_targets},
    whole,
};
use crate::checkpoint::CheckpointError;

pub(super) fn delora(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    // What the bounds of single layers start as.
    fields.ignore(&["lambda_pattern"]);
    let r = fields.count("r")?.unwrap_or(8);
    let targets = ModuleFilter::linears(fields, file)?;
    Ok(Method::Delora(DeloraConfig {
        r,
        delora_lambda: fields.number("delora_lambda")?.unwrap_or(15.0),
        dropout: fields.number("module_dropout")?.unwrap_or(0.0),
        patterns: low_rank::rank_patterns_of(fields, file, &targets, r)?,
        targets,
    }))
}

pub(super) fn gralora(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    fields.ignore(&["fan_in_fan_out"]);
    Ok(Method::Gralora(GraloraConfig {
        r: fields.count("r")?.unwrap_or(32),
        hybrid_r: fields.count("hybrid_r")?.unwrap_or(0),
        alpha: fields.number("alpha")?.unwrap_or(64.0),
        gralora_k: fields.count("gralora_k")?.unwrap_or(2),
        targets: ModuleFilter::linears(fields, file)?,
        dropout: fields.number("gralora_dropout")?.unwrap_or(0.0),
    }))
}

pub(super) fn hira(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    // PEFT 0.21 notes ranks of single modules and does not look at them: the file has the ranks that were made.
    fields.ignore(&["fan_in_fan_out", "rank_pattern"]);
    let r = fields.count("r")?.unwrap_or(32);
    let targets = ModuleFilter::take(fields)?.matched(fields, file, Module::is_linear_or_table)?;
    Ok(Method::Hira(HiraConfig {
        r,
        dropout: fields.number("hira_dropout")?.unwrap_or(0.0),
        patterns: held_ranks(file, &targets, r),
        targets,
    }))
}

/// The targets whose factor `hira_A` has another number of rows.
fn held_ranks(file: &File<'_>, targets: &Targets, r: usize) -> Vec<RankPattern> {
    let held = |module: Module| {
        let part = if module.is_linear() { "hira_A" } else { "hira_embedding_A" };
        let rank = *file.tensor(module, part)?.shape.first()?;
        (rank != r).then_some(RankPattern { module, r: rank })
    };
    targets.iter().filter_map(held).collect()
}

pub(super) fn glora(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    let targets = ModuleFilter::linears(fields, file)?;
    let r = fields.count("r")?.unwrap_or(8);
    let config_a_b = path(fields, "config_A_B", GloraPath::Lora)?;
    let config_c = path(fields, "config_C", GloraPath::Lora)?;
    let config_d_e = path(fields, "config_D_E", GloraPath::Constant)?;
    // PEFT keeps zeros for what scales and shifts a bias that is not there.
    let lacks = |part: &str, path, module| path != GloraPath::None && file.has_part(module, part);
    let lacks_bias = |module: &Module| {
        lacks("glora_C.zeros", config_c, *module) || lacks("glora_D.zeros", config_d_e, *module)
    };
    let without_bias: Targets = targets.iter().filter(lacks_bias).collect();
    Ok(Method::Glora(GloraConfig { r, config_a_b, config_c, config_d_e, targets, without_bias }))
}

fn path(fields: &mut Fields, field: &str, default: GloraPath) -> Result<GloraPath, CheckpointError> {
    let Some(name) = fields.text(field)? else { return Ok(default) };
    let all = [GloraPath::Lora, GloraPath::Vector, GloraPath::Constant, GloraPath::None];
    let found = all.into_iter().find(|path| path.as_str() == name);
    found.ok_or_else(|| {
        fields.wrong(field, format!("is `{name}`; it is `lora`, `vector`, `constant` or `none`"))
    })
}

pub(super) fn deft(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    fields.ignore(&["fan_in_fan_out", "init_scale"]);
    let decomposition = match fields.text("decomposition_method")?.as_deref() {
        None | Some("relu") => DeftDecomposition::Relu,
        Some("qr") => DeftDecomposition::Qr,
        Some(other) => {
            let reason = format!("is `{other}`; it is `relu` or `qr`");
            return Err(fields.wrong("decomposition_method", reason));
        }
    };
    Ok(Method::Deft(DeftConfig {
        r: fields.count("r")?.unwrap_or(8),
        decomposition,
        alpha: fields.number("alpha")?,
        para: fields.bool_or("para", false)?,
        targets: ModuleFilter::linears(fields, file)?,
        dropout: fields.number("deft_dropout")?.unwrap_or(0.0),
    }))
}

pub(super) fn render_delora(
    architecture: Architecture,
    config: &DeloraConfig,
    shape: &BackboneShape,
) -> Value {
    let mut json = json!({
        "bias": "none",
        "delora_lambda": whole(config.delora_lambda),
        "init_weights": true,
        "lambda_pattern": {},
        "module_dropout": config.dropout,
        "peft_type": "DELORA",
        "r": config.r,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    low_rank::render_ranks(&mut json, architecture, &config.patterns, shape);
    json
}

pub(super) fn render_gralora(
    architecture: Architecture,
    config: &GraloraConfig,
    shape: &BackboneShape,
) -> Value {
    let mut json = json!({
        "alpha": whole(config.alpha),
        "bias": "none",
        "fan_in_fan_out": architecture.transposes_weights(),
        "gralora_dropout": config.dropout,
        "gralora_k": config.gralora_k,
        "hybrid_r": config.hybrid_r,
        "init_weights": true,
        "peft_type": "GRALORA",
        "r": config.r,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    json
}

pub(super) fn render_hira(architecture: Architecture, config: &HiraConfig, shape: &BackboneShape) -> Value {
    let mut json = json!({
        "fan_in_fan_out": architecture.transposes_weights(),
        "hira_dropout": config.dropout,
        "init_weights": true,
        "peft_type": "HIRA",
        "r": config.r,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    low_rank::render_ranks(&mut json, architecture, &config.patterns, shape);
    json
}

pub(super) fn render_glora(architecture: Architecture, config: &GloraConfig, shape: &BackboneShape) -> Value {
    json!({
        "bias": "none",
        "config_A_B": config.config_a_b.as_str(),
        "config_C": config.config_c.as_str(),
        "config_D_E": config.config_d_e.as_str(),
        "init_weights": true,
        "peft_type": "GLORA",
        "r": config.r,
        // It has no `layers_to_transform`.
        "target_modules": every_target(architecture, &config.targets, shape),
    })
}

pub(super) fn render_deft(architecture: Architecture, config: &DeftConfig, shape: &BackboneShape) -> Value {
    let decomposition = match config.decomposition {
        DeftDecomposition::Relu => "relu",
        DeftDecomposition::Qr => "qr",
    };
    let mut json = json!({
        "alpha": config.alpha.map(whole),
        "bias": "none",
        "decomposition_method": decomposition,
        "deft_dropout": config.dropout,
        "fan_in_fan_out": architecture.transposes_weights(),
        "init_scale": 1.0,
        "init_weights": true,
        "para": config.para,
        "peft_type": "DEFT",
        "r": config.r,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    json
}
