//! A learned gate per example (Mao et al., "UniPELT", 2022): the mean over positions
//! of `σ(W_g x + b_g)`.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::affine::Affine;
use crate::backbones::{Context, Noted, repeat_rows};

/// Which positions a gate averages over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateMean {
    /// Every position, padding included, as `adapters` computes it: a prediction
    /// then depends on how much padding its batch has.
    AllPositions,
    /// Only tokens.
    Tokens,
}

/// A gate with one or more outputs.
#[derive(Debug)]
pub(super) struct Gate {
    scores: Affine,
    at: String,
    mean: GateMean,
}

impl Gate {
    /// The gate at a place: its tensors are `{at}.gate.weight` and `{at}.gate.bias`.
    pub(super) fn take(tensors: &BTreeMap<String, Tensor>, at: &str, mean: GateMean) -> Result<Self> {
        Ok(Self { scores: Affine::take(tensors, &format!("{at}.gate"))?, at: at.to_owned(), mean })
    }

    /// How far the gate is open for each row of `x [b, t, h]`: `[b, 1, gates]`.
    pub(super) fn open(&self, x: &Tensor, context: &Context) -> Result<Tensor> {
        let open = self.mean_open(x, context)?;
        if let Some(trace) = &context.trace {
            trace.note(Noted::Gate { place: self.at.clone(), open: open.clone() });
        }
        Ok(open)
    }

    fn mean_open(&self, x: &Tensor, context: &Context) -> Result<Tensor> {
        // σ(s) = (tanh(s / 2) + 1) / 2, which does not overflow.
        let open = ((((self.scores.linear(x)? * 0.5)?.tanh()? * 0.5)?) + 0.5)?;
        let (rows, positions, _) = open.dims3()?;
        let mask = &context.attention_mask;
        if self.mean == GateMean::AllPositions || mask.dim(1)? != positions {
            return open.mean_keepdim(1);
        }
        let mask = repeat_rows(mask, rows)?.to_dtype(open.dtype())?.unsqueeze(2)?;
        let tokens = mask.sum_keepdim(1)?.maximum(1e-9)?;
        open.broadcast_mul(&mask)?.sum_keepdim(1)?.broadcast_div(&tokens)
    }
}
