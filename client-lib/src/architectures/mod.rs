//! One small file per architecture: how a Hugging Face `config.json` and its
//! tensor names map onto the one generic transformer of `backbones`.
//!
//! Free of candle, so that publishing can state a backbone's dimensions and
//! digest without compiling any numerics.

mod bert;
mod roberta;

use hub_schemas::{
    backbone::{Architecture, BackboneShape, ShapeError, UnknownArchitecture},
    method::{Activation, UnknownActivation},
};
use serde_json::{Map, Value};

/// Everything the generic transformer needs to know besides the weights.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformerConfig {
    /// Which mapping applies.
    pub architecture: Architecture,
    /// Dimensions.
    pub shape: BackboneShape,
    /// Where positions are counted from: the padding id, which only padding has as its
    /// position (RoBERTa). `None`: from 0.
    pub position_padding: Option<u32>,
    /// The token that fills shorter rows of a batch.
    pub padding_id: u32,
    /// Added to the variance in every norm.
    pub norm_eps: f64,
    /// Between the feed-forward network's two projections.
    pub activation: Activation,
    /// Probability with which the backbone was trained to drop attention: what a fusion
    /// takes over in training.
    pub attention_dropout: f64,
}

/// Why a `config.json` can't be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// `model_type` is missing or names something else.
    #[error(transparent)]
    Architecture(#[from] UnknownArchitecture),
    /// A key is missing or of the wrong type.
    #[error("`{key}` is {found}; {expected}")]
    Field {
        /// The key.
        key: &'static str,
        /// What stands there.
        found: String,
        /// What must stand there.
        expected: &'static str,
    },
    /// The activation is not one of ours.
    #[error(transparent)]
    Activation(#[from] UnknownActivation),
    /// The dimensions can't be.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// One tensor of a backbone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackboneTensor {
    /// Its name in the generic transformer.
    pub canonical: String,
    /// Its names in checkpoints, without the model prefix; the first is today's.
    pub names: Vec<String>,
    /// Its shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Whether a checkpoint may lack it.
    pub optional: bool,
}

impl TransformerConfig {
    /// Reads the keys of a Hugging Face `config.json`.
    pub fn from_json(json: &Map<String, Value>) -> Result<Self, ConfigError> {
        let model_type = json.get("model_type").and_then(Value::as_str).unwrap_or("(none)");
        match model_type.parse::<Architecture>()? {
            Architecture::Bert => bert::config(json, Architecture::Bert),
            other @ (Architecture::Roberta | Architecture::XlmRoberta) => roberta::config(json, other),
        }
    }

    /// Every tensor of the backbone, in the order of computation.
    pub fn tensors(&self) -> Vec<BackboneTensor> {
        match self.architecture {
            Architecture::Bert | Architecture::Roberta | Architecture::XlmRoberta => bert::tensors(self),
        }
    }

    /// Number of tokens for which there are positions.
    pub fn longest_input(&self) -> usize {
        let unused = self.position_padding.map_or(0, |padding| padding as usize + 1);
        self.shape.max_positions.saturating_sub(unused)
    }
}

/// A positive integer of a `config.json`.
fn count(json: &Map<String, Value>, key: &'static str) -> Result<usize, ConfigError> {
    match json.get(key).and_then(Value::as_u64) {
        Some(value) if value > 0 => Ok(usize::try_from(value).unwrap_or(usize::MAX)),
        _ => Err(ConfigError::Field {
            key,
            found: shown(json.get(key)),
            expected: "it must be a positive integer",
        }),
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "missing".to_owned(), |v| v.to_string().chars().take(60).collect())
}
