//! One small file per architecture: how a Hugging Face `config.json` and its
//! tensor names map onto the one generic transformer of `backbones`.
//!
//! Free of candle, so that publishing can state a backbone's dimensions and
//! digest without compiling any numerics.

mod albert;
mod bart;
mod bert;
mod deberta_v2;
mod decoder_parts;
mod distilbert;
mod electra;
mod encoder_parts;
mod fields;
mod frames;
mod gemma;
mod gpt2;
mod keys;
mod llama;
mod modernbert;
mod parts;
mod patches;
mod qwen;
mod refused;
mod roberta;
mod rope;
mod seq2seq_parts;
mod t5;
mod tensors;
#[cfg(test)]
mod tests;
mod view;
mod vit;
mod whisper;

use hub_schemas::{
    backbone::{Architecture, BackboneShape, LinearSite, ShapeError, UnknownArchitecture},
    method::{Activation, UnknownActivation},
};
use serde_json::{Map, Value};

pub use decoder_parts::{DecoderParts, Window};
pub use encoder_parts::{Convolution, Disentangled, EncoderParts, LocalAttention};
use fields::{
    activation, count, flag, fraction, names_padding, only, optional, optional_count, optional_number,
    padding_id, shown, word,
};
pub use frames::{FrameError, FrameGrid};
pub use parts::{NormOrder, Positions, Rope, RopeScaling, Yarn};
pub use patches::{GridError, PatchGrid};
pub use seq2seq_parts::{DistanceBuckets, Seq2SeqParts};
use tensors::tensor;
pub use view::View;
pub use whisper::LAYER_WEIGHTS;

/// What a norm computes: the bias is part of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Layer norm, with a bias.
    Layer,
    /// RMS norm, without.
    Rms,
    /// RMS norm whose gain is stored less one.
    RmsFromOne,
}

/// Everything the generic transformer needs to know besides the weights.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that checkpoints have of their own")]
pub struct TransformerConfig {
    /// Which mapping applies.
    pub architecture: Architecture,
    /// Dimensions.
    pub shape: BackboneShape,
    /// How positions get into the computation.
    pub positions: Positions,
    /// Where the norms of a block stand.
    pub norm_order: NormOrder,
    /// What a norm computes.
    pub norm_kind: NormKind,
    /// Whether no token sees those behind it.
    pub is_causal: bool,
    /// Whether the layers for queries, keys and values have biases.
    pub attention_bias: bool,
    /// Whether the attention's last layer has a bias.
    pub attention_output_bias: bool,
    /// What the word embeddings are multiplied with, learned tokens in front of them too.
    pub embedding_scale: Option<f64>,
    /// Whether the feed-forward network's linear layers have biases.
    pub ffn_bias: bool,
    /// The token that fills shorter rows of a batch.
    pub padding_id: u32,
    /// Whether the configuration names that token.
    pub names_padding: bool,
    /// Added to the variance in every norm.
    pub norm_eps: f64,
    /// Between the feed-forward network's two projections.
    pub activation: Activation,
    /// Probability with which the backbone was trained to drop attention: what a fusion
    /// takes over in training.
    pub attention_dropout: f64,
    /// What only some encoders have.
    pub encoder: EncoderParts,
    /// What only some decoders have.
    pub decoder: DecoderParts,
    /// What only an encoder with a decoder behind it has.
    pub seq2seq: Seq2SeqParts,
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
    /// Two names of one key say different things.
    #[error("`{key}` is {found} and `{of}` is {other}; they mean the same and must say the same")]
    Alias {
        /// The other name.
        key: &'static str,
        /// What stands there.
        found: String,
        /// The key.
        of: &'static str,
        /// What stands there.
        other: String,
    },
    /// Keys that nobody here knows.
    #[error("{}", unknown(keys))]
    Unknown {
        /// Each with what stands there.
        keys: Vec<(String, String)>,
    },
    /// The activation is not one of ours.
    #[error("`{key}`: {source}")]
    Activation {
        /// The key.
        key: &'static str,
        /// What stands there.
        source: UnknownActivation,
    },
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
    /// Reads the keys of a Hugging Face `config.json`, of an encoder alone where that is a backbone of its own.
    pub fn from_json(json: &Map<String, Value>) -> Result<Self, ConfigError> {
        Self::of(json, View::Encoder)
    }

