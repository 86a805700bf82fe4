//! `LoraConfig`, with `DoRA` and rank stabilisation.

use hub_schemas::{
    backbone::{Architecture, BackboneShape, Module, Targets},
    method::{Dora, LoraConfig, LoraPattern, Method, RankPattern},
};
use serde_json::{Map, Value, json};

use super::{
    super::fields::Fields,
    File,
    targets::{ModuleFilter, render_targets},
    whole,
};
use crate::checkpoint::CheckpointError;

/// Initialisations that change the base weights: the adapter is wrong on the plain base.
const CHANGES_BASE: &[&str] = &["pissa", "olora", "corda", "loftq"];

pub(super) fn parse(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    check_initialisation(fields)?;
    fields.ignore(&["loftq_config", "qalora_group_size", "eva_config"]);
    // Only says how the layer that was adapted stores its weight.
    fields.ignore(&["fan_in_fan_out"]);
    let r = fields.count("r")?.unwrap_or(8);
    let lora_alpha = fields.number("lora_alpha")?.unwrap_or(8.0);
    let targets = ModuleFilter::take(fields)?
        .matched(fields, file, |module| module.is_linear() || matches!(module, Module::Embedding(_)))?;
    let patterns = patterns_of(fields, file, &targets, r, lora_alpha)?;
    Ok(Method::Lora(LoraConfig {
        lora_dropout: fields.number("lora_dropout")?.unwrap_or(0.0),
        use_rslora: fields.bool_or("use_rslora", false)?,
        dora: fields.bool_or("use_dora", false)?.then_some(Dora::Scaled),
        lora_bias: fields.bool_or("lora_bias", false)?,
        patterns,
        ..LoraConfig::on(r, lora_alpha, targets)
    }))
}

/// The targets for which `rank_pattern` or `alpha_pattern` says something.
pub(super) fn patterns_of(
    fields: &mut Fields,
    file: &File<'_>,
    targets: &Targets,
    r: usize,
    lora_alpha: f64,
) -> Result<Vec<LoraPattern>, CheckpointError> {
    let (ranks, alphas) = (patterns(fields, "rank_pattern")?, patterns(fields, "alpha_pattern")?);
    let own = targets.iter().filter_map(|module| {
        let path = file.path(module);
        let (rank, alpha) = (find(&ranks, &path), find(&alphas, &path));
        (rank.is_some() || alpha.is_some()).then(|| LoraPattern {
            module,
            r: rank.map_or(r, |rank| rank as usize),
            lora_alpha: alpha.unwrap_or(lora_alpha),
        })
    });
    Ok(own.collect())
}

/// The targets for which `rank_pattern` says something, where it is all that differs between layers.
pub(super) fn rank_patterns_of(
    fields: &mut Fields,
    file: &File<'_>,
    targets: &Targets,
    r: usize,
) -> Result<Vec<RankPattern>, CheckpointError> {
    let ranks = patterns(fields, "rank_pattern")?;
    let own = targets.iter().filter_map(|module| {
        let rank = find(&ranks, &file.path(module))? as usize;
        (rank != r).then_some(RankPattern { module, r: rank })
    });
    Ok(own.collect())
}

fn check_initialisation(fields: &mut Fields) -> Result<(), CheckpointError> {
    match fields.take("init_lora_weights") {
        Some(Value::String(name)) if CHANGES_BASE.iter().any(|bad| name.starts_with(bad)) => Err(fields.wrong(
            "init_lora_weights",
            format!("is \"{name}\": it changed the base weights, so the adapter is wrong on the plain base model; convert it when saving in PEFT (`path_initial_model_for_weight_conversion`)"),
        )),
        _ => Ok(()),
    }
}

/// A pattern object: endings of module paths, as regular expressions, to numbers.
fn patterns(fields: &mut Fields, field: &str) -> Result<Vec<(regex::Regex, f64)>, CheckpointError> {
    let object = fields.object(field)?.unwrap_or_default();
    let pattern = |(key, value): (String, Value)| {
        let number = value.as_f64().filter(|n| *n > 0.0);
        let number =
            number.ok_or_else(|| fields.wrong(field, format!("gives `{key}` no positive number")))?;
        // A caret stands for the start of the whole path.
        let text = match key.strip_prefix('^') {
            Some(rest) => format!("^(?:{rest})$"),
            None => format!(r"^(?:.*\.)?(?:{key})$"),
        };
        let regex = regex::RegexBuilder::new(&text).size_limit(1 << 20).build();
        let regex = regex.map_err(|e| fields.wrong(field, format!("has a key that can't be read: {e}")))?;
        Ok((regex, number))
    };
    object.into_iter().map(pattern).collect()
}

fn find(patterns: &[(regex::Regex, f64)], path: &str) -> Option<f64> {
    patterns.iter().find(|(regex, _)| regex.is_match(path)).map(|(_, number)| *number)
}

pub(super) fn render(architecture: Architecture, config: &LoraConfig, shape: &BackboneShape) -> Value {
    let mut json = json!({
        "bias": "none",
        "fan_in_fan_out": architecture.transposes_weights(),
        "init_lora_weights": true,
        "lora_alpha": whole(config.lora_alpha),
        "lora_dropout": config.lora_dropout,
        "peft_type": "LORA",
        "r": config.r,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    for (field, set) in [
        ("use_rslora", config.use_rslora),
        ("use_dora", config.dora.is_some()),
        ("lora_bias", config.lora_bias),
    ] {
        if set {
            json[field] = json!(true);
        }
    }
    render_patterns(&mut json, architecture, &config.patterns, shape);
    json
}

/// A key of a pattern that means one module.
///
/// PEFT up to 0.15 wants something and a dot in front of what a key says, so a module in a block goes without its
/// path's first part, which a model without a head begins with.
pub(super) fn pattern_key(architecture: Architecture, module: Module, shape: &BackboneShape) -> String {
    let path = architecture.module_path(module, shape.variant());
    let within = path.split_once('.').filter(|_| module.layer().is_some()).map(|(_, rest)| rest);
    regex::escape(within.unwrap_or(&path))
}

/// `rank_pattern` alone, by the path of each module.
pub(super) fn render_ranks(
    json: &mut Value,
    architecture: Architecture,
    patterns: &[RankPattern],
    shape: &BackboneShape,
) {
    let entry = |own: &RankPattern| (pattern_key(architecture, own.module, shape), json!(own.r));
    json["rank_pattern"] = Value::Object(patterns.iter().map(entry).collect());
}

/// `rank_pattern` and `alpha_pattern`, by the path of each module.
pub(super) fn render_patterns(
    json: &mut Value,
    architecture: Architecture,
    patterns: &[LoraPattern],
    shape: &BackboneShape,
) {
    if patterns.is_empty() {
        return;
    }
    let key = |module| pattern_key(architecture, module, shape);
    let object = |value: &dyn Fn(&LoraPattern) -> Value| -> Map<String, Value> {
        patterns.iter().map(|p| (key(p.module), value(p))).collect()
    };
    json["rank_pattern"] = Value::Object(object(&|p| json!(p.r)));
    json["alpha_pattern"] = Value::Object(object(&|p| whole(p.lora_alpha)));
}
