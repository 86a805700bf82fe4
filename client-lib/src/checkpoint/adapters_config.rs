//! The configuration files of AdapterHub's `adapters` library.

use std::path::Path;

use hub_schemas::{
    backbone::Architecture,
    head::{ClassificationHead, Head, Pooling},
    layout::{ADAPTERS_WEIGHTS, Format, HEAD_CONFIG},
    method::Method,
};
use serde_json::{Map, Value, json};

use super::{
    CheckpointError, TensorFile,
    adapters::{self, Reading},
    fields::Fields,
    folder::{Parsed, read_json},
    weights::stored_name,
};

/// Version whose rules our files follow.
const WRITTEN_AS: &str = "adapters.1.1.1";
/// Head type of a classifier on the mean: a name that `adapters` refuses rather than misreads.
const MEAN_CLASSIFICATION: &str = "mean_classification";

pub(super) fn parse(dir: &Path, path: &Path, json: Map<String, Value>) -> Result<Parsed, CheckpointError> {
    let mut fields = Fields::new(path, json);
    let common = Common::take(&mut fields)?;
    let config = fields
        .object("config")?
        .ok_or_else(|| fields.wrong("config", "is missing; it holds the adapter's method"))?;
    let weights = TensorFile::open(&dir.join(stored_name(dir, ADAPTERS_WEIGHTS)))?;
    let method = common.reading(path, num_layers(&weights)).method(config)?;
    let prefix = format!("{}.", common.architecture.model_prefix());
    let prefixed = weights.header.tensors.keys().any(|name| name.starts_with(&prefix));
    let (head, labels) = if dir.join(HEAD_CONFIG).is_file() {
        let (head, labels, head_name) = parse_head(dir)?;
        if head_name != common.name {
            let reason = format!("is `{head_name}` here and `{}` in adapter_config.json", common.name);
            return Err(Fields::new(&dir.join(HEAD_CONFIG), Map::new()).wrong("name", reason));
        }
        (Some(head), labels)
    } else {
        (None, Vec::new())
    };
    Ok(Parsed {
        format: Format::Adapters,
        method,
        head,
        labels,
        name: common.name,
        prefixed,
        base_hint: common.base_hint,
        architecture: common.architecture,
    })
}

/// A folder that holds only a head: the frozen backbone with a trained last layer.
pub(super) fn parse_head_only(dir: &Path) -> Result<Parsed, CheckpointError> {
    let path = dir.join(HEAD_CONFIG);
    let common = Common::take(&mut Fields::new(&path, read_json(&path)?))?;
    let (head, labels, name) = parse_head(dir)?;
    Ok(Parsed {
        format: Format::Adapters,
        method: Method::LastLayer,
        head: Some(head),
        labels,
        name,
        prefixed: true,
        base_hint: common.base_hint,
        architecture: common.architecture,
    })
}

/// What every configuration file of the library states.
struct Common {
    name: String,
    architecture: Architecture,
    base_hint: Option<String>,
    version: Option<String>,
}

impl Common {
    fn take(fields: &mut Fields) -> Result<Self, CheckpointError> {
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
            version: fields.text("version")?,
        })
    }

    fn reading<'a>(&'a self, path: &'a Path, num_layers: usize) -> Reading<'a> {
        Reading { path, version: self.version.as_deref(), num_layers }
    }
}

/// How many layers the weights mention.
fn num_layers(weights: &TensorFile) -> usize {
    let layer = |name: &String| name.split('.').find_map(|part| part.parse::<usize>().ok());
    weights.header.tensors.keys().filter_map(layer).max().map_or(0, |last| last + 1)
}

fn parse_head(dir: &Path) -> Result<(Head, Vec<String>, String), CheckpointError> {
    let path = dir.join(HEAD_CONFIG);
    let mut outer = Fields::new(&path, read_json(&path)?);
    let common = Common::take(&mut outer)?;
    let config = outer.object("config")?.ok_or_else(|| outer.wrong("config", "is missing"))?;
    let mut fields = Fields::new(&path, config);
    let kind = fields.text("head_type")?.unwrap_or_default();
    let pooling = match (kind.as_str(), fields.bool_or("use_pooler", false)?) {
        ("classification", false) => Pooling::First,
        ("classification", true) => Pooling::Pooler,
        (MEAN_CLASSIFICATION, _) => Pooling::Mean,
        (other, _) => {
            return Err(
                fields.wrong("head_type", format!("is `{other}`; this version reads `classification`"))
            );
        }
    };
    let num_labels = fields.count("num_labels")?.unwrap_or(2);
    let activation = fields.text("activation_function")?.unwrap_or_else(|| "tanh".to_owned());
    fields.only("bias", &json!(true))?;
    let head = ClassificationHead {
        num_labels,
        layers: fields.count("layers")?.unwrap_or(2),
        activation: common.reading(&path, 0).activation(&fields, "activation_function", &activation)?,
        pooling,
        dropout: fields.number("dropout_prob")?.unwrap_or(0.1),
    };
    let labels = labels(fields.object("label2id")?, num_labels);
    fields.finish()?;
    Ok((Head::Classification(head), labels, common.name))
}

fn labels(label2id: Option<Map<String, Value>>, num_labels: usize) -> Vec<String> {
    let mut labels: Vec<String> = (0..num_labels.min(100_000)).map(|i| format!("LABEL_{i}")).collect();
    for (label, id) in label2id.into_iter().flatten() {
        if let Some(place) = id.as_u64().and_then(|i| labels.get_mut(i as usize)) {
            *place = label;
        }
    }
    labels
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
        adapters::config(method, num_layers).map(|config| self.around(&config))
    }

    /// `head_config.json`.
    pub(super) fn head(&self, head: &Head, labels: &[String]) -> Value {
        let Head::Classification(head) = head;
        let label2id: Map<String, Value> =
            labels.iter().enumerate().map(|(id, label)| (label.clone(), json!(id))).collect();
        let kind = if head.pooling == Pooling::Mean { MEAN_CLASSIFICATION } else { "classification" };
        self.around(&json!({
            "activation_function": head.activation.as_str(),
            "bias": true,
            "dropout_prob": head.dropout,
            "head_type": kind,
            "label2id": label2id,
            "layers": head.layers,
            "num_labels": head.num_labels,
            "use_pooler": head.pooling == Pooling::Pooler,
        }))
    }
}
