//! Which modules PEFT's `target_modules`, `exclude_modules` and `layers_to_transform` name.

use hub_schemas::backbone::{Architecture, BackboneShape, LinearSite, Module, Targets};
use serde_json::Value;

use super::{super::fields::Fields, File, path_regex::PathRegex};
use crate::checkpoint::CheckpointError;

/// Which modules are adapted: PEFT's three fields.
pub(super) struct ModuleFilter {
    include: Pattern,
    exclude: Option<Pattern>,
    layers: Option<Layers>,
}

/// `layers_to_transform`, and how a path tells its layer.
struct Layers {
    numbers: Vec<usize>,
    /// What precedes the number, in order, each with one group around the number; without any, the first number counts.
    behind: Vec<regex::Regex>,
}

impl Layers {
    fn take(fields: &mut Fields) -> Result<Option<Self>, CheckpointError> {
        let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX) as usize;
        let numbers = match fields.take("layers_to_transform") {
            None => None,
            // No layer stands for all of them.
            Some(Value::Array(items)) if items.is_empty() => None,
            Some(one @ Value::Number(_)) => Some(vec![number(&one)]),
            Some(Value::Array(items)) => Some(items.iter().map(number).collect()),
            Some(_) => return Err(fields.wrong("layers_to_transform", "is neither a number nor a list")),
        };
        let behind = match fields.take("layers_pattern") {
            None => Vec::new(),
            Some(Value::String(text)) if text.is_empty() => Vec::new(),
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => {
                let texts = items.iter().map(|item| item.as_str().map(ToOwned::to_owned)).collect();
                let texts: Option<Vec<String>> = texts;
                texts.ok_or_else(|| {
                    fields.wrong("layers_pattern", "is a list of something other than texts")
                })?
            }
            Some(_) => return Err(fields.wrong("layers_pattern", "is neither a text nor a list")),
        };
        let Some(numbers) = numbers else { return Ok(None) };
        let compile = |text: &String| {
            let regex = regex::RegexBuilder::new(&format!(r"^(?:|.*?\.)(?:{text})\.(?P<idx>[0-9]+)\."))
                .size_limit(1 << 20)
                .build();
            regex.map_err(|e| fields.wrong("layers_pattern", format!("can't be read: {e}")))
        };
        Ok(Some(Self { numbers, behind: behind.iter().map(compile).collect::<Result<_, _>>()? }))
    }

    /// Whether a module with this path, in the block of this number, is in one of the layers.
    fn hold(&self, path: &str, number: Option<usize>) -> bool {
        let told = |regex: &regex::Regex| regex.captures(path)?.name("idx")?.as_str().parse().ok();
        let number = if self.behind.is_empty() { number } else { self.behind.iter().find_map(told) };
        number.is_some_and(|number| self.numbers.contains(&number))
    }
}

enum Pattern {
    /// A module matches when its path is an entry or ends with a dot and an entry.
    Names(Vec<String>),
    /// Every linear layer but the output layer.
    AllLinear,
    /// A regular expression that must match the whole path.
    Regex(PathRegex),
}

