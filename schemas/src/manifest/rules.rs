//! The rules that tie a manifest's fields to each other.

use std::collections::HashSet;

use super::{
    FileEntry, Manifest, ManifestError, MediaType,
    file::{ADAPTER_LIMITS, FileLimits},
};
use crate::{
    layout::{self, Format},
    method::Method,
    path::FilePath,
};

const MAX_DESCRIPTION: usize = 2_000;
const MAX_BASE_ID: usize = 200;
const MAX_LABEL: usize = 200;

pub(super) fn check(manifest: &Manifest) -> Result<(), ManifestError> {
    check_texts(manifest)?;
    manifest.base.shape.validate()?;
    manifest.method.validate(&manifest.base.shape)?;
    check_head(manifest)?;
    check_origin(manifest)?;
    check_files(manifest)?;
    check_numbers(manifest)
}

fn contradiction(text: impl Into<String>) -> Result<(), ManifestError> {
    Err(ManifestError::Contradiction(text.into()))
}

fn field(field: &str, reason: impl Into<String>) -> Result<(), ManifestError> {
    Err(ManifestError::Field { field: field.to_owned(), reason: reason.into() })
}

/// Control characters would let a manifest draw on the terminal of whoever lists it.
fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\n')
}

/// Refuses a description that is no listing's.
pub(super) fn check_description(description: &str) -> Result<(), ManifestError> {
    if description.len() > MAX_DESCRIPTION || !is_plain(description) {
        return field("description", format!("at most {MAX_DESCRIPTION} bytes of plain text"));
    }
    Ok(())
}

/// Refuses a name of a base model that can't be shown.
pub(super) fn check_base_id(id: &str) -> Result<(), ManifestError> {
    if id.is_empty() || id.len() > MAX_BASE_ID || !is_plain(id) || id.contains('\n') {
        return field("base.id", format!("1 to {MAX_BASE_ID} bytes of plain text on one line"));
    }
    Ok(())
}

fn check_texts(manifest: &Manifest) -> Result<(), ManifestError> {
    check_description(&manifest.description)?;
    check_base_id(&manifest.base.id)?;
    let good_label = |l: &String| !l.is_empty() && l.len() <= MAX_LABEL && is_plain(l) && !l.contains('\n');
    let labels = &manifest.task.labels;
    if !labels.iter().all(good_label) {
        return field(
            "task.labels",
            format!("each label has 1 to {MAX_LABEL} bytes of plain text on one line"),
        );
    }
    if labels.iter().collect::<HashSet<_>>().len() != labels.len() {
        return field("task.labels", "a label stands twice");
    }
    Ok(())
}

fn check_origin(manifest: &Manifest) -> Result<(), ManifestError> {
    let Some(origin) = &manifest.origin else { return Ok(()) };
    let is_good =
        |text: &str| !text.is_empty() && text.len() <= MAX_BASE_ID && is_plain(text) && !text.contains('\n');
    if ![&origin.how, &origin.tool, &origin.tool_version].into_iter().all(|text| is_good(text)) {
        return field("origin", format!("its texts have 1 to {MAX_BASE_ID} bytes of plain text on one line"));
    }
    if let Some(source) = origin.sources.iter().find(|source| !is_good(&source.name)) {
        let name = source.name.escape_debug();
        return field("origin.sources", format!("`{name}` is not a plain name on one line"));
    }
    match origin.sources.iter().find(|source| source.weight.is_some_and(|weight| !weight.is_finite())) {
        Some(source) => field("origin.sources", format!("the weight of `{}` is not a number", source.name)),
        None => Ok(()),
    }
}

fn check_head(manifest: &Manifest) -> Result<(), ManifestError> {
    match &manifest.head {
        Some(head) => Ok(head.validate(&manifest.task.labels)?),
        None if manifest.method == Method::LastLayer => contradiction("method `last-layer` needs a head"),
        None => Ok(()),
    }
}

fn check_files(manifest: &Manifest) -> Result<(), ManifestError> {
    check_file_list(&manifest.files, ADAPTER_LIMITS, MediaType::of)?;
    for needed in layout::required_files(manifest.format, &manifest.method, manifest.head.as_ref()) {
        // What makes vectors may be noted as `sentence-transformers` does it.
        let is_elsewhere = needed == layout::HEAD_CONFIG
            && manifest.format == Format::Peft
            && manifest.file(layout::SENTENCE_MODULES).is_some();
        if manifest.file(needed).is_none() && !is_elsewhere {
            return contradiction(format!(
                "format `{}` needs the file `{needed}`, which is not listed",
                manifest.format
            ));
        }
    }
    Ok(())
}

/// Refuses files that stand twice, are too many or too large, or of a kind that `type_of` does not know.
pub(super) fn check_file_list(
    files: &[FileEntry],
    limits: FileLimits,
    type_of: fn(&FilePath) -> Option<MediaType>,
) -> Result<(), ManifestError> {
    if files.is_empty() || files.len() > limits.files {
        return field(
            "files",
            format!("{} files are listed; 1 to {} are accepted", files.len(), limits.files),
        );
    }
    let mut seen = HashSet::new();
    for file in files {
        let path = &file.path;
        // Case-insensitive file systems would let the second overwrite the first.
        if !seen.insert(path.as_str().to_ascii_lowercase()) {
            return field("files", format!("`{path}` stands twice"));
        }
        if path.as_str() == super::MANIFEST_FILE {
            return field("files", "the manifest can't list itself");
        }
        match type_of(path) {
            None => {
                return field(
                    "files",
                    format!("`{path}` is of a kind that is not accepted; pickles never are"),
                );
            }
            Some(kind) if kind != file.media_type => {
                return field(
                    "files",
                    format!(
                        "`{path}` is stated as {}, its name says {}",
                        file.media_type.as_str(),
                        kind.as_str()
                    ),
                );
            }
            Some(_) => {}
        }
        if file.size > limits.bytes {
            return field(
                "files",
                format!("`{path}` has {} bytes; at most {} are accepted", file.size, limits.bytes),
            );
        }
    }
    Ok(())
}

fn check_numbers(manifest: &Manifest) -> Result<(), ManifestError> {
    if let Some(metric) = manifest.metrics.iter().find(|m| !m.value.is_finite() || !is_plain(&m.name)) {
        return field(
            "metrics",
            format!("`{}` is not a finite number with a plain name", metric.name.escape_debug()),
        );
    }
    match &manifest.training {
        // Canonical JSON writes numbers as doubles.
        Some(recipe) if recipe.seed >= 1 << 53 => field("training.seed", "must be below 2^53"),
        _ => Ok(()),
    }
}
