//! `AdaLoraConfig`, `LoHaConfig`, `LoKrConfig` and `VeraConfig`: updates made of factors.

use hub_schemas::{
    backbone::{Architecture, BackboneShape, Module, Targets},
    layout::ModelClass,
    method::{
        AdaLoraConfig, LohaConfig, LokrConfig, LoraPattern, Method, PrunedRank, VeraConfig, VeraScaling,
    },
};
use serde_json::{Map, Value, json};

use super::{
    super::fields::Fields,
    File, low_rank,
    shared::refuse_unsaved,
    targets::{ModuleFilter, render_targets},
    whole,
};
use crate::checkpoint::CheckpointError;

/// What only matters while `AdaLoRA` prunes.
const PRUNING: &[&str] =
    &["beta1", "beta2", "deltaT", "orth_reg_weight", "r", "target_r", "tfinal", "tinit", "total_step"];

pub(super) fn adalora(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    fields.ignore(PRUNING);
    fields.ignore(&["alpha_pattern", "fan_in_fan_out", "init_lora_weights", "loftq_config", "eva_config"]);
    // `AdaLoRA` inherits these switches of LoRA and does not look at them.
    fields.ignore(&["use_rslora", "use_dora", "lora_bias", "corda_config", "qalora_group_size"]);
    let init_r = fields.count("init_r")?.unwrap_or(12);
    let targets = ModuleFilter::linears(fields, file)?;
    let kept = fields.object("rank_pattern")?.unwrap_or_default();
    let pruned = kept_ranks(fields, file, &targets, &kept)?;
    Ok(Method::AdaLora(AdaLoraConfig {
        init_r,
        lora_alpha: fields.number("lora_alpha")?.unwrap_or(8.0),
        lora_dropout: fields.number("lora_dropout")?.unwrap_or(0.0),
        targets,
        target_r: None,
        pruned: pruned.into_iter().filter(|p| p.r != init_r).collect(),
    }))
}

/// PEFT notes for every layer which singular values were kept.
fn kept_ranks(
    fields: &Fields,
    file: &File<'_>,
    targets: &Targets,
    kept: &Map<String, Value>,
) -> Result<Vec<PrunedRank>, CheckpointError> {
    let rank = |(name, mask): (&String, &Value)| {
        let path = name.strip_suffix(".default").unwrap_or(name);
        let path = path.strip_suffix(".lora_E").unwrap_or(path);
        let path = path.strip_prefix("base_model.model.").unwrap_or(path);
        let module = targets.iter().find(|&module| file.told_path(module) == path);
        let mask: Option<Vec<bool>> =
            mask.as_array().and_then(|mask| mask.iter().map(Value::as_bool).collect());
        match (module, mask) {
            (Some(module), Some(mask)) => {
                Ok(PrunedRank { module, r: mask.into_iter().filter(|kept| *kept).count() })
            }
            (None, _) => Err(fields.wrong("rank_pattern", format!("names `{name}`, which is no target"))),
            (_, None) => {
                Err(fields.wrong("rank_pattern", format!("has no list of true and false at `{name}`")))
            }
        }
    };
    kept.iter().map(rank).collect()
}

pub(super) fn loha(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    let Sized { r, alpha, targets, patterns } = sized(fields, file)?;
    Ok(Method::Loha(LohaConfig { r, alpha, targets, patterns }))
}

pub(super) fn lokr(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    fields.ignore(&["rank_dropout_scale"]);
    let decompose_both = fields.bool_or("decompose_both", false)?;
    let decompose_factor = match fields.take("decompose_factor") {
        None => None,
        Some(value) => match value.as_i64() {
            Some(-1) => None,
            Some(factor) if factor > 0 => usize::try_from(factor).ok(),
            _ => return Err(fields.wrong("decompose_factor", "is neither -1 nor a positive number")),
        },
    };
    let Sized { r, alpha, targets, patterns } = sized(fields, file)?;
    Ok(Method::Lokr(LokrConfig { r, alpha, targets, decompose_both, decompose_factor, patterns }))
}

struct Sized {
    r: usize,
    alpha: f64,
    targets: Targets,
    patterns: Vec<LoraPattern>,
}

