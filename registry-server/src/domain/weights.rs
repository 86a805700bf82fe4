//! Whether weights files hold exactly the tensors that the manifest implies.

use hub_schemas::{
    head::Head,
    layout::{
        self, ADAPTER_CONFIG, FUSION_WEIGHTS, Format, HEAD_CONFIG, HEAD_WEIGHTS, HUB_CONFIG, HubConfig,
        HubConfigError, Inexpressible, MisfitError, ModelClass, Subject, TensorHeader, WeightsFile,
    },
    manifest::{Manifest, MediaType},
    method::Method,
};
use serde_json::Value;

/// Why the weights do not fit the manifest.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WeightsError {
    /// A tensor is missing, unexpected, or of another shape or type.
    #[error(transparent)]
    Misfit(#[from] MisfitError),
    /// The format can't hold this method or head.
    #[error(transparent)]
    Inexpressible(#[from] Inexpressible),
    /// A safetensors file that nothing would read.
    #[error("`{0}` is no file of the `{1}` format; safetensors files beside the adapter's own are refused")]
    UnknownFile(String, Format),
    /// The configuration beside the weights says something else than the manifest.
    #[error("`{file}` says `{field}` is {found}; the manifest says {stated}")]
    Disagreement {
        /// The configuration file.
        file: &'static str,
        /// The field.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What the manifest says.
        stated: String,
    },
    /// The name inside tensor names is not stated.
    #[error("`{0}` has no `name`, which tensor names contain")]
    NoName(&'static str),
    /// A configuration of our own format that can't be read.
    #[error("`{HUB_CONFIG}` can't be read: {0}")]
    Hub(#[from] HubConfigError),
}

/// The adapter's configuration files, parsed. A file the format does not have is null.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configs {
    /// `adapter_config.json`, or `hub_adapter.json`.
    pub adapter: Value,
    /// `head_config.json`.
    pub head: Value,
}

/// The configuration files whose content [`check`] needs.
pub fn config_files(manifest: &Manifest) -> Vec<&'static str> {
    let files: &[&str] = match manifest.format {
        Format::Hub => &[HUB_CONFIG],
        Format::Peft | Format::Adapters => &[ADAPTER_CONFIG, HEAD_CONFIG],
    };
    files.iter().copied().filter(|path| manifest.file(path).is_some()).collect()
}

/// Refuses safetensors files that the format does not have: before any header is read.
pub fn check_known(manifest: &Manifest) -> Result<(), WeightsError> {
    let known = layout::required_files(manifest.format, &manifest.method, manifest.head.as_ref());
    let listed = manifest.files.iter().filter(|f| f.media_type == MediaType::Safetensors);
    match listed.into_iter().find(|f| !known.contains(&f.path.as_str())) {
        None => Ok(()),
        Some(file) => Err(WeightsError::UnknownFile(file.path.to_string(), manifest.format)),
    }
}

/// Checks every safetensors header in `headers` (by path) against the layout.
pub fn check(
    manifest: &Manifest,
    configs: &Configs,
    headers: &[(String, TensorHeader)],
) -> Result<(), WeightsError> {
    check_configs(manifest, configs)?;
    let listed = manifest.files.iter().filter(|f| f.media_type == MediaType::Safetensors);
    // Tensor names start at the bare backbone or at a model with a head.
    let [usual, bare] = [true, false].map(|prefixed| layouts(manifest, configs, prefixed));
    let class = |head| ModelClass::with_head(manifest.base.architecture, head);
    let renaming = manifest.head.as_ref().and_then(class).filter(|class| class.backbone_name().is_some());
    let renamed = match (&usual, renaming) {
        (Ok(files), Some(class)) if manifest.format == Format::Peft => {
            Some(Ok(files.iter().map(|file| file.clone().around(class)).collect()))
        }
        _ => None,
    };
    let mut spellings: Vec<_> = [usual, bare].into_iter().chain(renamed).collect();
    let Some(known) = spellings.iter().find_map(|s| s.as_ref().ok()) else {
        return spellings.swap_remove(0).map(|_| ());
    };
    for file in listed {
        if !known.iter().any(|k| k.path == file.path.as_str()) {
            return Err(WeightsError::UnknownFile(file.path.to_string(), manifest.format));
        }
    }
    // The spelling that the file uses is the one whose names are in it.
    let mut meant: &[WeightsFile] = known;
    for files in spellings.iter().flatten() {
        if names_found(files, headers) > names_found(meant, headers) {
            meant = files;
        }
    }
    Ok(fit(meant, headers)?)
}

fn names_found(files: &[WeightsFile], headers: &[(String, TensorHeader)]) -> usize {
    let header = |file: &WeightsFile| headers.iter().find(|(path, _)| path == file.path).map(|(_, h)| h);
    let found = |file: &WeightsFile| {
        header(file).map_or(0, |h| file.tensors.iter().filter(|t| h.tensors.contains_key(&t.disk)).count())
    };
    files.iter().map(found).sum()
}

fn fit(files: &[WeightsFile], headers: &[(String, TensorHeader)]) -> Result<(), MisfitError> {
    for file in files {
        if let Some((_, header)) = headers.iter().find(|(path, _)| path == file.path) {
            file.check(header)?;
        }
    }
    Ok(())
}

/// The layout with each file's tensor names under the name its own configuration states.
fn layouts(manifest: &Manifest, configs: &Configs, prefixed: bool) -> Result<Vec<WeightsFile>, WeightsError> {
    let files = |name: &str| layout::weights_files(manifest.format, &subject(manifest, name, prefixed));
    if manifest.format != Format::Adapters {
        return Ok(files("")?);
    }
    let name = |config: &Value| config.get("name").and_then(Value::as_str).map(ToOwned::to_owned);
    if let (Some(class), Some(head)) = (head_class(configs), &manifest.head) {
        // Heads and fusions alone have no configuration of an adapter, and no name of one in their tensors.
        let own = match name(&configs.adapter) {
            None if !configs.adapter.is_null() => return Err(WeightsError::NoName(ADAPTER_CONFIG)),
            own => own.unwrap_or_default(),
        };
        return Ok(layout::weights_files_in_class(&subject(manifest, &own, prefixed), class, head)?);
    }
    let mut found = Vec::new();
    for file in files("")? {
        // A fusion's name is part of the manifest.
        if file.path == FUSION_WEIGHTS {
            found.push(file);
            continue;
        }
        let (config, path) = match file.path {
            HEAD_WEIGHTS => (&configs.head, HEAD_CONFIG),
            _ => (&configs.adapter, ADAPTER_CONFIG),
        };
        let name = name(config).ok_or(WeightsError::NoName(path))?;
        found.extend(files(&name)?.into_iter().filter(|f| f.path == file.path));
    }
    Ok(found)
}

fn subject<'a>(manifest: &'a Manifest, name: &'a str, prefixed: bool) -> Subject<'a> {
    Subject {
        architecture: manifest.base.architecture,
        shape: &manifest.base.shape,
        method: &manifest.method,
        head: manifest.head.as_ref(),
        name,
        prefixed,
    }
}

/// The model class that the head is part of: such a head has no configuration of its own.
fn head_class(configs: &Configs) -> Option<ModelClass> {
    let has_config = configs.head.get("config").is_some_and(Value::is_object);
    let class = configs.head.get("model_class")?.as_str()?;
    (!has_config).then(|| class.parse().ok()).flatten()
}

/// What the configuration of our own format says is what the manifest says.
fn check_hub_config(manifest: &Manifest, config: &Value) -> Result<(), WeightsError> {
    let found = HubConfig::from_json(config)?;
    let same = |field: &'static str, same: bool, found: String, stated: String| {
        if same {
            return Ok(());
        }
        Err(WeightsError::Disagreement { file: HUB_CONFIG, field, found, stated })
    };
    let (architecture, method) = (manifest.base.architecture, &manifest.method);
    same(
        "architecture",
        found.architecture == architecture,
        found.architecture.to_string(),
        architecture.to_string(),
    )?;
    same("method", found.method == *method, found.method.summary(), method.summary())?;
    same(
        "head",
        found.head == manifest.head,
        head_kind(found.head.as_ref()),
        head_kind(manifest.head.as_ref()),
    )?;
    let labels = &manifest.task.labels;
    same("labels", found.labels == *labels, found.labels.join(", "), labels.join(", "))
}

