//! The configuration files of AdapterHub's `adapters` library.

use std::path::Path;

use hub_schemas::{
    backbone::{Architecture, BackboneShape, Variant},
    head::Head,
    layout::{ADAPTERS_WEIGHTS, Format, HEAD_CONFIG},
    method::{ComposedFusion, CompositionMember, Method},
};
use serde_json::{Map, Value, json};

use super::{
    CheckpointError, TensorFile,
    adapters::{
        self, Reading,
        interface::{self, Plugged},
    },
    composition::fusion_json,
    fields::Fields,
    folder::{KnownBase, Parsed},
    heads,
    weights::stored_name,
};

/// Version whose rules our files follow.
pub(super) const WRITTEN_AS: &str = "adapters.1.1.1";

/// `base` is the backbone, where it is known.
pub(super) fn parse(
    dir: &Path,
    path: &Path,
    json: Map<String, Value>,
    base: Option<KnownBase<'_>>,
) -> Result<Parsed, CheckpointError> {
    let mut fields = Fields::new(path, json);
    let common = Common::take(&mut fields)?;
    let config = fields
        .object("config")?
        .ok_or_else(|| fields.wrong("config", "is missing; it holds the adapter's method"))?;
    let weights = TensorFile::open_renamed(&dir.join(stored_name(dir, ADAPTERS_WEIGHTS)))?;
    let shape = base.map(|(_, shape)| shape);
    let (num_layers, variant) = blocks(&weights, common.architecture, shape);
    let plugged = Plugged::open(dir, common.architecture, variant)?;
    let mut method = common.reading(path, (num_layers, variant), &plugged).method(config)?;
    // The first generation wrote the invertible part into every configuration of a task
    // adapter, but only language adapters have its weights.
    if fields.text("type")?.as_deref() == Some("text_task")
        && !weights.header.tensors.keys().any(|name| name.contains("invertible_adapters."))
        && let Method::Bottleneck(config) = &mut method
    {
        config.invertible = None;
    }
    let prefix = format!("{}.", common.architecture.model_prefix(variant));
    let prefixed = weights.header.tensors.keys().any(|name| name.starts_with(&prefix));
    let parsed = if dir.join(HEAD_CONFIG).is_file() { Some(heads::parse(dir)?) } else { None };
    if let Some(name) = parsed.as_ref().and_then(|parsed| parsed.name.as_ref()).filter(|&n| *n != common.name)
    {
        let reason = format!("is `{name}` here and `{}` in adapter_config.json", common.name);
        return Err(Fields::new(&dir.join(HEAD_CONFIG), Map::new()).wrong("name", reason));
    }
    let method = parsed.iter().fold(method, |method, parsed| parsed.with_copies(method));
    let (head, labels, head_class) =
        parsed.map_or((None, Vec::new(), None), |parsed| (Some(parsed.head), parsed.labels, parsed.class));
    let library = common.library();
    Ok(Parsed {
        format: Format::Adapters,
        method,
        head,
        labels,
        name: common.name,
        head_class,
        library,
        drops_segments: false,
        is_flexible: common.is_flexible,
        task: None,
        prefixed,
        base_hint: common.base_hint,
        architecture: common.architecture,
    })
}

/// What every configuration file of the library states.
pub(super) struct Common {
    pub(super) name: String,
    pub(super) architecture: Architecture,
    pub(super) base_hint: Option<String>,
    /// Whether it was saved from a class with flexible heads.
    is_flexible: bool,
    version: Option<String>,
}

/// Whether a class of the library has flexible heads.
fn is_flexible(class: &str) -> bool {
    class.ends_with("AdapterModel")
}

impl Common {
    pub(super) fn take(fields: &mut Fields) -> Result<Self, CheckpointError> {
        let name = fields.text("name")?.ok_or_else(|| fields.wrong("name", "is missing"))?;
        // The name becomes part of tensor names; the library itself refuses a dot.
        if name.is_empty() || name.contains('.') {
            return Err(fields.wrong("name", format!("is `{name}`; it can't be empty or contain a dot")));
        }
        let model_type = fields.text("model_type")?.unwrap_or_default();
        let architecture =
            model_type.parse().map_err(|e| fields.wrong("model_type", format!("can't be used: {e}")))?;
        Ok(Self {
            name,
            architecture,
            base_hint: fields.text("model_name")?,
            is_flexible: fields.peek("model_class").and_then(Value::as_str).is_some_and(is_flexible),
            version: fields.text("version")?,
        })
    }

    /// Major and minor version of the library; `None` for what is older than `adapters`.
    fn library(&self) -> Option<(u64, u64)> {
        let mut parts =
            self.version.as_deref()?.strip_prefix("adapters.")?.split('.').map_while(|p| p.parse().ok());
        Some((parts.next()?, parts.next()?))
    }

    fn reading<'a>(&'a self, path: &'a Path, blocks: (usize, Variant), plugged: &'a Plugged) -> Reading<'a> {
        let architecture = self.architecture;
        Reading { path, version: self.version.as_deref(), blocks, architecture, plugged, in_union: false }
    }
}

/// How many layers the weights mention, and which variant of the architecture; where a decoder stands behind
/// an encoder, those of the backbone if it is known.
fn blocks(
    weights: &TensorFile,
    architecture: Architecture,
    shape: Option<&BackboneShape>,
) -> (usize, Variant) {
    if let Some(shape) = shape.filter(|_| architecture.is_encoder_decoder()) {
        return (shape.num_layers, shape.variant());
    }
    architecture.told_by(&weights.header.tensors.keys().map(String::as_str))
}

/// What stands around every configuration the library writes.
pub(super) struct Envelope<'a> {
    pub(super) architecture: Architecture,
    pub(super) hidden_size: usize,
    pub(super) base: &'a str,
    pub(super) name: &'a str,
}

impl Envelope<'_> {
    fn around(&self, config: &Value) -> Value {
        json!({
            "config": config,
            "hidden_size": self.hidden_size,
            "model_class": self.architecture.flexible_class(),
            "model_name": self.base,
            "model_type": self.architecture.model_type(),
            "name": self.name,
            "version": WRITTEN_AS,
        })
    }

    /// `adapter_config.json`; `None` for a method that has no adapter.
    pub(super) fn adapter(&self, method: &Method, num_layers: usize) -> Option<Value> {
        adapters::config(self.architecture, method, num_layers).map(|config| self.around(&config))
    }

    /// `adapter_interface.json`, where the library has to reach into the model through one.
    pub(super) fn interface(&self, method: &Method, variant: Variant) -> Option<Value> {
        let hooked = method.parts().iter().find_map(|part| match part {
            Method::Bottleneck(config) => config.hooked,
            _ => None,
        });
        hooked.map(|hooked| interface::render(self.architecture, variant, hooked))
    }

    /// `adapter_fusion_config.json`.
    pub(super) fn fusion(&self, fusion: &ComposedFusion, members: &[CompositionMember]) -> Value {
        let mut json = self.around(&fusion_json(&fusion.config));
        let (all, fused) = (members.iter().map(|m| m.name.as_str()), fusion.name.split(','));
        // Unless it has a name of its own, the fusion is called by its members.
        let by_members = fused.clone().all(|name| members.iter().any(|m| m.name == name));
        json["adapter_names"] = if by_members { fused.collect() } else { all.collect() };
        json
    }

    /// `head_config.json`.
    pub(super) fn head(&self, head: &Head, labels: &[String]) -> Value {
        let render = if self.architecture.reads_images() { heads::render_for_images } else { heads::render };
        self.around(&render(head, labels))
    }
}
