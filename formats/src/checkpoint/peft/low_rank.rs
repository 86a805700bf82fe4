//! `LoraConfig`, with `DoRA` and rank stabilisation.

use hub_schemas::{
    backbone::{Architecture, BackboneShape, Module, Targets},
    method::{Dora, LoraConfig, LoraPattern, Method, RankPattern},
};
use serde_json::{Map, Value, json};

use super::{
    super::fields::Fields,
    File,
    path_regex::PathRegex,
    targets::{ModuleFilter, render_targets},
    whole,
};
use crate::checkpoint::CheckpointError;

/// Initialisations that change the base weights: the adapter is wrong on the plain base.
const CHANGES_BASE: &[&str] = &["pissa", "olora", "corda", "loftq", "lora_ga"];

pub(super) fn parse(
    fields: &mut Fields,
    file: &File<'_>,
    task_type: Option<&str>,
) -> Result<Method, CheckpointError> {
    check_initialisation(fields)?;
    fields.ignore(&["qalora_group_size"]);
    // Only says how the layer that was adapted stores its weight.
    fields.ignore(&["fan_in_fan_out"]);
    let r = fields.count("r")?.unwrap_or(8);
    let lora_alpha = fields.number("lora_alpha")?.unwrap_or(8.0);
    let by_parameter = by_parameter(fields, file)?;
    let is_exchanged = |module: &Module| is_exchanged(file.architecture, *module);
    let by_module = if by_parameter.is_empty() || names_modules(fields) {
        ModuleFilter::take(fields)?.matched(fields, file, Module::is_linear_or_table)?
    } else {
        // Parameters alone: what else says which modules are adapted says nothing.
        fields.ignore(&["target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"]);
        Targets::default()
    };
    let targets: Targets = by_module.iter().chain(by_parameter.iter()).collect();
    // What is named by its parameter is so in patterns too.
    let path = |module| {
        let path = file.told_path(module);
        if by_parameter.contains(module) { format!("{path}.weight") } else { path }
    };
    let patterns = patterns_of(fields, path, &targets, (r, lora_alpha))?;
    Ok(Method::Lora(LoraConfig {
        layer_replication: replication(fields)?,
        invocation_tokens: invocation(fields, task_type)?,
        lora_dropout: fields.number("lora_dropout")?.unwrap_or(0.0),
        use_rslora: fields.bool_or("use_rslora", false)?,
        dora: fields.bool_or("use_dora", false)?.then_some(Dora::Scaled),
        lora_bias: fields.bool_or("lora_bias", false)?,
        as_stored: by_parameter.iter().filter(is_exchanged).collect(),
        patterns,
        ..LoraConfig::on(r, lora_alpha, targets)
    }))
}

/// Whether a weight is stored with rows and columns exchanged: a convolution of GPT-2's, a table.
fn is_exchanged(architecture: Architecture, module: Module) -> bool {
    let is_transposed = architecture.transposes_weights() && !module.is_in_head();
    !module.is_linear() || is_transposed
}

/// The linear layers and tables whose weight `target_parameters` names. PEFT updates a parameter as it lies in its
/// module.
fn by_parameter(fields: &mut Fields, file: &File<'_>) -> Result<Targets, CheckpointError> {
    const FIELD: &str = "target_parameters";
    let names = fields.texts(FIELD)?.unwrap_or_default();
    if names.is_empty() {
        return Ok(Targets::default());
    }
    let is_meant = |module: &Module| {
        let parameter = format!("{}.weight", file.told_path(*module));
        names.iter().any(|name| parameter == *name || parameter.ends_with(&format!(".{name}")))
    };
    let meant: Targets = file.modules().into_iter().filter(is_meant).collect();
    if meant.is_empty() || !meant.iter().all(Module::is_linear_or_table) {
        let reason = format!(
            "names parameters that are no weights of linear layers or tables: {}; this version has no LoRA on others",
            names.join(", ")
        );
        return Err(fields.wrong(FIELD, reason));
    }
    Ok(meant)
}

/// Whether `target_modules` names something.
fn names_modules(fields: &Fields) -> bool {
    let named = fields.peek("target_modules");
    named.is_some_and(|value| value.as_array().is_none_or(|list| !list.is_empty()))
}

/// `layer_replication`: ranges `[first, end)` of the base model's layers.
fn replication(fields: &mut Fields) -> Result<Vec<(usize, usize)>, CheckpointError> {
    const FIELD: &str = "layer_replication";
    let Some(value) = fields.take(FIELD) else { return Ok(Vec::new()) };
    let ranges = serde_json::from_value::<Vec<(usize, usize)>>(value);
    ranges.map_err(|_| fields.wrong(FIELD, "is no list of ranges, as in `[[0, 4], [2, 5]]`"))
}