impl Pattern {
    fn take(fields: &mut Fields, field: &str) -> Result<Option<Self>, CheckpointError> {
        match fields.take(field) {
            None => Ok(None),
            Some(Value::String(text)) if text == "all-linear" => Ok(Some(Self::AllLinear)),
            Some(Value::String(text)) => {
                PathRegex::new(fields, field, &format!("^(?:{text})$")).map(|regex| Some(Self::Regex(regex)))
            }
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

    /// Whether a path stands there as it is.
    fn names_whole(&self, path: &str) -> bool {
        matches!(self, Self::Names(names) if names.iter().any(|name| name == path))
    }

    fn check(&self, fields: &Fields, field: &str) -> Result<(), CheckpointError> {
        if let Self::Regex(regex) = self { regex.check(fields, field) } else { Ok(()) }
    }
}

impl ModuleFilter {
    pub(super) fn take(fields: &mut Fields) -> Result<Self, CheckpointError> {
        let include = Pattern::take(fields, "target_modules")?
            .ok_or_else(|| fields.wrong("target_modules", "is missing; it names the adapted modules"))?;
        let exclude = Pattern::take(fields, "exclude_modules")?;
        Ok(Self { include, exclude, layers: Layers::take(fields)? })
    }

    /// A filter from one field of names alone; `None` when the field is absent.
    pub(super) fn take_names(fields: &mut Fields, field: &str) -> Result<Option<Self>, CheckpointError> {
        let include = Pattern::take(fields, field)?;
        Ok(include.map(|include| Self { include, exclude: None, layers: None }))
    }

    /// Whether a module is named by its path in the model that was adapted.
    /// Blocks are counted as in the path: a decoder's behind an encoder from zero again.
    fn hits(&self, file: &File<'_>, module: Module) -> bool {
        let path = &file.told_path(module);
        let all_linear = matches!(self.include, Pattern::AllLinear);
        if all_linear && (!module.is_linear() || module == Module::Output) {
            return false;
        }
        // What is named by its whole path is meant wherever it is.
        let layer_ok =
            |layers: &Layers| self.include.names_whole(path) || layers.hold(path, file.number(module));
        self.layers.as_ref().is_none_or(layer_ok)
            && self.include.matches(path)
            && !self.exclude.as_ref().is_some_and(|e| e.matches(path))
    }

    /// Those of `targets` that are named in `feedforward_modules`.
    pub(super) fn among(
        &self,
        fields: &Fields,
        file: &File<'_>,
        targets: &Targets,
    ) -> Result<Targets, CheckpointError> {
        let named = targets.iter().filter(|&module| self.hits(file, module)).collect();
        self.include.check(fields, "feedforward_modules").map(|()| named)
    }

    /// The linear layers that are named.
    pub(super) fn linears(fields: &mut Fields, file: &File<'_>) -> Result<Targets, CheckpointError> {
        Self::take(fields)?.matched(fields, file, Module::is_linear)
    }

    /// The modules of `kind` that are named. Those outside of the blocks count only where
    /// the file has them: a backbone may lack its pooler.
    pub(super) fn matched(
        &self,
        fields: &Fields,
        file: &File<'_>,
        kind: impl Fn(Module) -> bool,
    ) -> Result<Targets, CheckpointError> {
        // `ensure_weight_tying` adapts the output layer with the embedding, without naming it.
        let is_tied = |module: Module| module == Module::Output && file.has_part(module, "lora_");
        let saved = saved_modules(fields);
        // Files of older versions, and those whose biases alone are trained, have both.
        let is_saved = |module: Module| {
            saved.iter().any(|name| lies_in(&file.path(module), name)) && !file.has_more_than_copies(module)
        };
        let named = |module: &Module| (self.hits(file, *module) && !is_saved(*module)) || is_tied(*module);
        let matched: Targets = file
            .modules()
            .into_iter()
            .filter(|&module| kind(module))
            .filter(named)
            .filter(|&module| module.layer().is_some() || file.mentions(module))
            // A layer of a head is the head's own where nothing wraps it.
            .filter(|&module| !module.is_in_head() || file.has_more_than_copies(module))
            .collect();
        self.include.check(fields, "target_modules")?;
        self.exclude.as_ref().map_or(Ok(()), |exclude| exclude.check(fields, "exclude_modules"))?;
        if matched.is_empty() {
            return Err(
                fields.wrong("target_modules", "matches no module of the backbone that can be adapted")
            );
        }
        Ok(matched)
    }
}

/// The names of `modules_to_save`: what is trained as a whole is not adapted besides.
fn saved_modules(fields: &Fields) -> Vec<String> {
    let names = fields.peek("modules_to_save").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

/// Whether a module is called `name`, or lies in one that is.
fn lies_in(path: &str, name: &str) -> bool {
    let mut starts = path.match_indices(name).map(|(at, _)| at);
    starts.any(|at| {
        let (before, behind) = (&path[..at], &path[at + name.len()..]);
        (before.is_empty() || before.ends_with('.')) && (behind.is_empty() || behind.starts_with('.'))
    })
}

/// PEFT's `target_modules` for these modules: the shortest endings that match nothing else.
pub(super) fn target_modules(
    architecture: Architecture,
    targets: &Targets,
    shape: &BackboneShape,
) -> Vec<String> {
    let all = shape.modules(architecture);
    let mut modules = Vec::new();
    for module in targets.iter() {
        let path = architecture.module_path(module, shape.variant());
        let same_kind = |other: &Module| other.at_layer(0) == module.at_layer(0);
        let endings = path.match_indices('.').map(|(i, _)| &path[i + 1..]).filter(|e| !starts_with_layer(e));
        // `output.dense` is also the end of `attention.output.dense`. Where no ending is
        // unique, every layer is named by its full path.
        let unique = endings.rev().find(|ending| {
            let pattern = Pattern::Names(vec![(*ending).to_owned()]);
            let is_hit =
                |other: &&Module| pattern.matches(&architecture.module_path(**other, shape.variant()));
            all.iter().filter(is_hit).all(|other| same_kind(other) && is_covered(targets, *other, shape))
        });
        modules.push(unique.map_or(path.clone(), ToOwned::to_owned));
    }
    modules.sort();
    modules.dedup();
    modules
}

/// The same where there is no `layers_to_transform`: whole paths where only some layers are adapted.
pub(super) fn every_target(
    architecture: Architecture,
    targets: &Targets,
    shape: &BackboneShape,
) -> Vec<String> {
    if layers_to_transform(targets, shape).is_none() {
        return target_modules(architecture, targets, shape);
    }
    targets.iter().map(|module| architecture.module_path(module, shape.variant())).collect()
}

/// The fields that say which modules are adapted.
pub(super) fn render_targets(
    json: &mut Value,
    architecture: Architecture,
    targets: &Targets,
    shape: &BackboneShape,
) {
    json["layers_pattern"] = Value::Null;
    json["layers_to_transform"] = layers_to_transform(targets, shape).into();
    json["target_modules"] = target_modules(architecture, targets, shape).into();
}

/// Whether a module is meant, or is kept out by `layers_to_transform`.
fn is_covered(targets: &Targets, module: Module, shape: &BackboneShape) -> bool {
    targets.contains(module)
        || layers_to_transform(targets, shape)
            .is_some_and(|layers| module.layer().is_some_and(|layer| !layers.contains(&layer)))
}

fn starts_with_layer(ending: &str) -> bool {
    ending.split('.').next().is_some_and(|part| part.parse::<usize>().is_ok())
}

/// The adapted layers, where the same linear layers are adapted in some layers and
/// nothing in the others.
pub(super) fn layers_to_transform(targets: &Targets, shape: &BackboneShape) -> Option<Vec<usize>> {
    // Numbers would name blocks of the encoder and of the decoder.
    if shape.decoder_layers.is_some() {
        return None;
    }
    let sites = |layer: usize| LinearSite::ALL.map(|site| targets.contains(Module::Linear { layer, site }));
    let layers: Vec<usize> = (0..shape.num_layers).filter(|&layer| sites(layer).contains(&true)).collect();
    let first = sites(*layers.first()?);
    let alike = layers.iter().all(|&layer| sites(layer) == first);
    let inside = targets.iter().all(|module| module.layer().is_some());
    (alike && inside && layers.len() < shape.num_layers).then_some(layers)
}
