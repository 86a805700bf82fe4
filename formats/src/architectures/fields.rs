//! Fields of a `config.json`, each read as what it must be or named with what was found.

use hub_schemas::method::Activation;
use serde_json::{Map, Value};

use super::ConfigError;

/// A field that may be left out or be null; else `read` takes it, or it is not what is `expected`.
pub(super) fn optional<'a, T>(
    json: &'a Map<String, Value>,
    key: &'static str,
    read: impl FnOnce(&'a Value) -> Option<T>,
    expected: &'static str,
) -> Result<Option<T>, ConfigError> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(ConfigError::Field { key, found: shown(Some(value)), expected }),
        },
    }
}

/// Refuses a switch that changes the mathematics unless it stands at its usual value.
pub(super) fn only(json: &Map<String, Value>, key: &'static str, usual: &Value) -> Result<(), ConfigError> {
    let expected = "only the usual value is supported in this version";
    optional(json, key, |value| (value == usual).then_some(()), expected).map(drop)
}

/// A switch.
pub(super) fn flag(json: &Map<String, Value>, key: &'static str) -> Result<bool, ConfigError> {
    Ok(optional(json, key, Value::as_bool, "it must be true or false")?.unwrap_or(false))
}

/// A positive number that may be left out.
pub(super) fn optional_number(
    json: &Map<String, Value>,
    key: &'static str,
) -> Result<Option<f64>, ConfigError> {
    let positive = |value: &Value| value.as_f64().filter(|n| *n > 0.0 && n.is_finite());
    optional(json, key, positive, "it must be a positive number")
}

/// A number between 0 and 1, such as an ε or a probability.
pub(super) fn fraction(json: &Map<String, Value>, key: &'static str, usual: f64) -> Result<f64, ConfigError> {
    let within = |value: &Value| value.as_f64().filter(|e| (0.0..1.0).contains(e));
    Ok(optional(json, key, within, "it must lie between 0 and 1")?.unwrap_or(usual))
}

/// The token that fills shorter rows. Below zero there is none, as the first LLaMA has it.
pub(super) fn padding_id(json: &Map<String, Value>, usual: u32) -> Result<u32, ConfigError> {
    let token = |value: &Value| match value.as_i64() {
        Some(..0) => Some(usual),
        _ => value.as_u64().and_then(|id| u32::try_from(id).ok()),
    };
    Ok(optional(json, "pad_token_id", token, "it must be the number of a token")?.unwrap_or(usual))
}

/// Whether a configuration whose library has no usual one names the token that fills shorter rows.
pub(super) fn names_padding(json: &Map<String, Value>) -> bool {
    json.get("pad_token_id").is_some_and(Value::is_number)
}

/// A word of a `config.json` that may be left out.
pub(super) fn word<'a>(json: &'a Map<String, Value>, key: &str, usual: &'a str) -> &'a str {
    // What is no text is none of the words that anybody knows.
    json.get(key).map_or(usual, |value| value.as_str().unwrap_or("(no text)"))
}

/// The name of an activation, which may be left out.
pub(super) fn activation(
    json: &Map<String, Value>,
    key: &'static str,
    usual: &str,
) -> Result<Activation, ConfigError> {
    word(json, key, usual).parse().map_err(|source| ConfigError::Activation { key, source })
}

/// So small that a product of two fits a machine word: limits are checked later, on what is computed of several.
fn as_count(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).map(|n| n as usize)
}

const COUNT: &str = "it must be a positive integer below 2^32";

/// A positive integer that may be left out.
pub(super) fn optional_count(
    json: &Map<String, Value>,
    key: &'static str,
) -> Result<Option<usize>, ConfigError> {
    optional(json, key, as_count, COUNT)
}

/// A positive integer.
pub(super) fn count(json: &Map<String, Value>, key: &'static str) -> Result<usize, ConfigError> {
    let found = json.get(key);
    found.and_then(as_count).ok_or_else(|| ConfigError::Field { key, found: shown(found), expected: COUNT })
}

/// What stands there, as a message shows it.
pub(super) fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "missing".to_owned(), |v| v.to_string().chars().take(60).collect())
}
