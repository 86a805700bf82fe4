//! The same weights in the other library's layout.

use std::{collections::BTreeMap, path::Path};

use hub_schemas::{
    head::{Head, Pooling},
    layout::{Format, Inexpressible},
    manifest::BaseModel,
    method::Method,
};

use super::{AdapterFolder, AdapterToWrite, BaseFolder, CheckpointError, SlotData, write_adapter};
use crate::architectures::LAYER_WEIGHTS;

/// Writes `folder` into `out` in `format`. The tensors keep their bytes; only names
/// and configuration change. A method or head that the format has no words for is refused,
/// and so is a composition that has no tensors: its members have them.
pub fn convert(
    folder: &AdapterFolder,
    base: &BaseModel,
    format: Format,
    name: &str,
    out: &Path,
) -> Result<(), CheckpointError> {
    let read = |folder: &AdapterFolder| Ok((folder.head.clone(), folder.read_slots(&base.shape)?));
    converted(folder, base, format, name, out, read)
}

/// The same where the weights of the base model are at hand, `weights`: what the file of a head has of the whole model is
/// compared with them, and left out.
pub fn convert_on(
    folder: &AdapterFolder,
    (base, weights): (&BaseModel, &BaseFolder),
    format: Format,
    name: &str,
    out: &Path,
) -> Result<(), CheckpointError> {
    let read = |folder: &AdapterFolder| Ok((head_on(folder, weights), folder.read_slots_on(weights, &[])?));
    converted(folder, base, format, name, out, read)
}

/// The head as it computes on this base model: that of a model class reads the sum of all layers where the base model
/// weighs them, which no file of the head says.
fn head_on(folder: &AdapterFolder, weights: &BaseFolder) -> Option<Head> {
    let is_of_class = folder.format == Format::Peft || folder.head_class.is_some();
    let weighs_layers = is_of_class && weights.tensor(LAYER_WEIGHTS).is_some();
    let head = folder.head.clone()?;
    let reads_sum = weighs_layers && head.pooling() == Some(Pooling::Mean);
    Some(if reads_sum { head.with_pooling(Pooling::LayerMean) } else { head })
}

fn converted(
    folder: &AdapterFolder,
    base: &BaseModel,
    format: Format,
    name: &str,
    out: &Path,
    read: impl Fn(&AdapterFolder) -> Result<(Option<Head>, BTreeMap<String, SlotData>), CheckpointError>,
) -> Result<(), CheckpointError> {
    if let Some(composition) = folder.composition()
        && composition.fusion.is_none()
        && folder.head.is_none()
    {
        return Err(CheckpointError::Weightless {
            folder: folder.path.clone(),
            expression: composition.expression.clone(),
            members: composition.members.iter().map(|member| member.name.clone()).collect(),
        });
    }
    let folder = &folder.on_base(base.architecture, &base.shape)?;
    refuse_other_prefixes(folder, base, format)?;
    let (head, slots) = read(folder)?;
    write_adapter(
        out,
        &AdapterToWrite {
            format,
            method: &folder.method,
            head: head.as_ref(),
            class: folder.wrapped_class(),
            labels: &folder.labels,
            name,
            base,
            slots: &slots,
        },
    )
}

/// Refuses prefixes that a decoder sees where `adapters` would hide them, and those that it hides where nothing else
/// would: no file says which is meant.
fn refuse_other_prefixes(
    folder: &AdapterFolder,
    base: &BaseModel,
    format: Format,
) -> Result<(), Inexpressible> {
    let has_prefix = folder.method.parts().iter().any(|part| matches!(part, Method::Prefix(_)));
    if !has_prefix || !base.architecture.masks_prefixes_of(&base.shape) {
        return Ok(());
    }
    let what = match (folder.semantics().masks_prefixes, format) {
        (false, Format::Adapters) => {
            "a prefix that a decoder sees: the library hides it behind the decoder's mask"
        }
        (true, Format::Peft | Format::Hub) => "a prefix that is seen as far as a mask of `adapters` shows it",
        _ => return Ok(()),
    };
    Err(Inexpressible { format, what: what.to_owned() })
}
