//! LLaMA (Touvron et al. 2023) and what is built like it, such as SmolLM and Mistral (Jiang et al. 2023),
//! as `transformers` stores them.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value, json};

use super::{
    ConfigError, DecoderParts, NormKind, NormOrder, Positions, Rope, RopeScaling, TransformerConfig, Window,
    Yarn, count, flag, fraction, names_padding, only, optional_count, optional_number, padding_id, shown,
    word,
};

/// Mistral: LLaMA with other defaults, and with a window in every layer.
pub(super) fn mistral(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let window = match json.get("sliding_window") {
        None => Some(4096),
        Some(_) => optional_count(json, "sliding_window")?,
    };
    let mut json = json.clone();
    json.entry("num_key_value_heads").or_insert(json!(8));
    json.entry("max_position_embeddings").or_insert(json!(131_072));
    let config = config(&json)?;
    // Mistral's own code knows no `layer_types`.
    json.remove("layer_types");
    let window = Window::of(&json, window, config.shape.num_layers, |_| true)?;
    Ok(TransformerConfig {
        architecture: Architecture::Mistral,
        decoder: DecoderParts { window, ..config.decoder },
        ..config
    })
}

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let shape = BackboneShape {
        hidden_size: count(json, "hidden_size")?,
        num_layers: count(json, "num_hidden_layers")?,
        num_heads: count(json, "num_attention_heads")?,
        intermediate_size: count(json, "intermediate_size")?,
        vocab_size: count(json, "vocab_size")?,
        max_positions: optional_count(json, "max_position_embeddings")?.unwrap_or(2048),
        num_kv_heads: optional_count(json, "num_key_value_heads")?,
        head_dim: optional_count(json, "head_dim")?,
        ..BackboneShape::EMPTY
    };
    // One dimension is stated in one way only, so that equal shapes are equal.
    let shape = BackboneShape {
        num_kv_heads: shape.num_kv_heads.filter(|&heads| heads != shape.num_heads),
        head_dim: shape.head_dim.filter(|&width| width * shape.num_heads != shape.hidden_size),
        ..shape
    };
    shape.validate()?;
    let rope = rope(json, shape.max_positions)?;
    // The exponent of a base that grows is `w / (w − 2)`.
    let least = if matches!(rope.scaling, RopeScaling::Dynamic { .. }) { 4 } else { 2 };
    if !shape.head_width().is_multiple_of(2) || shape.head_width() < least {
        return Err(ConfigError::Field {
            key: "head_dim",
            found: shape.head_width().to_string(),
            expected: "rotary positions need heads of an even width, of 4 or more where they are dynamic",
        });
    }
    only(json, "partial_rotary_factor", &json!(1.0))?;
    Ok(TransformerConfig {
        positions: Positions::Rotary(rope),
        norm_order: NormOrder::Pre,
        norm_kind: NormKind::Rms,
        is_causal: true,
        attention_bias: flag(json, "attention_bias")?,
        attention_output_bias: flag(json, "attention_bias")?,
        ffn_bias: flag(json, "mlp_bias")?,
        padding_id: padding_id(json, 0),
        names_padding: names_padding(json),
        norm_eps: fraction(json, "rms_norm_eps", 1e-6)?,
        attention_dropout: fraction(json, "attention_dropout", 0.0)?,
        activation: word(json, "hidden_act", "silu").parse()?,
        ..TransformerConfig::usual(Architecture::Llama, shape)
    })
}

/// The base and the scaling: beside each other, or together as newer configurations have them.
fn rope(json: &Map<String, Value>, max_positions: usize) -> Result<Rope, ConfigError> {
    let object = |key: &str| json.get(key).and_then(Value::as_object);
    let parameters = object("rope_parameters").or_else(|| object("rope_scaling"));
    let number = |key: &'static str| {
        let value = parameters.and_then(|p| p.get(key));
        value.and_then(Value::as_f64).filter(|n| *n > 0.0 && n.is_finite()).ok_or_else(|| {
            ConfigError::Field {
                key,
                found: shown(value),
                expected: "the scaling of rotary positions needs a positive number here",
            }
        })
    };
    let theta = match (json.get("rope_theta"), parameters.and_then(|p| p.get("rope_theta"))) {
        (None | Some(Value::Null), None) => 10_000.0,
        (Some(value), _) | (None, Some(value)) => {
            value.as_f64().filter(|n| *n > 0.0 && n.is_finite()).ok_or_else(|| ConfigError::Field {
                key: "rope_theta",
                found: shown(Some(value)),
                expected: "it must be a positive number",
            })?
        }
    };
    // The older word goes before the newer one, as in `LlamaConfig`.
    let kind = parameters.and_then(|p| p.get("type").or_else(|| p.get("rope_type")));
    if kind.is_none() && json.get("rope_scaling").is_some_and(|scaling| !scaling.is_null()) {
        let (key, found) = ("rope_scaling", shown(json.get("rope_scaling")));
        return Err(ConfigError::Field { key, found, expected: "it must say of which `rope_type` it is" });
    }
    let scaling = match kind.map(|kind| kind.as_str().unwrap_or_default()) {
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: number("factor")? },
        Some("llama3") => RopeScaling::Llama3 {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original: number("original_max_position_embeddings")?,
        },
        Some("yarn") => RopeScaling::Yarn(yarn(parameters, number("factor")?, max_positions)?),
        Some("dynamic") => RopeScaling::Dynamic { factor: number("factor")?, original: max_positions },
        Some(_) => {
            return Err(ConfigError::Field {
                key: "rope_scaling",
                found: shown(kind),
                expected: "`default`, `linear`, `dynamic`, `llama3` and `yarn` are supported",
            });
        }
    };
    Ok(Rope { theta, scaling })
}

/// YaRN's numbers with the defaults of `transformers`.
fn yarn(
    parameters: Option<&Map<String, Value>>,
    factor: f64,
    max_positions: usize,
) -> Result<Yarn, ConfigError> {
    let empty = Map::new();
    let parameters = parameters.unwrap_or(&empty);
    let number = |key: &'static str| optional_number(parameters, key);
    let mscale = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
    let attention = match (number("attention_factor")?, number("mscale")?, number("mscale_all_dim")?) {
        (Some(attention), ..) => attention,
        (None, Some(own), Some(all)) => mscale(own) / mscale(all),
        (None, ..) => mscale(1.0),
    };
    let truncate = parameters.get("truncate").filter(|value| !value.is_null());
    Ok(Yarn {
        factor,
        attention,
        beta_fast: number("beta_fast")?.unwrap_or(32.0),
        beta_slow: number("beta_slow")?.unwrap_or(1.0),
        original: number("original_max_position_embeddings")?.unwrap_or(max_positions as f64),
        truncates: truncate.is_none() || flag(parameters, "truncate")?,
    })
}
