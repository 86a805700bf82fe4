//! What a folder on this machine states about itself.

use std::path::Path;

use hub_formats::checkpoint::AdapterFolder;
use hub_schemas::{
    Digest,
    backbone::Architecture,
    head::Head,
    layout::Format,
    manifest::{Artifact, MANIFEST_FILE, MAX_MANIFEST_BYTES, Semantics},
    method::Method,
};
use serde::Serialize;

use super::{Answer, Chosen, semantics};
use crate::{context::Context, output::Fields};

/// What files of the Python libraries tell: they name no version, licence or base weights.
#[derive(Serialize)]
struct Unpublished<'a> {
    format: Format,
    architecture: Architecture,
    method: &'a Method,
    head: Option<&'a Head>,
    labels: &'a [String],
    /// What the folder was made for, as its configuration calls it.
    base: Option<&'a str>,
    semantics: Semantics,
}

/// The answer for a folder with a manifest; prints what there is of one without.
pub(super) fn read(context: &Context, path: &Path) -> anyhow::Result<Option<Answer>> {
    let folder = AdapterFolder::open(path)?;
    if folder.manifest.is_some() {
        let bytes =
            hub_formats::checkpoint::read_bounded(&path.join(MANIFEST_FILE), MAX_MANIFEST_BYTES as u64)?;
        let manifest = Artifact::parse(&bytes)?;
        return Ok(Some(Answer {
            chosen: Some(Chosen { digest: Digest::of(&bytes), manifest }),
            adapter: None,
        }));
    }
    let found = Unpublished {
        format: folder.format,
        architecture: folder.architecture,
        method: &folder.method,
        head: folder.head.as_ref(),
        labels: &folder.labels,
        base: folder.base_hint.as_deref(),
        semantics: folder.semantics(),
    };
    if context.printer.is_json() {
        context.printer.json(&found)?;
    } else {
        context.printer.fields(&fields(&found))?;
    }
    Ok(None)
}

fn fields(found: &Unpublished<'_>) -> Fields {
    let mut fields = Fields::default();
    fields.add("method", found.method.summary());
    fields.add("format", found.format.to_string());
    for meaning in semantics(&found.semantics, found.method) {
        fields.add("computes", meaning);
    }
    fields.add("architecture", found.architecture.to_string());
    if let Some(base) = found.base {
        fields.add("base", base);
    }
    if let Some(head) = found.head {
        fields.add("head", head.kind());
        if let Head::Embedding(vectors) = head {
            fields.add("vectors", vectors.summary());
        }
    }
    if !found.labels.is_empty() {
        fields.add("labels", found.labels.join(", "));
    }
    fields.add("manifest", "none: `hub push` writes one");
    fields
}
