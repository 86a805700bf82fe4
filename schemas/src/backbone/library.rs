//! What the Python libraries do on a model of an architecture, and no configuration says: where `adapters` hangs what,
//! and how `transformers` masks, which decides what becomes of learned tokens in `adapters` 1.3.0.

use super::{Architecture, BackboneShape, LinearSite, Variant};

/// How a decoder keeps a token from seeing what comes behind it, in the attention that transformers 4.57 takes by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CausalMask {
    /// By what is added to scores.
    Sum,
    /// The same where there is padding; torch makes the mask where there is none.
    SumWherePadded,
    /// By comparison where there is padding or a window; torch makes the mask where there is neither.
    Comparison,
}

impl Architecture {
    /// Whether `adapters` hangs what stands behind the embeddings on the encoder's last norm, so that it stands
    /// behind all blocks.
    pub const fn adapts_embeddings_late(self) -> bool {
        matches!(self, Self::Whisper)
    }

    /// Whether what stands behind the embeddings stands in front of their scale: `adapters` hangs it on the table.
    pub const fn scales_adapted_embeddings(self) -> bool {
        matches!(self, Self::Gemma | Self::Gemma2)
    }

    /// Whether `adapters` gives an adapter behind the attention its input for the output, and the
    /// output for the residual.
    pub const fn swaps_attention_residual(self) -> bool {
        matches!(self, Self::Albert)
    }

    /// Whether `adapters` lets the prompts in front see every key, padding included: where its mask
    /// has a row for every query.
    pub const fn frees_prompts(self) -> bool {
        !matches!(self, Self::Electra)
    }

    /// What `adapters` adds to the scores of the prompts' keys where there is padding: a one that is
    /// meant for a mask of zeros and ones, in a mask that is added.
    pub const fn prompt_score(self) -> f32 {
        match self {
            Self::DistilBert => 1.0,
            _ => 0.0,
        }
    }

    /// Whether transformers gives an encoder's attention no mask where there is no padding.
    pub const fn drops_plain_masks(self) -> bool {
        matches!(self, Self::Bert | Self::Roberta | Self::XlmRoberta | Self::Albert) || self.is_bart()
    }

    /// How transformers masks a decoder's own tokens, which decides what becomes of prefixes of `adapters`.
    pub const fn causal_mask(self) -> CausalMask {
        match self {
            Self::T5 | Self::Mt5 => CausalMask::Sum,
            Self::Bart | Self::MBart => CausalMask::SumWherePadded,
            _ => CausalMask::Comparison,
        }
    }

    /// Whether `adapters` 1.3.0 loses prefixes in a mask that is not made of sums.
    pub const fn masks_prefixes(self) -> bool {
        let has_decoder = self.is_decoder() || self.is_encoder_decoder();
        has_decoder && !matches!(self.causal_mask(), CausalMask::Sum)
    }

    /// Whether it loses those of a model of this shape: an encoder alone has no such mask.
    pub const fn masks_prefixes_of(self, shape: &BackboneShape) -> bool {
        self.masks_prefixes() && (self.is_decoder() || shape.decoder_layers.is_some())
    }

    /// Whether `adapters` 1.3.0 has a class of its own for it, and with it prefixes. Others it reaches from outside, for
    /// bottlenecks, LoRA, ReFT and invertible layers only.
    pub const fn has_library_class(self) -> bool {
        !matches!(
            self,
            Self::Qwen2 | Self::Qwen3 | Self::Gemma | Self::Gemma2 | Self::ModernBert | Self::Dinov2
        )
    }

    /// Whether `adapters` 1.3.0 has learned tokens for it: for encoders of texts and of pictures only.
    pub const fn has_library_prompts(self) -> bool {
        let writes = self.is_decoder() || self.is_encoder_decoder();
        self.has_library_class() && !writes
    }

    /// What `adapters` calls prefixes of the attention of a model's own tokens.
    /// Behind an encoder, of the decoder's.
    pub const fn prefix_location(self, variant: Variant) -> &'static str {
        match self {
            _ if self.is_encoder_decoder() && variant.decoder_from.is_none() => "encoder_prefix",
            Self::DistilBert => "self",
            _ => "self_prefix",
        }
    }

    /// What `adapters` means by `intermediate_lora` and `output_lora`: in its own LLaMA and Mistral the names are swapped.
    pub const fn adapters_ffn_sites(self) -> [LinearSite; 2] {
        match self {
            Self::Llama | Self::Mistral => [LinearSite::FfnDown, LinearSite::FfnUp],
            Self::ModernBert => [LinearSite::FfnGateUp, LinearSite::FfnDown],
            _ => [LinearSite::FfnUp, LinearSite::FfnDown],
        }
    }
}
