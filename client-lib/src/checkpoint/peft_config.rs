//! PEFT's `adapter_config.json` (`LoraConfig`), read by PEFT's own rules.

use std::path::Path;

use hub_schemas::{
    backbone::{Architecture, LinearSite},
    head::Head,
    layout::{Format, HeadTask, ModelClass, PEFT_WEIGHTS},
    method::{LoraConfig, Method},
};
use serde_json::{Map, Value, json};

use super::{CheckpointError, TensorFile, fields::Fields, folder::Parsed, heads};

/// Fields that say nothing about what the weights compute.
const HARMLESS: &[&str] = &[
    "auto_mapping",
    "ensure_weight_tying",
    "inference_mode",
    "init_weights",
    "layers_pattern",
    "loftq_config",
    "megatron_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
];

/// Initialisations that change the base weights: the adapter is wrong on the plain base.
const CHANGES_BASE: &[&str] = &["pissa", "olora", "corda", "loftq"];

pub(super) fn parse(dir: &Path, path: &Path, json: Map<String, Value>) -> Result<Parsed, CheckpointError> {
    let mut fields = Fields::new(path, json);
    fields.only("peft_type", &json!("LORA"))?;
    fields.only("bias", &json!("none"))?;
    fields.only("fan_in_fan_out", &json!(false))?;
    fields.ignore(HARMLESS);
    check_initialisation(&mut fields)?;
    let base_hint = fields.text("base_model_name_or_path")?;
    let r = fields.count("r")?.unwrap_or(8);
    let lora_alpha = fields.number("lora_alpha")?.unwrap_or(8.0);
    let lora_dropout = fields.number("lora_dropout")?.unwrap_or(0.0);
    let use_rslora = fields.bool_or("use_rslora", false)?;
    let task_type = fields.text("task_type")?;
    let saved = fields.texts("modules_to_save")?.unwrap_or_default();

    let weights = TensorFile::open(&dir.join(PEFT_WEIGHTS))?;
    let architecture = Architecture::Bert;
    if let Some(other) = saved.iter().find(|m| !heads::PEFT_MODULES.contains(&m.as_str())) {
        let reason = format!("names `{other}`; only `classifier` and `qa_outputs` are supported");
        return Err(fields.wrong("modules_to_save", reason));
    }
    let (num_layers, prefixed) = survey(&weights, architecture);
    let targets = Targets::take(&mut fields)?;
    let (sites, layers) = targets.matched(&fields, architecture, num_layers, prefixed)?;
    fields.finish()?;

    let head = heads::peft_head(&weights, architecture, task_type.as_deref());
    let labels = head.as_ref().map_or_else(Vec::new, Head::default_labels);
    Ok(Parsed {
        format: Format::Peft,
        method: Method::Lora(LoraConfig { r, lora_alpha, lora_dropout, use_rslora, targets: sites, layers }),
        head,
        labels,
        name: "default".to_owned(),
        head_class: None,
        prefixed,
        base_hint,
        architecture,
    })
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

/// How many layers the weights mention, and whether their names start at a model with a head.
fn survey(weights: &TensorFile, architecture: Architecture) -> (usize, bool) {
    let prefix = format!("base_model.model.{}.", architecture.model_prefix());
    let prefixed = weights.header.tensors.keys().any(|name| name.starts_with(&prefix));
    let layer = |name: &String| layer_index(name);
    (weights.header.tensors.keys().filter_map(layer).max().map_or(0, |last| last + 1), prefixed)
}

/// The first purely numeric part of a module path.
fn layer_index(path: &str) -> Option<usize> {
    path.split('.').find_map(|part| part.parse().ok())
}

/// Which modules are adapted: PEFT's three fields.
struct Targets {
    include: Pattern,
    exclude: Option<Pattern>,
    layers: Option<Vec<usize>>,
}

enum Pattern {
    /// A module matches when its path is an entry or ends with a dot and an entry.
    Names(Vec<String>),
    /// Every linear layer but the output layer.
    AllLinear,
    /// A regular expression that must match the whole path.
    Regex(regex::Regex),
}

impl Pattern {
    fn take(fields: &mut Fields, field: &str) -> Result<Option<Self>, CheckpointError> {
        match fields.take(field) {
            None => Ok(None),
            Some(Value::String(text)) if text == "all-linear" => Ok(Some(Self::AllLinear)),
            Some(Value::String(text)) => regex::RegexBuilder::new(&format!("^(?:{text})$"))
                .size_limit(1 << 20)
                .build()
                .map(|regex| Some(Self::Regex(regex)))
                .map_err(|e| {
                    fields.wrong(field, format!("is not a regular expression this version reads: {e}"))
                }),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| item.as_str().map(ToOwned::to_owned))
                .collect::<Option<Vec<_>>>()
                .map(|names| Some(Self::Names(names)))
                .ok_or_else(|| fields.wrong(field, "is a list of something other than names")),
            Some(_) => Err(fields.wrong(field, "is neither a list nor a text")),
        }
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Names(names) => names.iter().any(|name| {
                path.strip_suffix(name.as_str()).is_some_and(|front| front.is_empty() || front.ends_with('.'))
            }),
            Self::AllLinear => true,
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

impl Targets {
    fn take(fields: &mut Fields) -> Result<Self, CheckpointError> {
        let include = Pattern::take(fields, "target_modules")?
            .ok_or_else(|| fields.wrong("target_modules", "is missing; it names the adapted modules"))?;
        let exclude = Pattern::take(fields, "exclude_modules")?;
        let layers = match fields.take("layers_to_transform") {
            None => None,
            Some(Value::Number(n)) => Some(vec![n.as_u64().unwrap_or(u64::MAX) as usize]),
            Some(Value::Array(items)) => {
                Some(items.iter().map(|i| i.as_u64().unwrap_or(u64::MAX) as usize).collect())
            }
            Some(_) => return Err(fields.wrong("layers_to_transform", "is neither a number nor a list")),
        };
        Ok(Self { include, exclude, layers })
    }

    fn hits(&self, path: &str) -> bool {
        let layer_ok = match (&self.layers, layer_index(path)) {
            (None, _) => true,
            (Some(layers), Some(layer)) => layers.contains(&layer),
            (Some(_), None) => false,
        };
        layer_ok && self.include.matches(path) && !self.exclude.as_ref().is_some_and(|e| e.matches(path))
    }

    /// The sites that are adapted and, unless it is all, the layers.
    fn matched(
        &self,
        fields: &Fields,
        architecture: Architecture,
        num_layers: usize,
        prefixed: bool,
    ) -> Result<(Vec<LinearSite>, Option<Vec<usize>>), CheckpointError> {
        let prefix = if prefixed { format!("{}.", architecture.model_prefix()) } else { String::new() };
        if let Some(other) =
            architecture.other_linear_paths().iter().find(|p| self.hits(&format!("{prefix}{p}")))
        {
            return Err(fields.wrong(
                "target_modules",
                format!("matches `{other}`, which can't be adapted in this version"),
            ));
        }
        let hits = |layer, site| self.hits(&format!("{prefix}{}", architecture.linear_path(layer, site)));
        let sites_of = |layer| LinearSite::ALL.into_iter().filter(|&s| hits(layer, s)).collect::<Vec<_>>();
        let layers: Vec<usize> = (0..num_layers).filter(|&l| !sites_of(l).is_empty()).collect();
        let Some(&first) = layers.first() else {
            return Err(fields.wrong("target_modules", "matches no linear layer of the backbone"));
        };
        let sites = sites_of(first);
        if let Some(odd) = layers.iter().find(|&&l| sites_of(l) != sites) {
            let reason = format!(
                "matches other modules in layer {odd} than in layer {first}; only the same modules in every adapted layer are supported"
            );
            return Err(fields.wrong("target_modules", reason));
        }
        // "All layers" can't be told from "the first n" by the weights alone: without
        // a restriction in the configuration, a missing layer is a missing tensor.
        let explicit = self.layers.is_some() || layers.len() != num_layers;
        Ok((sites, explicit.then_some(layers)))
    }
}

/// PEFT's `target_modules` for these sites: the shortest endings that match nothing else.
pub(super) fn target_modules(
    architecture: Architecture,
    config: &LoraConfig,
    num_layers: usize,
) -> Vec<String> {
    let ending =
        |site| architecture.linear_path(0, site).splitn(4, '.').nth(3).unwrap_or_default().to_owned();
    let others = |site: LinearSite| LinearSite::ALL.into_iter().filter(move |&o| o != site);
    let mut modules = Vec::new();
    for &site in &config.targets {
        let path = ending(site);
        let candidates = path.match_indices('.').map(|(i, _)| path[i + 1..].to_owned()).collect::<Vec<_>>();
        let unique = candidates.into_iter().rev().chain([path.clone()]).find(|name| {
            let pattern = Pattern::Names(vec![name.clone()]);
            let hits_site = |site| pattern.matches(&architecture.linear_path(0, site));
            !others(site).any(hits_site)
                && !architecture.other_linear_paths().iter().any(|p| pattern.matches(p))
        });
        match unique {
            Some(name) => modules.push(name),
            // `output.dense` is also the end of `attention.output.dense`: name every layer
            // that is updated. PEFT takes a full path even where `layers_to_transform` leaves it out.
            None => modules.extend(
                (0..num_layers)
                    .filter(|&layer| config.is_at(layer, site))
                    .map(|layer| architecture.linear_path(layer, site)),
            ),
        }
    }
    modules.sort();
    modules
}

/// The configuration PEFT needs to load a LoRA that we wrote. Only fields that
/// every PEFT since 0.5 knows: later ones stop older versions from loading.
pub(super) fn render(
    architecture: Architecture,
    config: &LoraConfig,
    num_layers: usize,
    head: Option<&Head>,
    base: &str,
) -> Value {
    let task = head.and_then(|head| ModelClass::with_head(architecture, head)).map(ModelClass::task);
    let mut json = json!({
        "auto_mapping": null,
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "layers_pattern": null,
        "layers_to_transform": config.layers,
        "lora_alpha": whole(config.lora_alpha),
        "lora_dropout": config.lora_dropout,
        "modules_to_save": task.map(HeadTask::peft_modules),
        "peft_type": "LORA",
        "r": config.r,
        "revision": null,
        "target_modules": target_modules(architecture, config, num_layers),
        "task_type": task.and_then(HeadTask::peft_task_type).unwrap_or("FEATURE_EXTRACTION"),
    });
    if config.use_rslora {
        json["use_rslora"] = json!(true);
    }
    json
}

/// PEFT types `lora_alpha` as an integer.
fn whole(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e9 { json!(number as i64) } else { json!(number) }
}
