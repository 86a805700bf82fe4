//! What a `config.json` of any architecture may say and nothing here computes.

use serde_json::{Map, Value, json};

use super::{ConfigError, TransformerConfig, decoder_parts::layer_types, only, shown};

/// Refuses weights that are not plain numbers, a decoder that looks ahead, and layers of another kind than those that
/// `config` stands for.
pub(super) fn check(json: &Map<String, Value>, config: &TransformerConfig) -> Result<(), ConfigError> {
    for key in ["quantization_config", "compression_config"] {
        if let Some(value) = json.get(key).filter(|value| !value.is_null()) {
            return Err(ConfigError::Field {
                key,
                found: shown(Some(value)),
                expected: "quantised weights are read from a GGUF file; a folder must hold plain ones",
            });
        }
    }
    if config.is_causal || config.shape.decoder_layers.is_some() {
        // Version 5 of the library lets a decoder look ahead, version 4 leaves the word out.
        only(json, "is_causal", &json!(true))?;
    }
    match json.get("layer_types") {
        None | Some(Value::Null) => Ok(()),
        Some(kinds) => same_layers(kinds, config),
    }
}

fn same_layers(kinds: &Value, config: &TransformerConfig) -> Result<(), ConfigError> {
    let layers = config.encoder.applied_layers.unwrap_or(config.shape.num_layers);
    let looks_around = |layer: usize| {
        config.encoder.local.is_some_and(|local| local.holds(layer))
            || config.decoder.window.as_ref().is_some_and(|window| window.holds(layer))
    };
    if layer_types(kinds, layers)?
        .into_iter()
        .enumerate()
        .all(|(layer, slides)| slides == looks_around(layer))
    {
        return Ok(());
    }
    Err(ConfigError::Field {
        key: "layer_types",
        found: shown(Some(kinds)),
        expected: "it must name the layers that slide by the other keys, or by this architecture",
    })
}
