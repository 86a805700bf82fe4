//! What becomes of prefixes in `adapters` 1.3.0, whose mask is made for one way of masking.
//!
//! An imported adapter computes what its library computes, so that this is needed in all others too.

use hub_formats::architectures::Window;
use hub_schemas::backbone::CausalMask;

use super::transformer::Backbone;
use crate::ops::KeyMask;

/// What `adapters` 1.3.0 puts in front of shorter prefixes, and what it adds to scores. Its mask
/// is made for one way of masking; in an architecture with another way ones are added to scores.
#[derive(Debug, Clone, Copy)]
pub struct LibraryPadding {
    /// All components of the keys and values that pad: the backbone's padding id.
    pub value: f32,
    /// Added to the scores of a prefix.
    pub prefix: f32,
    /// Added to the scores of padding.
    pub padding: f32,
    /// Whether a causal query's keys are counted from the first one, a prefix's among them.
    pub from_first: bool,
}

impl LibraryPadding {
    /// The same where every token sees all of a prefix.
    pub(crate) fn that_shows_prefixes(self) -> Self {
        Self { prefix: self.prefix.max(0.0), from_first: false, ..self }
    }
}

impl Backbone {
    /// How `adapters` pads prefixes in this architecture.
    pub(super) fn library_padding(&self, mask: &KeyMask) -> LibraryPadding {
        let value = self.config.padding_id as f32;
        let architecture = self.config.architecture;
        let (prefix, padding) = match architecture.prompt_score() {
            // Images and recordings come without a mask: padding is attended to as it is.
            _ if architecture.reads_images() || architecture.reads_audio() => (0.0, 0.0),
            // Masked by comparison and not by a sum.
            _ if self.config.encoder.disentangled.is_some() => (0.0, f32::NEG_INFINITY),
            // What is no padding at all is no mask either: torch's attention gets none.
            0.0 if architecture.drops_plain_masks() && !mask.hides_any() => (0.0, 0.0),
            0.0 => (0.0, 1.0),
            score if mask.hides_any() => (score, 0.0),
            _ => (0.0, 0.0),
        };
        LibraryPadding { value, prefix, padding, from_first: false }
    }

    /// The same in front of `tokens` tokens of a decoder, in the attention that both libraries take by default. Zeros
    /// that are meant for a sum hide the prefix from a mask of comparisons, and show what pads it. Where torch makes
    /// the mask it counts a query's keys from the first one, a prefix's among them.
    pub(super) fn library_padding_of_decoder(&self, mask: &KeyMask, tokens: usize) -> LibraryPadding {
        let value = self.config.padding_id as f32;
        let shows_all = |window: &Window| tokens < window.tokens;
        let needs_mask = mask.hides_any() || !self.config.decoder.window.as_ref().is_none_or(shows_all);
        match (self.config.architecture.causal_mask(), needs_mask) {
            (CausalMask::Sum, _) | (CausalMask::SumWherePadded, true) => self.library_padding(mask),
            (CausalMask::Comparison, true) => {
                LibraryPadding { value, prefix: f32::NEG_INFINITY, padding: 0.0, from_first: false }
            }
            (_, false) => LibraryPadding { value, prefix: 0.0, padding: 0.0, from_first: tokens > 1 },
        }
    }
}