fn head_kind(head: Option<&Head>) -> String {
    head.map_or_else(
        || "none".to_owned(),
        |head| format!("{} with {} outputs", head.kind(), head.num_labels()),
    )
}

/// Values that shapes can't reveal: two scalings fit the same tensors.
fn check_configs(manifest: &Manifest, configs: &Configs) -> Result<(), WeightsError> {
    if manifest.format == Format::Hub {
        return check_hub_config(manifest, &configs.adapter);
    }
    let number = |field: &'static str, stated: f64| -> Result<(), WeightsError> {
        match configs.adapter.get(field).and_then(Value::as_f64) {
            Some(found) if (found - stated).abs() > 1e-9 * stated.abs().max(1.0) => {
                Err(WeightsError::Disagreement {
                    file: ADAPTER_CONFIG,
                    field,
                    found: found.to_string(),
                    stated: stated.to_string(),
                })
            }
            _ => Ok(()),
        }
    };
    if let (Format::Peft, Method::Lora(config)) = (manifest.format, &manifest.method) {
        number("r", config.r as f64)?;
        number("lora_alpha", config.lora_alpha)?;
    }
    if manifest.format == Format::Adapters {
        number("hidden_size", manifest.base.shape.hidden_size as f64)?;
    }
    Ok(())
}
