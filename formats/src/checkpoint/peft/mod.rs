//! PEFT's `adapter_config.json`, read by PEFT's own rules: one file per family of types.

mod adaption;
mod elements;
mod factors;
mod low_rank;
mod norms;
mod orthogonal;
mod path_regex;
mod products;
mod prompts;
mod scaling;
mod shared;
mod targets;
mod tokens;
mod unread;

use std::path::Path;

use hub_schemas::{
    backbone::{Architecture, BackboneShape, Module, Variant},
    head::{Head, Pooling},
    layout::{Format, HeadTask, ModelClass, PEFT_WEIGHTS, TensorInfo},
    method::{Method, PromptPlace, ReplaceConfig},
};
use serde_json::{Map, Value, json};

use super::{
    CheckpointError, TensorFile,
    fields::Fields,
    folder::{KnownBase, Parsed},
    heads,
    weights::stored_name,
};

/// Fields that say nothing about what the weights compute.
const HARMLESS: &[&str] = &[
    "auto_mapping",
    "ensure_weight_tying",
    "inference_mode",
    "init_weights",
    "megatron_config",
    "megatron_core",
    "peft_version",
    "revision",
    "runtime_config",
];

/// What stands in front of every module path.
const ROOT: &str = "base_model.model.";

/// The weights file, and how module paths look in it.
struct File<'a> {
    weights: &'a TensorFile,
    architecture: Architecture,
    num_layers: usize,
    variant: Variant,
    prefixed: bool,
}

impl<'a> File<'a> {
    fn new(weights: &'a TensorFile, base: Option<KnownBase<'_>>) -> Self {
        let starts = |a: Architecture| {
            let prefix = format!("{ROOT}{}.", a.model_prefix(stacks(a, weights, base).1));
            weights.header.tensors.keys().any(|name| name.starts_with(&prefix))
        };
        // Of architectures that explain a file equally well it is the known one's.
        let all = || base.map(|(known, _)| known).into_iter().chain(Architecture::ALL);
        let best = |candidates: &mut dyn Iterator<Item = Architecture>, prefixed| {
            best(candidates, (weights, base), prefixed)
        };
        // The bare backbone that is known, whose blocks stand where another one has its prefix.
        let known = base.map(|(known, _)| known);
        let is_bare = known.is_some_and(|known| {
            !starts(known)
                && stacks(known, weights, base).0 > 0
                && best(&mut std::iter::once(known), false).is_some()
        });
        let prefixed = best(&mut all().filter(|&a| !is_bare && starts(a)), true);
        // Without a prefix the paths of the blocks tell; where there are none, nothing does.
        let bare = || best(&mut all().filter(|&a| stacks(a, weights, base).0 > 0), false);
        // A prompt with a head: `score` stands on every decoder, and on nothing else.
        let decoder = || weights.header.tensors.contains_key("base_model.score.weight");
        let head =
            || decoder().then_some(known.filter(|known| known.is_decoder()).unwrap_or(Architecture::Llama));
        // Rows of a table alone.
        let table = || best(&mut all(), false);
        let architecture =
            prefixed.or_else(bare).or_else(head).or_else(table).or(known).unwrap_or(Architecture::Bert);
        let (num_layers, variant) = stacks(architecture, weights, base);
        Self { weights, architecture, num_layers, variant, prefixed: prefixed.is_some() }
    }

    /// Every module that the backbone may have.
    fn modules(&self) -> Vec<Module> {
        self.architecture.modules(self.num_layers, self.variant)
    }

    /// A module's path in the model that was adapted.
    fn path(&self, module: Module) -> String {
        self.architecture.path_in_model(module, self.prefixed, self.variant)
    }

    /// The same as PEFT's configuration has it, where the class called its backbone otherwise.
    fn told_path(&self, module: Module) -> String {
        let path = self.path(module);
        let class = ModelClass::new(self.architecture, HeadTask::QuestionAnswering);
        match (class.backbone_name().filter(|_| self.weights.answers), path.split_once('.')) {
            (Some(name), Some(("model", rest))) => format!("{name}.{rest}"),
            _ => path,
        }
    }

    /// The number of a module's block in its stack, as its path has it.
    fn number(&self, module: Module) -> Option<usize> {
        let layer = module.layer()?;
        Some(match self.variant.decoder_from {
            Some(first) if layer >= first => layer - first,
            _ => layer,
        })
    }

    /// Whether some tensor of the file belongs to a module.
    fn mentions(&self, module: Module) -> bool {
        self.has_part(module, "")
    }

    /// A module's tensor of this name.
    fn tensor(&self, module: Module, part: &str) -> Option<&TensorInfo> {
        self.weights.header.tensors.get(&format!("{ROOT}{}.{part}", self.path(module)))
    }

