//! What only some decoders have.

use serde_json::{Map, Value};

use super::{ConfigError, shown};

/// Parts of a decoder that most architectures lack.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DecoderParts {
    /// Layers that look back only so far.
    pub window: Option<Window>,
    /// What scores are divided by the root of, where that is not the width of a head.
    pub query_scalar: Option<f64>,
    /// Attention scores `s` become `c · tanh(s / c)` (Bello et al. 2016).
    pub attention_soft_cap: Option<f64>,
    /// A language model's scores become that too.
    pub logit_soft_cap: Option<f64>,
}

/// Layers that look back only so far (Beltagy et al. 2020).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Tokens that a token sees, itself among them.
    pub tokens: usize,
    /// Of each layer, whether it looks back only so far.
    pub layers: Vec<bool>,
}

impl Window {
    /// Whether a layer looks back only so far.
    pub fn holds(&self, layer: usize) -> bool {
        self.layers.get(layer).copied().unwrap_or(false)
    }

    /// `tokens` in the layers that `layer_types` names, or where that is left out, in those that
    /// `usual` holds for; `None` where there is no such layer.
    pub(super) fn of(
        json: &Map<String, Value>,
        tokens: Option<usize>,
        num_layers: usize,
        usual: impl Fn(usize) -> bool,
    ) -> Result<Option<Self>, ConfigError> {
        let named = match json.get("layer_types") {
            None | Some(Value::Null) => None,
            Some(kinds) => Some(layer_types(kinds, num_layers)?),
        };
        let layers = named.unwrap_or_else(|| (0..num_layers).map(usual).collect());
        Ok(tokens.filter(|_| layers.contains(&true)).map(|tokens| Self { tokens, layers }))
    }
}

/// Of each layer, whether it looks back or around only so far.
pub(super) fn layer_types(kinds: &Value, num_layers: usize) -> Result<Vec<bool>, ConfigError> {
    let slides = |kind: &Value| match kind.as_str() {
        Some("sliding_attention") => Some(true),
        Some("full_attention") => Some(false),
        _ => None,
    };
    let layers = kinds.as_array().and_then(|kinds| kinds.iter().map(slides).collect::<Option<Vec<bool>>>());
    layers.filter(|layers| layers.len() == num_layers).ok_or_else(|| ConfigError::Field {
        key: "layer_types",
        found: shown(Some(kinds)),
        expected: "it must say `full_attention` or `sliding_attention` of every layer",
    })
}
