//! The same weights in the other library's layout.

use std::path::Path;

use hub_schemas::{layout::Format, manifest::BaseModel};

use super::{AdapterFolder, AdapterToWrite, CheckpointError, write_adapter};

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
    let slots = folder.read_slots(&base.shape)?;
    write_adapter(
        out,
        &AdapterToWrite {
            format,
            method: &folder.method,
            head: folder.head.as_ref(),
            class: folder.wrapped_class(),
            labels: &folder.labels,
            name,
            base,
            slots: &slots,
        },
    )
}
