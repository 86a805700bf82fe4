//! A method with all its fields from a file: what the names and flags of a command line can't say.

use std::path::Path;

use hub_schemas::{
    backbone::{Architecture, BackboneShape},
    method::Method,
};
use serde_json::{Map, Value, json};

use super::{
    CheckpointError,
    adapters::{Reading, interface::Plugged},
    fields::Fields,
    folder::read_json,
};

/// Whose defaults apply to what an `adapters` configuration leaves out.
const READ_AS: &str = "adapters.1.3.0";

/// Reads a method from a JSON file of one of these kinds: a `manifest.json`, the `method` object
/// of one, an `adapter_config.json` of `adapters`, or the `config` object of one (what
/// `AdapterConfig.to_dict()` gives). Refuses fields that it does not know.
pub fn read_method(
    path: &Path,
    architecture: Architecture,
    shape: &BackboneShape,
) -> Result<Method, CheckpointError> {
    let mut json = read_json(path)?;
    if json.contains_key("peft_type") {
        return Err(Fields::new(path, json).wrong(
            "peft_type",
            "can't be read here: only with the weights does a PEFT configuration say which layers it means; \
             pull the adapter and give its `manifest.json`",
        ));
    }
    for inner in ["method", "config"] {
        if let Some(Value::Object(_)) = json.get(inner)
            && let Some(Value::Object(object)) = json.remove(inner)
        {
            json = object;
            break;
        }
    }
    let method = if json.contains_key("type") {
        ours(path, &json)?
    } else {
        refuse_other_starts(path, &json)?;
        let blocks = (shape.num_layers, shape.variant());
        let plugged = &Plugged::Nobody;
        Reading { path, version: Some(READ_AS), blocks, in_union: false, architecture, plugged }
            .method(json)?
    };
    method.validate(shape)?;
    Ok(method)
}

/// Refuses what `adapters` reads to draw fresh weights, and nothing here does. In the file of an adapter it says nothing
/// any more; in one that a training begins with, it would be dropped in silence.
fn refuse_other_starts(path: &Path, json: &Map<String, Value>) -> Result<(), CheckpointError> {
    // What each says where it asks for nothing else than what is done.
    let usual = [
        ("init_weights_seed", Value::Null, "`--seed` draws all fresh weights"),
        ("prompt_init", json!("random_uniform"), "a fresh prompt is drawn evenly around zero"),
        ("random_uniform_scale", json!(0.5), "a fresh prompt is drawn evenly from -0.5 to 0.5"),
    ];
    for (field, usual, instead) in usual {
        if let Some(value) = json.get(field).filter(|&value| !value.is_null() && *value != usual) {
            let reason = format!("is {value}, which nothing here reads: {instead}; remove it");
            return Err(Fields::new(path, Map::new()).wrong(field, reason));
        }
    }
    let parts = json.get("configs").and_then(Value::as_array).into_iter().flatten();
    parts.filter_map(Value::as_object).try_for_each(|part| refuse_other_starts(path, part))
}

fn ours(path: &Path, json: &Map<String, Value>) -> Result<Method, CheckpointError> {
    let wrong = |reason: String| CheckpointError::Json { path: path.to_owned(), reason };
    let method: Method =
        serde_json::from_value(Value::Object(json.clone())).map_err(|e| wrong(e.to_string()))?;
    let known = serde_json::to_value(&method).map_err(|e| wrong(e.to_string()))?;
    let is_empty = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    match json.iter().find(|(key, value)| known.get(key).is_none() && !is_empty(value)) {
        None => Ok(method),
        Some((key, _)) => Err(Fields::new(path, Map::new())
            .wrong(key, format!("is no field of the method `{}`", method.kind()))),
    }
}
