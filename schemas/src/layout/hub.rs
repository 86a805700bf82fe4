//! Our own format, for methods that neither Python library has a file for: `BitFit`,
//! full fine-tuning, Hadamard adapters.
//!
//! A folder holds [`HUB_CONFIG`], a [`HubConfig`] as JSON, and [`HUB_WEIGHTS`]. A tensor
//! is called by the module it belongs to: `layers.3.query.bias` is the trained copy of
//! that bias, `layers.3.attention_output.hadamard.weight` the vector of a Hadamard
//! adapter behind that layer, `head.0.weight` the first layer of the head. Names do not
//! depend on the architecture, and the adapter has no name of its own in them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Slot, Subject, TensorSpec, WeightsFile, head_slots};
use crate::{backbone::Architecture, head::Head, method::Method};

/// The configuration of an adapter in our own format.
pub const HUB_CONFIG: &str = "hub_adapter.json";
/// Its weights.
pub const HUB_WEIGHTS: &str = "hub_adapter.safetensors";
/// The version of [`HubConfig`] that is read and written.
pub const HUB_FORMAT_VERSION: u32 = 1;

/// What stands in [`HUB_CONFIG`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HubConfig {
    /// Always [`HUB_FORMAT_VERSION`].
    pub format_version: u32,
    /// The backbone's family.
    pub architecture: Architecture,
    /// The backbone's usual name.
    pub base_model: String,
    /// The method.
    pub method: Method,
    /// The head, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// Names of the head's outputs, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// Why a [`HubConfig`] can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HubConfigError {
    /// Another version of the format.
    #[error(
        "`format_version` is {0}; this version of `hub` reads {HUB_FORMAT_VERSION}: a newer `hub` may read it"
    )]
    Version(String),
    /// A field that nothing would read.
    #[error("the field `{0}` is unknown")]
    Unknown(String),
    /// A field is missing or holds something else.
    #[error("{0}")]
    Field(String),
}

impl HubConfig {
    /// Reads the parsed JSON. No field is ignored, at any depth.
    pub fn from_json(json: &Value) -> Result<Self, HubConfigError> {
        let version = json.get("format_version").unwrap_or(&Value::Null);
        if version.as_u64() != Some(u64::from(HUB_FORMAT_VERSION)) {
            return Err(HubConfigError::Version(version.to_string()));
        }
        let config: Self = serde_path_to_error::deserialize(json)
            .map_err(|e| HubConfigError::Field(format!("`{}`: {}", e.path(), e.inner())))?;
        let known = serde_json::to_value(&config).map_err(|e| HubConfigError::Field(e.to_string()))?;
        match unknown(json, &known, "") {
            None => Ok(config),
            Some(field) => Err(HubConfigError::Unknown(field)),
        }
    }
}

/// The first field of `given` that reading and writing it again has lost. Empty fields
/// (`null`) are not written and lose nothing.
fn unknown(given: &Value, known: &Value, at: &str) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(field, value)| {
            let path = if at.is_empty() { field.clone() } else { format!("{at}.{field}") };
            match known.get(field) {
                Some(known) => unknown(value, known, &path),
                None if value.is_null() || value.as_array().is_some_and(Vec::is_empty) => None,
                None => Some(path),
            }
        }),
        (Value::Array(given), Value::Array(known)) => {
            given.iter().zip(known).find_map(|(given, known)| unknown(given, known, at))
        }
        _ => None,
    }
}

pub(super) fn weights_files(subject: &Subject<'_>) -> Vec<WeightsFile> {
    let own = subject.method.parts().iter().flat_map(|part| part.slots(subject.shape));
    let head = subject.head.map_or_else(Vec::new, |head| head_slots(head, subject.shape.hidden_size));
    let tensors = own.chain(head).map(|slot| spec(&slot)).collect();
    vec![WeightsFile { path: HUB_WEIGHTS, tensors }]
}

fn spec(slot: &Slot) -> TensorSpec {
    let disk = match slot.part.strip_prefix("replaced") {
        Some(part) => format!("{}{part}", slot.place),
        None => slot.name.clone(),
    };
    TensorSpec::new(disk, slot)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        head::ClassificationHead,
        method::{HadamardConfig, LoraConfig},
    };

    fn config(method: Method) -> HubConfig {
        HubConfig {
            format_version: HUB_FORMAT_VERSION,
            architecture: Architecture::Bert,
            base_model: "tiny".to_owned(),
            method,
            head: Some(Head::Classification(ClassificationHead::pooled(2))),
            labels: vec!["no".to_owned(), "yes".to_owned()],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for method in
            [Method::Hadamard(HadamardConfig::standard()), Method::Lora(LoraConfig::query_value(2, 4.0, 6))]
        {
            let config = config(method);
            let json = serde_json::to_value(&config).expect("JSON");
            assert_eq!(HubConfig::from_json(&json), Ok(config));
        }
    }

    #[test]
    fn no_field_is_ignored_and_no_other_version_is_guessed_at() {
        let good = serde_json::to_value(config(Method::Hadamard(HadamardConfig::standard()))).expect("JSON");
        let refusal = |change: &dyn Fn(&mut Value)| {
            let mut json = good.clone();
            change(&mut json);
            HubConfig::from_json(&json).expect_err("refused").to_string()
        };
        assert_eq!(refusal(&|json| json["method"]["gain"] = json!(2)), "the field `method.gain` is unknown");
        assert_eq!(refusal(&|json| json["head"]["gain"] = json!(2)), "the field `head.gain` is unknown");
        assert!(refusal(&|json| json["gain"] = json!(2)).contains("unknown field `gain`"));
        assert!(refusal(&|json| json["format_version"] = json!(2)).contains("is 2"));
        assert!(refusal(&|json| json["format_version"] = json!("1")).contains("is \"1\""));
        assert!(HubConfig::from_json(&json!([])).is_err());
    }
}