    /// Whether a module has a tensor whose name goes on like this.
    fn has_part(&self, module: Module, part: &str) -> bool {
        let start = format!("{ROOT}{}.{part}", self.path(module));
        self.weights.header.tensors.keys().any(|name| name.starts_with(&start))
    }

    /// Whether a module has any tensor but copies of its own.
    fn has_more_than_copies(&self, module: Module) -> bool {
        let start = format!("{ROOT}{}.", self.path(module));
        let mut parts = self.weights.header.tensors.keys().filter_map(|name| name.strip_prefix(&start));
        parts.any(|part| !matches!(part, "weight" | "bias"))
    }

    /// Canonical names of the backbone's own tensors of which the file has trained copies.
    fn copies(&self) -> Vec<String> {
        let mut copies = Vec::new();
        // A pooler outside of the backbone is the head's.
        let is_of_head = |module: Module| {
            module.is_in_head() || module == Module::Pooler && self.architecture.pools_outside()
        };
        for module in self.modules() {
            for canonical in module.tensors() {
                let part = if canonical.rsplit('.').next() == Some("bias") { "bias" } else { "weight" };
                let path = format!("{ROOT}{}", self.path(module));
                let has = |name: String| self.weights.header.tensors.contains_key(&name);
                // A layer of a head that nothing wraps is the head's own; a bias alone is that of the base model's head.
                let is_of_base = !is_of_head(module) || part == "bias" && !has(format!("{path}.weight"));
                let is_whole = is_of_base && has(format!("{path}.{part}"));
                if is_whole || has(format!("{path}.base_layer.{part}")) {
                    copies.push(canonical);
                }
            }
        }
        copies
    }
}

/// How many blocks of an architecture a file tells of, and which variant.
pub(super) fn told_by(architecture: Architecture, weights: &TensorFile) -> (usize, Variant) {
    let names = weights.header.tensors.keys();
    architecture.told_by(&names.map(|name| name.strip_prefix(ROOT).unwrap_or(name)))
}

/// The same; where there are several variants, those of the backbone if it is known.
fn stacks(architecture: Architecture, weights: &TensorFile, base: Option<KnownBase<'_>>) -> (usize, Variant) {
    match base.filter(|_| architecture.has_variants()) {
        Some((known, shape)) if known == architecture => (shape.num_layers, shape.variant()),
        _ => told_by(architecture, weights),
    }
}

