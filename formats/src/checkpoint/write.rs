//! Writing an adapter as the Python libraries write theirs, or in our own format.

use std::{collections::BTreeMap, fs, path::Path};

use hub_schemas::{
    head::Head,
    layout::{
        self, ADAPTER_CONFIG, Dtype, FUSION_CONFIG, Format, HEAD_CONFIG, HUB_CONFIG, ModelClass, Subject,
        TensorSpec, WeightsFile,
    },
    manifest::BaseModel,
    method::Method,
};
use safetensors::tensor::TensorView;
use serde_json::Value;

use super::{
    CheckpointError, SlotData,
    adapters::{interface::INTERFACE, orthogonal},
    adapters_config::Envelope,
    hub, peft,
};

/// Everything that goes into a folder, the manifest and the card excepted.
#[derive(Debug, Clone, Copy)]
pub struct AdapterToWrite<'a> {
    /// Whose layout.
    pub format: Format,
    /// The adapter method.
    pub method: &'a Method,
    /// The head it brings.
    pub head: Option<&'a Head>,
    /// The model class whose own head it is for, where it brings none.
    pub class: Option<ModelClass>,
    /// Names of the head's outputs, in order.
    pub labels: &'a [String],
    /// The adapter's name inside tensor names.
    pub name: &'a str,
    /// The backbone.
    pub base: &'a BaseModel,
    /// Every tensor by slot.
    pub slots: &'a BTreeMap<String, SlotData>,
}

/// Writes configuration and weights into `dir`, which is created. Same input, same bytes.
pub fn write_adapter(dir: &Path, adapter: &AdapterToWrite<'_>) -> Result<(), CheckpointError> {
    let subject = Subject {
        architecture: adapter.base.architecture,
        shape: &adapter.base.shape,
        method: adapter.method,
        head: adapter.head,
        name: adapter.name,
        prefixed: adapter.format == Format::Adapters || is_prefixed(adapter),
    };
    let files = layout::weights_files(adapter.format, &subject)?;
    fs::create_dir_all(dir).map_err(CheckpointError::write(dir))?;
    let mut slots = adapter.slots.clone();
    if adapter.format == Format::Adapters && is_orthogonal(adapter.method) {
        orthogonal::parametrise(&mut slots);
    }
    let class = wrapped_class(adapter).filter(|_| adapter.format == Format::Peft);
    for file in files {
        let file = match class {
            Some(class) => file.around(class),
            None => file,
        };
        write_weights(dir, &file, &slots)?;
    }
    write_configuration(dir, adapter)
}

/// The model class that PEFT is to wrap, as far as it is known.
fn wrapped_class(adapter: &AdapterToWrite<'_>) -> Option<ModelClass> {
    let own = adapter.head.and_then(|head| ModelClass::with_head(adapter.base.architecture, head));
    own.or(adapter.class)
}

/// Whether PEFT's names go through a model with a head to the backbone inside.
fn is_prefixed(adapter: &AdapterToWrite<'_>) -> bool {
    match adapter.head {
        // No class of `transformers` makes vectors: PEFT and `sentence-transformers` wrap the backbone itself.
        Some(Head::Embedding(_)) => false,
        Some(head) => {
            ModelClass::with_head(adapter.base.architecture, head).is_none_or(ModelClass::holds_backbone)
        }
        None => adapter.class.is_some_and(ModelClass::holds_backbone),
    }
}

fn is_orthogonal(method: &Method) -> bool {
    method.parts().iter().any(|part| matches!(part, Method::Reft(config) if config.orthogonality))
}

fn write_weights(
    dir: &Path,
    file: &WeightsFile,
    slots: &BTreeMap<String, SlotData>,
) -> Result<(), CheckpointError> {
    let exchanged = file.tensors.iter().filter(|spec| spec.transposed);
    let exchanged: BTreeMap<&str, SlotData> = exchanged
        .filter_map(|spec| Some((spec.slot.as_str(), slots.get(&spec.slot)?.transposed())))
        .collect();
    let view = |spec: &'_ TensorSpec| {
        let wrong = || CheckpointError::Slot { slot: spec.slot.clone(), expected: spec.slot_shape.clone() };
        let slot = slots.get(&spec.slot).filter(|s| s.shape == spec.slot_shape).ok_or_else(wrong)?;
        // PyTorch has no whole numbers without a sign in its files; the bits are the same.
        let dtype = if slot.dtype == Dtype::U32 { Dtype::I32 } else { slot.dtype };
        let bytes = exchanged.get(spec.slot.as_str()).map_or(&slot.bytes, |slot| &slot.bytes);
        TensorView::new(dtype, spec.shape.clone(), bytes).map_err(|_| wrong())
    };
    let written = file.tensors.iter().filter(|spec| !spec.optional || slots.contains_key(&spec.slot));
    let views = written.map(|spec| Ok((spec.disk.clone(), view(spec)?)));
    let views: BTreeMap<String, TensorView<'_>> = views.collect::<Result<_, CheckpointError>>()?;
    let path = dir.join(file.path);
    // PyTorch's readers refuse a file without this line. One key: its order can't vary.
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let bytes = safetensors::serialize(views, Some(metadata))
        .map_err(|e| CheckpointError::write(&path)(std::io::Error::other(e)))?;
    fs::write(&path, bytes).map_err(CheckpointError::write(&path))
}

fn write_configuration(dir: &Path, adapter: &AdapterToWrite<'_>) -> Result<(), CheckpointError> {
    let base = adapter.base;
    let envelope = Envelope {
        architecture: base.architecture,
        hidden_size: base.shape.hidden_size,
        base: &base.id,
        name: adapter.name,
    };
    match (adapter.format, adapter.method) {
        (Format::Peft, method) => {
            // `weights_files` has refused a method that has no configuration.
            let task = wrapped_class(adapter).map(ModelClass::task);
            let prefixed = is_prefixed(adapter);
            let json = peft::render(
                base.architecture,
                method,
                &base.shape,
                &peft::Wrapped { head: adapter.head, task, prefixed },
                &base.id,
            );
            if let Some(json) = json {
                write_json(&dir.join(ADAPTER_CONFIG), &json)?;
            }
            // PEFT has no place for a head without weights.
            match adapter.head {
                Some(head @ Head::Embedding(_)) => {
                    write_json(&dir.join(HEAD_CONFIG), &envelope.head(head, adapter.labels))
                }
                _ => Ok(()),
            }
        }
        (Format::Hub, _) => {
            let path = dir.join(HUB_CONFIG);
            let failed = |e| CheckpointError::write(&path)(std::io::Error::other(e));
            write_json(&path, &hub::render(adapter).map_err(failed)?)
        }
        (Format::Adapters, method) => {
            if let Method::Composition(config) = method
                && let Some(fusion) = &config.fusion
            {
                write_json(&dir.join(FUSION_CONFIG), &envelope.fusion(fusion, &config.members))?;
            }
            if let Some(json) = envelope.adapter(method, base.shape.num_layers) {
                write_json(&dir.join(ADAPTER_CONFIG), &json)?;
            }
            if let Some(json) = envelope.interface(method, base.shape.variant()) {
                write_json(&dir.join(INTERFACE), &json)?;
            }
            match adapter.head {
                Some(head) => write_json(&dir.join(HEAD_CONFIG), &envelope.head(head, adapter.labels)),
                None => Ok(()),
            }
        }
    }
}

/// Two spaces and sorted keys, as both libraries write.
fn write_json(path: &Path, json: &Value) -> Result<(), CheckpointError> {
    fs::write(path, format!("{json:#}\n")).map_err(CheckpointError::write(path))
}
