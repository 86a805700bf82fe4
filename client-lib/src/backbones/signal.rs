//! What a backbone reads that is no text, and what makes tokens of it.

use candle_core::{Result, Tensor};
use hub_formats::architectures::TransformerConfig;
use hub_schemas::backbone::Module;

use super::{Hooks, frames::Frames, patches::Patches, weights::Weights};

/// What a backbone reads that is no text; its batch holds as many tokens as this makes.
#[derive(Debug, Clone)]
pub enum Signal {
    /// Colours of images, `[b, c, height, width]` in floating point.
    Pixels(Tensor),
    /// Log-mel spectrograms of recordings, `[b, mels, frames]` in floating point.
    Spectrogram(Tensor),
}

impl Signal {
    /// The rows that `order` names, u32 `[b]`.
    pub fn select(&self, order: &Tensor) -> Result<Self> {
        match self {
            Self::Pixels(pixels) => pixels.index_select(order, 0).map(Self::Pixels),
            Self::Spectrogram(features) => features.index_select(order, 0).map(Self::Spectrogram),
        }
    }
}

/// The embedding block of a backbone that reads no tokens.
#[derive(Debug, Clone)]
pub(super) enum SignalEmbedding {
    Patches(Patches),
    Frames(Frames),
}

impl SignalEmbedding {
    /// `None` for a backbone that reads tokens.
    pub(super) fn load(config: &TransformerConfig, weights: &Weights<'_>) -> Result<Option<Self>> {
        if let Some(patches) = Patches::load(config, weights)? {
            return Ok(Some(Self::Patches(patches)));
        }
        Ok(Frames::load(config, weights)?.map(Self::Frames))
    }

    /// Tokens `[b, t, h]`; `None` where this is not what the backbone reads.
    pub(super) fn forward(&self, signal: &Signal, hooks: &dyn Hooks) -> Result<Option<Tensor>> {
        match (self, signal) {
            (Self::Patches(patches), Signal::Pixels(pixels)) => patches.forward(pixels, hooks).map(Some),
            (Self::Frames(frames), Signal::Spectrogram(features)) => {
                frames.forward(features, hooks).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The frozen bias of one of its convolutions.
    pub(super) fn bias(&self, module: Module) -> Option<&Tensor> {
        match self {
            Self::Patches(patches) => patches.bias(module),
            Self::Frames(frames) => frames.bias(module),
        }
    }
}