/// The first of those architectures whose modules explain most names of the file.
fn best(
    candidates: &mut dyn Iterator<Item = Architecture>,
    (weights, base): (&TensorFile, Option<KnownBase<'_>>),
    prefixed: bool,
) -> Option<Architecture> {
    let explained = |architecture: Architecture| {
        let (num_layers, variant) = stacks(architecture, weights, base);
        let modules = architecture.modules(num_layers, variant);
        let path = |module| format!("{ROOT}{}.", architecture.path_in_model(module, prefixed, variant));
        let paths: std::collections::BTreeSet<String> = modules.into_iter().map(path).collect();
        let ends = |name: &str| name.match_indices('.').map(|(at, _)| at + 1).collect::<Vec<_>>();
        // A block's own path counts too, less than that of a module: adaption prompts stand there.
        let front = if prefixed { format!("{}.", architecture.model_prefix(variant)) } else { String::new() };
        let blocks = architecture.blocks(variant).into_iter();
        let blocks: Vec<String> = blocks.map(|blocks| format!("{ROOT}{front}{blocks}")).collect();
        let is_in_block = |name: &String| blocks.iter().any(|block| name.starts_with(block));
        let points = |name: &String| {
            let is_module = ends(name).into_iter().any(|end| paths.contains(&name[..end]));
            if is_module { 2 } else { usize::from(is_in_block(name)) }
        };
        weights.header.tensors.keys().map(points).sum::<usize>()
    };
    let scored = candidates.map(|architecture| (explained(architecture), architecture));
    let all: Vec<(usize, Architecture)> = scored.filter(|(points, _)| *points > 0).collect();
    // `max_by_key` takes the last of equals.
    all.into_iter().rev().max_by_key(|(points, _)| *points).map(|(_, architecture)| architecture)
}

/// `base` is the backbone, where it is known.
pub(super) fn parse(
    dir: &Path,
    path: &Path,
    json: Map<String, Value>,
    base: Option<KnownBase<'_>>,
) -> Result<Parsed, CheckpointError> {
    let mut fields = Fields::new(path, json);
    let base_hint = fields.text("base_model_name_or_path")?;
    let kind = fields.text("peft_type")?.unwrap_or_default();
    let weights = TensorFile::open_renamed(&dir.join(stored_name(dir, PEFT_WEIGHTS)))?;
    let file = File::new(&weights, base);
    let task_type = fields.text("task_type")?;
    // What they mean is in the file: copies of the backbone's own tensors.
    fields.ignore(&["bias"]);
    let method = match kind.as_str() {
        "BEFT" => elements::beft(&mut fields, &file)?,
        "C3A" => elements::c3a(&mut fields, &file)?,
        "MISS" => elements::miss(&mut fields, &file)?,
        "SHIRA" => elements::shira(&mut fields, &file)?,
        "DELORA" => factors::delora(&mut fields, &file)?,
        "GRALORA" => factors::gralora(&mut fields, &file)?,
        "HIRA" => factors::hira(&mut fields, &file)?,
        "GLORA" => factors::glora(&mut fields, &file)?,
        "DEFT" => factors::deft(&mut fields, &file)?,
        "RANDLORA" => shared::randlora(&mut fields, &file)?,
        "VBLORA" => shared::vblora(&mut fields, &file)?,
        "HRA" => orthogonal::hra(&mut fields, &file)?,
        "ROAD" => orthogonal::road(&mut fields, &file)?,
        "LORA" => {
            let lora = low_rank::parse(&mut fields, &file, task_type.as_deref())?;
            tokens::beside(lora, &mut fields, &file)?
        }
        "ADALORA" => products::adalora(&mut fields, &file)?,
        "LOHA" => products::loha(&mut fields, &file)?,
        "LOKR" => products::lokr(&mut fields, &file)?,
        "VERA" => products::vera(&mut fields, &file)?,
        "OFT" => orthogonal::oft(&mut fields, &file)?,
        "BOFT" => orthogonal::boft(&mut fields, &file)?,
        "TRAINABLE_TOKENS" => tokens::parse(&mut fields, &file)?,
        "IA3" => scaling::parse(&mut fields, &file)?,
        "PROMPT_TUNING" | "P_TUNING" => prompts::parse(&mut fields, &file, false, task_type.as_deref())?,
        "LN_TUNING" => norms::parse(&mut fields, &file)?,
        "PREFIX_TUNING" => prompts::parse(&mut fields, &file, true, task_type.as_deref())?,
        "ADAPTION_PROMPT" => adaption::parse(&mut fields, &file)?,
        other => return Err(unread::refused(&mut fields, other, &file)?),
    };
    fields.ignore(HARMLESS);
    fields.ignore(&["modules_to_save"]);
    fields.finish()?;
    let method = with_copies(method, &file);

    // A file without module paths tells by its head what it was made for.
    let others = Architecture::ALL.into_iter().filter(|_| !file.prefixed);
    let mut candidates = std::iter::once(file.architecture).chain(others);
    let head_of = |architecture| {
        heads::peft_head(&weights, architecture, task_type.as_deref()).map(|head| (architecture, head))
    };
    let (architecture, head) = match candidates.find_map(head_of) {
        Some((architecture, head)) => (architecture, Some(head)),
        None => (file.architecture, None),
    };
    let is_prompt =
        |part: &Method| matches!(part, Method::Prompt(config) if config.place == PromptPlace::Words);
    let has_prompt = method.parts().iter().any(is_prompt);
    let head = match head {
        // `transformers` is given embeddings and no ids.
        Some(head) if has_prompt && head.pooling() == Some(Pooling::Last) => {
            Some(head.with_pooling(Pooling::LastPosition))
        }
        other => other,
    };
    let labels = head.as_ref().map_or_else(Vec::new, Head::default_labels);
    Ok(Parsed {
        format: Format::Peft,
        method,
        head,
        head_class: None,
        library: None,
        // `PeftModelForQuestionAnswering.forward` takes them and does not pass them on.
        drops_segments: task_type.as_deref() == Some("QUESTION_ANS"),
        is_flexible: false,
        task: HeadTask::ALL
            .into_iter()
            .find(|task| task.peft_task_type() == task_type.as_deref() && task_type.is_some()),
        labels,
        name: "default".to_owned(),
        prefixed: file.prefixed,
        base_hint,
        architecture,
    })
}

/// The method together with the trained copies that the file holds.
fn with_copies(method: Method, file: &File<'_>) -> Method {
    let tensors: std::collections::BTreeSet<String> = file.copies().into_iter().collect();
    if tensors.is_empty() {
        return method;
    }
    method.beside(ReplaceConfig::modules(tensors))
}

/// The model that PEFT is to wrap.
pub(super) struct Wrapped<'a> {
    /// The head that the adapter brings.
    pub(super) head: Option<&'a Head>,
    /// What the model class is for, whether the adapter brings its head or not.
    pub(super) task: Option<HeadTask>,
    /// Whether names go through a model with a head to the backbone inside.
    pub(super) prefixed: bool,
}

