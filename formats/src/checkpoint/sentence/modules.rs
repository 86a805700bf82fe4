//! `modules.json`: which modules a text goes through, and where each has its files.

use std::path::Path;

use hub_schemas::FilePath;
use serde_json::{Map, Value};

use super::wrong_modules as wrong;
use crate::checkpoint::{
    CheckpointError,
    fields::Fields,
    folder::{MAX_JSON_BYTES, read_bounded},
};

/// In front of the class names of the library's own modules, whichever version moved them where.
const LIBRARY: &str = "sentence_transformers.";

/// The modules of a folder whose vectors are computed here.
pub(super) struct Modules {
    /// The configuration of `Pooling`.
    pub(super) pooling: FilePath,
    /// Whether `Normalize` comes last.
    pub(super) normalizes: bool,
}

impl Modules {
    /// Refuses modules that are not computed here, other orders, and folders outside of that of the file.
    pub(super) fn read(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = read_bounded(path, MAX_JSON_BYTES)?;
        let listed: Vec<Map<String, Value>> = serde_json::from_slice(&bytes)
            .map_err(|e| CheckpointError::Json { path: path.to_owned(), reason: e.to_string() })?;
        let listed = listed.into_iter().map(|json| Module::parse(path, json));
        let listed = listed.collect::<Result<Vec<_>, _>>()?;
        let classes: Vec<&str> = listed.iter().map(|module| module.class.as_str()).collect();
        let normalizes = match classes.as_slice() {
            ["Transformer", "Pooling"] => false,
            ["Transformer", "Pooling", "Normalize"] => true,
            _ => {
                let found = if classes.is_empty() { "none".to_owned() } else { classes.join(", ") };
                let reason = format!(
                    "has the modules: {found}; vectors are computed here of `Transformer`, `Pooling` and, where it is \
                     there, `Normalize`"
                );
                return Err(wrong(path, "type", reason));
            }
        };
        if !listed[0].path.is_empty() {
            let reason = format!("says that the backbone lies in `{}`, not beside the file", listed[0].path);
            return Err(wrong(path, "path", reason));
        }
        let pooling = format!("{}/config.json", listed[1].path);
        let pooling = pooling
            .parse()
            .map_err(|e: hub_schemas::path::PathError| wrong(path, "path", format!("of `Pooling`: {e}")))?;
        Ok(Self { pooling, normalizes })
    }
}

/// One of the modules.
struct Module {
    /// The last part of its Python class.
    class: String,
    /// Its folder, as the file states it.
    path: String,
}

impl Module {
    fn parse(file: &Path, json: Map<String, Value>) -> Result<Self, CheckpointError> {
        let mut fields = Fields::new(file, json);
        fields.ignore(&["idx", "name"]);
        let (class, path) = (fields.text("type")?, fields.text("path")?);
        let class = class.ok_or_else(|| fields.wrong("type", "is missing"))?;
        let own = class.strip_prefix(LIBRARY).and_then(|class| class.rsplit('.').next());
        let Some(name @ ("Transformer" | "Pooling" | "Normalize")) = own else {
            let module = own.unwrap_or(&class).chars().take(80).collect();
            return Err(CheckpointError::Module { path: file.to_owned(), module });
        };
        let parsed = Self { class: name.to_owned(), path: path.unwrap_or_default() };
        fields.finish()?;
        Ok(parsed)
    }
}