/// What `LoHa` and `LoKr` have in common.
fn sized(fields: &mut Fields, file: &File<'_>) -> Result<Sized, CheckpointError> {
    // Dropout of whole rows or layers, in training; convolutions, of which no backbone has any.
    fields.ignore(&["rank_dropout", "module_dropout", "use_effective_conv2d"]);
    let r = fields.count("r")?.unwrap_or(8);
    let alpha = fields.number("alpha")?.unwrap_or(8.0);
    let targets = ModuleFilter::linears(fields, file)?;
    let patterns = low_rank::patterns_of(fields, |module| file.told_path(module), &targets, (r, alpha))?;
    Ok(Sized { r, alpha, targets, patterns })
}

pub(super) fn vera(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    fields.ignore(&["fan_in_fan_out", "projection_prng_key"]);
    refuse_unsaved(fields, file, "base_model.vera_A")?;
    let r = fields.count("r")?.unwrap_or(256);
    let targets = ModuleFilter::linears(fields, file)?;
    Ok(Method::Vera(VeraConfig {
        r,
        targets,
        d_initial: fields.number("d_initial")?.unwrap_or(0.1),
        b_initial: 0.0,
        dropout: fields.number("vera_dropout")?.unwrap_or(0.0),
        scaling: VeraScaling::Diagonal,
        alpha: None,
        dora: None,
        use_gating: false,
    }))
}

/// `prefixed`: whether the backbone is part of a model with a head. `class` is that model's.
pub(super) fn render_adalora(
    architecture: Architecture,
    config: &AdaLoraConfig,
    shape: &BackboneShape,
    (prefixed, class): (bool, Option<ModelClass>),
) -> Value {
    let mut json = json!({
        "bias": "none",
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "init_r": config.init_r,
        "lora_alpha": whole(config.lora_alpha),
        "lora_dropout": config.lora_dropout,
        "peft_type": "ADALORA",
        "r": config.init_r,
        "target_r": config.target_r.unwrap_or(config.init_r),
        "tfinal": 0,
        "tinit": 0,
        "total_step": 1,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    if !config.pruned.is_empty() {
        // Which values were kept is lost with those that were not: the first ones stand for them.
        let mask = |module: Module| {
            let r = config.rank(module);
            Value::from((0..config.init_r).map(|i| i < r).collect::<Vec<bool>>())
        };
        let own = class.and_then(ModelClass::backbone_name).filter(|_| prefixed);
        let path = |module: Module| match own {
            Some(name) => format!("{name}.{}", architecture.module_path(module, shape.variant())),
            None => architecture.path_in_model(module, prefixed, shape.variant()),
        };
        let entry = |module: Module| (format!("{}.lora_E", path(module)), mask(module));
        json["rank_pattern"] = Value::Object(config.targets.iter().map(entry).collect());
    }
    json
}

pub(super) fn render_loha(architecture: Architecture, config: &LohaConfig, shape: &BackboneShape) -> Value {
    let mut json = json!({
        "alpha": whole(config.alpha),
        "init_weights": true,
        "module_dropout": 0.0,
        "peft_type": "LOHA",
        "r": config.r,
        "rank_dropout": 0.0,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    low_rank::render_patterns(&mut json, architecture, &config.patterns, shape);
    json
}

pub(super) fn render_lokr(architecture: Architecture, config: &LokrConfig, shape: &BackboneShape) -> Value {
    let mut json = json!({
        "alpha": whole(config.alpha),
        "decompose_both": config.decompose_both,
        "decompose_factor": config.decompose_factor.map_or(json!(-1), |factor| json!(factor)),
        "init_weights": true,
        "module_dropout": 0.0,
        "peft_type": "LOKR",
        "r": config.r,
        "rank_dropout": 0.0,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    low_rank::render_patterns(&mut json, architecture, &config.patterns, shape);
    json
}

pub(super) fn render_vera(architecture: Architecture, config: &VeraConfig, shape: &BackboneShape) -> Value {
    let mut json = json!({
        "bias": "none",
        "d_initial": config.d_initial,
        "fan_in_fan_out": false,
        "init_weights": true,
        "peft_type": "VERA",
        "projection_prng_key": 0,
        "r": config.r,
        "save_projection": true,
        "vera_dropout": config.dropout,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    json
}