/// `alora_invocation_tokens`. PEFT looks for them in texts that a causal language model reads, and nowhere else.
fn invocation(fields: &mut Fields, task_type: Option<&str>) -> Result<Vec<u32>, CheckpointError> {
    const FIELD: &str = "alora_invocation_tokens";
    let Some(value) = fields.take(FIELD) else { return Ok(Vec::new()) };
    let tokens = serde_json::from_value::<Vec<u32>>(value);
    let tokens = tokens.map_err(|_| fields.wrong(FIELD, "is no list of tokens"))?;
    if !tokens.is_empty() && task_type != Some("CAUSAL_LM") {
        let reason = "needs `task_type` `CAUSAL_LM`: elsewhere PEFT never looks for the tokens, and the adapter \
                      does nothing";
        return Err(fields.wrong(FIELD, reason));
    }
    Ok(tokens)
}

/// The targets for which `rank_pattern` or `alpha_pattern` says something.
pub(super) fn patterns_of(
    fields: &mut Fields,
    path: impl Fn(Module) -> String,
    targets: &Targets,
    (r, lora_alpha): (usize, f64),
) -> Result<Vec<LoraPattern>, CheckpointError> {
    let (ranks, alphas) = (patterns(fields, "rank_pattern")?, patterns(fields, "alpha_pattern")?);
    let own = targets.iter().filter_map(|module| {
        let path = path(module);
        let (rank, alpha) = (find(&ranks, &path), find(&alphas, &path));
        (rank.is_some() || alpha.is_some()).then(|| LoraPattern {
            module,
            r: rank.map_or(r, |rank| rank as usize),
            lora_alpha: alpha.unwrap_or(lora_alpha),
        })
    });
    let own = own.collect();
    check(fields, "rank_pattern", &ranks)?;
    check(fields, "alpha_pattern", &alphas)?;
    Ok(own)
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
        let rank = find(&ranks, &file.told_path(module))? as usize;
        (rank != r).then_some(RankPattern { module, r: rank })
    });
    let own = own.collect();
    check(fields, "rank_pattern", &ranks)?;
    Ok(own)
}

/// Refuses weights that only mean something on base weights that the initialisation changed. What configured it stays
/// in a file that was converted when it was saved, and says nothing there.
fn check_initialisation(fields: &mut Fields) -> Result<(), CheckpointError> {
    fields.ignore(&["loftq_config", "eva_config", "corda_config", "lora_ga_config"]);
    match fields.take("init_lora_weights") {
        // PEFT takes `OLoRA` in any case.
        Some(Value::String(name)) if CHANGES_BASE.iter().any(|bad| name.to_lowercase().starts_with(bad)) => Err(fields.wrong(
            "init_lora_weights",
            format!("is \"{name}\": it changed the base weights, so the adapter is wrong on the plain base model; convert it when saving in PEFT (`path_initial_model_for_weight_conversion`)"),
        )),
        _ => Ok(()),
    }
}

/// A pattern object: endings of module paths, as regular expressions, to numbers.
fn patterns(fields: &mut Fields, field: &str) -> Result<Vec<(PathRegex, f64)>, CheckpointError> {
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
        Ok((PathRegex::new(fields, field, &text)?, number))
    };
    object.into_iter().map(pattern).collect()
}

/// Refuses keys that took too long.
fn check(fields: &Fields, field: &str, patterns: &[(PathRegex, f64)]) -> Result<(), CheckpointError> {
    patterns.iter().try_for_each(|(regex, _)| regex.check(fields, field))
}

fn find(patterns: &[(PathRegex, f64)], path: &str) -> Option<f64> {
    patterns.iter().find(|(regex, _)| regex.is_match(path)).map(|(_, number)| *number)
}

pub(super) fn render(architecture: Architecture, config: &LoraConfig, shape: &BackboneShape) -> Value {
    let mut json = json!({
        "bias": "none",
        "fan_in_fan_out": architecture.transposes_weights() && config.as_stored.is_empty(),
        "init_lora_weights": true,
        "lora_alpha": whole(config.lora_alpha),
        "lora_dropout": config.lora_dropout,
        "peft_type": "LORA",
        "r": config.r,
    });
    render_modules(&mut json, architecture, config, shape);
    for (field, set) in [
        ("use_rslora", config.use_rslora),
        ("use_dora", config.dora.is_some()),
        ("lora_bias", config.lora_bias),
    ] {
        if set {
            json[field] = json!(true);
        }
    }
    if !config.layer_replication.is_empty() {
        json["layer_replication"] = json!(config.layer_replication);
    }
    if !config.invocation_tokens.is_empty() {
        json["alora_invocation_tokens"] = json!(config.invocation_tokens);
    }
    render_patterns(&mut json, architecture, &config.patterns, shape);
    json
}

/// Modules by their names, and weights that were updated as they are stored by theirs.
fn render_modules(json: &mut Value, architecture: Architecture, config: &LoraConfig, shape: &BackboneShape) {
    if config.as_stored.is_empty() {
        return render_targets(json, architecture, &config.targets, shape);
    }
    let weight = |module| format!("{}.weight", architecture.module_path(module, shape.variant()));
    json["target_parameters"] = json!(config.as_stored.iter().map(weight).collect::<Vec<_>>());
    let named: Targets = config.targets.iter().filter(|module| !config.as_stored.contains(*module)).collect();
    if named.is_empty() {
        // Nothing there would make PEFT adapt its own choice besides.
        json["target_modules"] = json!([]);
    } else {
        render_targets(json, architecture, &named, shape);
    }
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