/// The configuration that PEFT needs to load what we wrote; `None` for a method it does
/// not have. Only fields that every PEFT since 0.5 knows, and later ones where they
/// matter: an unknown field stops older versions from loading.
pub(super) fn render(
    architecture: Architecture,
    method: &Method,
    shape: &BackboneShape,
    wrapped: &Wrapped<'_>,
    base: &str,
) -> Option<Value> {
    let &Wrapped { head, task, prefixed } = wrapped;
    let mut copies = Vec::new();
    let mut tokens = Map::new();
    let mut alone = Vec::new();
    let mut own = None;
    for part in method.parts() {
        match part {
            Method::Lora(config) => own = Some(low_rank::render(architecture, config, shape)),
            Method::AdaLora(config) => {
                let class = task.map(|task| ModelClass::new(architecture, task));
                own = Some(products::render_adalora(architecture, config, shape, (prefixed, class)));
            }
            Method::Loha(config) => own = Some(products::render_loha(architecture, config, shape)),
            Method::Lokr(config) => own = Some(products::render_lokr(architecture, config, shape)),
            Method::Vera(config) => own = Some(products::render_vera(architecture, config, shape)),
            Method::Oft(config) => own = Some(orthogonal::render_oft(architecture, config, shape)),
            Method::Boft(config) => own = Some(orthogonal::render_boft(architecture, config, shape)),
            Method::Beft(config) => own = Some(elements::render_beft(architecture, config, shape)),
            Method::C3a(config) => own = Some(elements::render_c3a(architecture, config, shape)),
            Method::Miss(config) => own = Some(elements::render_miss(architecture, config, shape)),
            Method::Shira(config) => own = Some(elements::render_shira(architecture, config, shape)),
            Method::Delora(config) => own = Some(factors::render_delora(architecture, config, shape)),
            Method::Gralora(config) => own = Some(factors::render_gralora(architecture, config, shape)),
            Method::Hira(config) => own = Some(factors::render_hira(architecture, config, shape)),
            Method::Glora(config) => own = Some(factors::render_glora(architecture, config, shape)),
            Method::Deft(config) => own = Some(factors::render_deft(architecture, config, shape)),
            Method::RandLora(config) => own = Some(shared::render_randlora(architecture, config, shape)),
            Method::VbLora(config) => own = Some(shared::render_vblora(architecture, config, shape)),
            Method::Hra(config) => own = Some(orthogonal::render_hra(architecture, config, shape)),
            Method::Road(config) => own = Some(orthogonal::render_road(architecture, config, shape)),
            Method::Tokens(config) if config.beside => {
                tokens.insert(architecture.module_path(config.table, shape.variant()), json!(config.tokens));
            }
            Method::Tokens(config) => {
                alone.push(config);
                own = tokens::render(architecture, &alone, shape);
            }
            Method::Ia3(config) => own = Some(scaling::render(architecture, config, shape)),
            Method::Prompt(config) => own = Some(prompts::prompt(config)),
            Method::Prefix(config) => own = Some(prompts::prefix(config)),
            Method::LlamaAdapter(config) => own = Some(adaption::render(architecture, config)),
            Method::Replace(config) if method.parts().len() == 1 => {
                own = norms::render(architecture, config, shape);
            }
            Method::Replace(config) => copies.extend(config.tensors.iter().cloned()),
            _ => return None,
        }
    }
    let Value::Object(mut json) = own? else { return None };
    if !tokens.is_empty() {
        json.insert("trainable_token_indices".into(), Value::Object(tokens));
    }
    let mut saved: Vec<String> = Vec::new();
    for canonical in copies {
        let module = canonical.rsplit_once('.').and_then(|(module, _)| module.parse::<Module>().ok());
        saved.extend(
            module.or(canonical.parse().ok()).map(|module| architecture.module_path(module, shape.variant())),
        );
    }
    saved.dedup();
    let own = task.filter(|_| head.is_some());
    saved.extend(own.map(HeadTask::peft_modules).into_iter().flatten().map(ToString::to_string));
    let class = head.and_then(|head| Some((head, ModelClass::with_head(architecture, head)?)));
    saved.extend(class.and_then(|(head, class)| class.peft_module(head)).map(ToOwned::to_owned));
    json.insert("auto_mapping".into(), Value::Null);
    json.insert("base_model_name_or_path".into(), json!(base));
    json.insert("inference_mode".into(), json!(true));
    json.insert("modules_to_save".into(), if saved.is_empty() { Value::Null } else { json!(saved) });
    json.insert("revision".into(), Value::Null);
    // PEFT's classes for a task pass token ids on, which models of images and of recordings do not take.
    let task_type = if architecture.reads_images() || architecture.reads_audio() {
        Value::Null
    } else {
        json!(task.and_then(HeadTask::peft_task_type).unwrap_or("FEATURE_EXTRACTION"))
    };
    json.insert("task_type".into(), task_type);
    Some(Value::Object(json))
}

/// PEFT types whole numbers as integers.
fn whole(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e9 { json!(number as i64) } else { json!(number) }
}
