//! The layer behind the blocks that makes one vector of a sequence, or another one of every token.

use candle_core::{DType, Result, Tensor};
use hub_schemas::backbone::Module;

use super::{Backbone, Hooks, Mode};
use crate::ops::activate;

impl Backbone {
    /// `φ(W · first + b)` of a last hidden state, `[b, h]`; `None` without a pooler.
    ///
    /// Some encoders take the mean over the tokens that are not padding for the first.
    pub fn pool(
        &self,
        state: &Tensor,
        (mask, read): (&Tensor, usize),
        hooks: &dyn Hooks,
    ) -> Result<Option<Tensor>> {
        if self.pooler.is_none() {
            return Ok(None);
        }
        let rows = state.dim(0)?;
        let first = if self.config.encoder.pools_mean {
            mean_of_tokens(state, mask)?.unsqueeze(1)?
        } else {
            state.narrow(1, 0, 1)?.contiguous()?
        };
        let attention_mask = Tensor::ones((rows, 1), DType::U32, state.device())?;
        self.through_pooler(&first, (&attention_mask, read), (hooks, Mode::Eval))?
            .map(|x| x.squeeze(1))
            .transpose()
    }

    /// `norm(φ(W x + b))` of the pooler for every token of `x [b, t, h]`, without the norm where there is none; `None`
    /// without a pooler.
    pub fn through_pooler(
        &self,
        x: &Tensor,
        mask: (&Tensor, usize),
        at: (&dyn Hooks, Mode),
    ) -> Result<Option<Tensor>> {
        let Some(pooler) = &self.pooler else { return Ok(None) };
        let x = self.behind(Module::Pooler, x, pooler, mask, at)?;
        let x = activate(&x, self.config.encoder.pooler_activation)?;
        match &self.pooler_norm {
            // In ModernBERT the norm of its language models' heads.
            Some(norm) => norm.with(at.0, &Module::LmNorm.to_string()).forward(&x).map(Some),
            None => Ok(Some(x)),
        }
    }

    /// Whether there is a pooler.
    pub fn has_pooler(&self) -> bool {
        self.pooler.is_some()
    }
}

/// Mean over the positions where the mask is 1 (Reimers & Gurevych 2019).
pub(crate) fn mean_of_tokens(state: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let mask = mask.to_dtype(state.dtype())?.unsqueeze(2)?;
    let sum = state.broadcast_mul(&mask)?.sum(1)?;
    sum.broadcast_div(&mask.sum(1)?.maximum(1e-9)?)
}
