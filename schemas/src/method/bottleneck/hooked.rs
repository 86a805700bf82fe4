//! Bottlenecks that hang on a projection, as the plug-in interface of `adapters` puts them where the library
//! has no classes of its own for a model.
//!
//! Its hook reads the output `z` of the projection at a sub-layer's end, before the block scales or normalises
//! it, and gives back what replaces `z`. The residual and the norm of the adapter's formula are what the
//! interface names. The library looks the norm up when its loop over the blocks has ended
//! (`methods/bottleneck.py`), so all of them get the last block's.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    backbone::{Architecture, Module, SubLayer},
    method::MethodError,
};

/// What bottlenecks have for a residual and for a norm at both sub-layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hooked {
    /// On the attention's output projection.
    pub attention: HookedAt,
    /// On the feed-forward network's output projection.
    pub ffn: HookedAt,
}

/// What a bottleneck has for a residual and for a norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookedAt {
    /// What is added to `z` in front of the norm; the input of a parallel adapter.
    pub residual: HookedResidual,
    /// The norm that the adapter's input goes through; none leaves the sum as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<HookedNorm>,
}

/// What the residual of a hooked bottleneck is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookedResidual {
    /// What the block's residual connection carries around the sub-layer.
    Carried,
    /// What the sub-layer reads: behind its norm, where one stands in front of it.
    Input,
    /// Nothing.
    Nothing,
}

/// A norm of the last block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookedNorm {
    /// The attention's.
    Attention,
    /// The feed-forward network's.
    Ffn,
    /// The one behind the attention, in front of the residual sum.
    AttentionOutput,
    /// The one behind the feed-forward network, in front of the residual sum.
    FfnOutput,
}

impl HookedNorm {
    /// Every norm that a block may have.
    pub const ALL: [Self; 4] = [Self::Attention, Self::Ffn, Self::AttentionOutput, Self::FfnOutput];

    /// The norm of this block.
    pub const fn module(self, layer: usize) -> Module {
        match self {
            Self::Attention => Module::Norm { layer, sublayer: SubLayer::Attention },
            Self::Ffn => Module::Norm { layer, sublayer: SubLayer::Ffn },
            Self::AttentionOutput => Module::OutputNorm { layer, sublayer: SubLayer::Attention },
            Self::FfnOutput => Module::OutputNorm { layer, sublayer: SubLayer::Ffn },
        }
    }
}

impl HookedAt {
    /// A residual without a norm.
    pub const fn plain(residual: HookedResidual) -> Self {
        Self { residual, norm: None }
    }
}

impl Hooked {
    /// Where the library itself hangs bottlenecks on a model that it has an interface for
    /// (`wrappers/interfaces.py`), if they compute something else there than behind the sub-layers.
    pub fn of_library(architecture: Architecture) -> Option<Self> {
        let carried = |norm| HookedAt { residual: HookedResidual::Carried, norm: Some(norm) };
        Some(match architecture {
            Architecture::Gemma2 => {
                Self { attention: carried(HookedNorm::AttentionOutput), ffn: carried(HookedNorm::FfnOutput) }
            }
            Architecture::ModernBert => Self {
                attention: HookedAt { residual: HookedResidual::Input, norm: Some(HookedNorm::Ffn) },
                ffn: HookedAt::plain(HookedResidual::Input),
            },
            _ => return None,
        })
    }

    /// What bottlenecks have at a sub-layer; nothing at the attention to an encoder, which no interface of one
    /// list of blocks has.
    pub const fn at(self, sublayer: SubLayer) -> Option<HookedAt> {
        match sublayer {
            SubLayer::Attention => Some(self.attention),
            SubLayer::Ffn => Some(self.ffn),
            SubLayer::CrossAttention => None,
        }
    }

    /// Refuses what the library can't compute either.
    pub(super) fn validate(self, config: &super::BottleneckConfig) -> Result<(), MethodError> {
        let refuse = |field, found: &str, expected: &str| {
            Err(MethodError::Field { field, found: found.to_owned(), expected: expected.to_owned() })
        };
        if !config.original_ln_after {
            return refuse(
                "original_ln_after",
                "false",
                "what hangs on a projection leaves the sum to the block",
            );
        }
        for sublayer in [SubLayer::Attention, SubLayer::Ffn].into_iter().filter(|&s| config.has(s)) {
            let Some(HookedAt { residual: HookedResidual::Nothing, norm }) = self.at(sublayer) else {
                continue;
            };
            if config.is_parallel || norm.is_some() && config.original_ln_before {
                return refuse(
                    "hooked",
                    "without a residual",
                    "a parallel adapter and a norm in front need one",
                );
            }
        }
        Ok(())
    }
}
