//! JSON Schema (2020-12) of the documents people write and read by hand.
//!
//! Generated from the same derives as the OpenAPI document, whose component
//! schemas are JSON Schemas already: only the references move to `$defs`.

use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::{
    api::IndexDocument,
    manifest::{BaseManifest, Manifest},
    problem::Problem,
};

/// File name and content of every published schema.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("manifest.schema.json", document::<Manifest>("Manifest of an adapter version")),
        ("base.schema.json", document::<BaseManifest>("Manifest of a base model's version")),
        ("index.schema.json", document::<IndexDocument>("Index document of an adapter")),
        ("problem.schema.json", document::<Problem>("RFC 9457 problem")),
    ]
}

fn document<T: ToSchema + PartialSchema>(title: &str) -> Value {
    let mut definitions = Vec::new();
    T::schemas(&mut definitions);
    let definitions: serde_json::Map<String, Value> =
        definitions.into_iter().map(|(name, schema)| (name, relocated(json!(schema)))).collect();
    let mut document = relocated(json!(T::schema()));
    document["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    document["title"] = json!(title);
    if !definitions.is_empty() {
        document["$defs"] = Value::Object(definitions);
    }
    document
}

fn relocated(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("#/components/schemas/", "#/$defs/")),
        Value::Array(items) => Value::Array(items.into_iter().map(relocated).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, value)| (key, relocated(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// `HUB_WRITE_SCHEMAS=1 cargo test -p hub-schemas` rewrites the files.
    #[test]
    fn the_files_in_json_are_those_the_types_generate() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
        for (name, schema) in super::all() {
            let expected = format!("{}\n", serde_json::to_string_pretty(&schema).expect("serialises"));
            let path = folder.join(name);
            if std::env::var_os("HUB_WRITE_SCHEMAS").is_some() {
                std::fs::create_dir_all(&folder).expect("creates the folder");
                std::fs::write(&path, &expected).expect("writes the schema");
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == expected,
                "{name} is out of date: run HUB_WRITE_SCHEMAS=1 cargo test -p hub-schemas"
            );
        }
    }
}