    /// Reads the keys of a Hugging Face `config.json` for a view of the checkpoint.
    pub fn of(json: &Map<String, Value>, view: View) -> Result<Self, ConfigError> {
        let model_type = json.get("model_type").and_then(Value::as_str).unwrap_or("(none)");
        let architecture = model_type.parse::<Architecture>()?;
        keys::check(json, architecture)?;
        let config = match architecture {
            Architecture::Bert => bert::config(json, Architecture::Bert),
            other @ (Architecture::Roberta | Architecture::XlmRoberta) => roberta::config(json, other),
            Architecture::Gpt2 => gpt2::config(json),
            Architecture::Llama => llama::config(json),
            Architecture::Mistral => llama::mistral(json),
            Architecture::Qwen2 => qwen::qwen2(json),
            Architecture::Qwen3 => qwen::qwen3(json),
            Architecture::Gemma => gemma::config(json),
            Architecture::Gemma2 => gemma::gemma2(json),
            Architecture::Electra => electra::config(json),
            Architecture::DistilBert => distilbert::config(json),
            Architecture::Albert => albert::config(json),
            Architecture::DebertaV2 => deberta_v2::config(json),
            Architecture::ModernBert => modernbert::config(json),
            Architecture::Vit => vit::config(json),
            Architecture::Dinov2 => vit::dinov2(json),
            Architecture::Whisper => whisper::config(json, view),
            other @ (Architecture::T5 | Architecture::Mt5) => t5::config(json, other),
            other @ (Architecture::Bart | Architecture::MBart) => bart::config(json, other),
        }?;
        refused::check(json, &config)?;
        Ok(config)
    }

    /// What most encoders are; each architecture states what it has otherwise: post-norm blocks with
    /// learned positions, biases everywhere and an exact GELU.
    pub fn usual(architecture: Architecture, shape: BackboneShape) -> Self {
        Self {
            architecture,
            shape,
            positions: Positions::Learned,
            norm_order: NormOrder::Post,
            norm_kind: NormKind::Layer,
            is_causal: false,
            attention_bias: true,
            attention_output_bias: true,
            embedding_scale: None,
            ffn_bias: true,
            padding_id: 0,
            names_padding: true,
            norm_eps: 1e-12,
            activation: Activation::Gelu,
            attention_dropout: 0.1,
            encoder: EncoderParts::default(),
            decoder: DecoderParts::default(),
            seq2seq: Seq2SeqParts::default(),
        }
    }

    /// Every tensor of the backbone.
    pub fn tensors(&self) -> Vec<BackboneTensor> {
        tensors::tensors(self)
    }

    /// Whether a linear layer has a bias.
    pub const fn has_bias(&self, site: LinearSite) -> bool {
        match site {
            LinearSite::FfnUp | LinearSite::FfnGate | LinearSite::FfnGateUp | LinearSite::FfnDown => {
                self.ffn_bias
            }
            LinearSite::AttentionOutput | LinearSite::CrossOutput => self.attention_output_bias,
            LinearSite::Key | LinearSite::CrossKey if self.encoder.lacks_key_bias => false,
            _ => self.attention_bias,
        }
    }

    /// Whether what a block gives is read by the next one alone: not where a decoder stands behind an encoder, or a
    /// classifier reads all layers.
    pub fn is_chain(&self) -> bool {
        self.shape.decoder_layers.is_none() && !self.encoder.weighs_layers
    }

    /// Number of tokens that can be read.
    pub fn longest_input(&self) -> usize {
        match self.positions {
            Positions::Learned if self.encoder.lacks_positions => usize::MAX,
            Positions::Learned | Positions::Grid(_) | Positions::Frames(_) => self.shape.max_positions,
            Positions::LearnedFromPadding(padding) => {
                self.shape.max_positions.saturating_sub(padding as usize + 1)
            }
            Positions::LearnedBehind(rows) => self.shape.max_positions.saturating_sub(rows),
            // Any position has angles, and any distance a bucket. What the model was trained on is
            // `max_positions`.
            Positions::Rotary(_) | Positions::Distances(_) => usize::MAX,
        }
    }
}

fn unknown(keys: &[(String, String)]) -> String {
    let stated: Vec<String> = keys.iter().map(|(key, found)| format!("`{key}` is {found}")).collect();
    let (they, mean) = if keys.len() == 1 { ("it", "means") } else { ("they", "mean") };
    format!(
        "{}; this version does not know what {they} {mean}, and {they} may change what the model computes",
        stated.join(", ")
    )
}
