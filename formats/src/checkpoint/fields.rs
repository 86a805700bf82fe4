//! Taking a JSON object apart field by field, so that no field is silently ignored.
//!
//! A configuration of a newer Python library may hold a switch that changes the
//! result. Every field is either used, known to be harmless, or empty (`null`,
//! `false`, `[]`, `{}`); anything else is refused by name.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::CheckpointError;

/// The fields of one JSON object that were not looked at yet.
#[derive(Debug)]
pub(super) struct Fields {
    path: PathBuf,
    rest: Map<String, Value>,
}

impl Fields {
    pub(super) fn new(path: &Path, object: Map<String, Value>) -> Self {
        Self { path: path.to_owned(), rest: object }
    }

    /// An error about `field`.
    pub(super) fn wrong(&self, field: &str, reason: impl Into<String>) -> CheckpointError {
        CheckpointError::Field { path: self.path.clone(), field: field.to_owned(), reason: reason.into() }
    }

    /// The raw value, `None` when absent or null.
    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.rest.remove(field).filter(|v| !v.is_null())
    }

    /// The raw value, left where it is; `None` when absent or null.
    pub(super) fn peek(&self, field: &str) -> Option<&Value> {
        self.rest.get(field).filter(|v| !v.is_null())
    }

    /// Whether `field` stands there, null included.
    pub(super) fn has(&self, field: &str) -> bool {
        self.rest.contains_key(field)
    }

    fn take_as<T>(
        &mut self,
        field: &str,
        kind: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, CheckpointError> {
        match self.take(field) {
            None => Ok(None),
            Some(value) => read(&value)
                .map(Some)
                .ok_or_else(|| self.wrong(field, format!("is {}, not {kind}", shown(&value)))),
        }
    }

    pub(super) fn bool_or(&mut self, field: &str, default: bool) -> Result<bool, CheckpointError> {
        Ok(self.take_as(field, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    pub(super) fn number(&mut self, field: &str) -> Result<Option<f64>, CheckpointError> {
        self.take_as(field, "a number", Value::as_f64)
    }

    pub(super) fn count(&mut self, field: &str) -> Result<Option<usize>, CheckpointError> {
        self.take_as(field, "a count", |v| v.as_u64().and_then(|n| usize::try_from(n).ok()))
    }

    pub(super) fn text(&mut self, field: &str) -> Result<Option<String>, CheckpointError> {
        self.take_as(field, "a text", |v| v.as_str().map(ToOwned::to_owned))
    }

    pub(super) fn object(&mut self, field: &str) -> Result<Option<Map<String, Value>>, CheckpointError> {
        self.take_as(field, "an object", |v| v.as_object().cloned())
    }

    pub(super) fn texts(&mut self, field: &str) -> Result<Option<Vec<String>>, CheckpointError> {
        self.take_as(field, "a list of texts", |v| {
            v.as_array()?.iter().map(|item| item.as_str().map(ToOwned::to_owned)).collect()
        })
    }

    pub(super) fn counts(&mut self, field: &str) -> Result<Option<Vec<usize>>, CheckpointError> {
        self.take_as(field, "a list of counts", |v| {
            v.as_array()?.iter().map(|item| item.as_u64().and_then(|n| usize::try_from(n).ok())).collect()
        })
    }

    /// Drops fields that change nothing here.
    pub(super) fn ignore(&mut self, fields: &[&str]) {
        for field in fields {
            self.rest.remove(*field);
        }
    }

    /// Accepts `field` only at this value (or absent).
    pub(super) fn only(&mut self, field: &str, value: &Value) -> Result<(), CheckpointError> {
        match self.take(field) {
            Some(found) if found != *value => {
                Err(self
                    .wrong(field, format!("is {}; only {value} is supported in this version", shown(&found))))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what is left over, unless it is empty.
    pub(super) fn finish(self) -> Result<(), CheckpointError> {
        match self.rest.iter().find(|(_, value)| !is_empty(value)) {
            None => Ok(()),
            Some((field, value)) => {
                Err(self.wrong(field, format!("is {}, which this version does not know", shown(value))))
            }
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { format!("{}…", text.chars().take(60).collect::<String>()) } else { text }
}
