//! What the blocks of a decoder read of an encoder.

use candle_core::{Result, Tensor};

use super::Context;
use crate::ops::KeyMask;

/// What an encoder gives, to be attended to by every block of a decoder.
pub(super) struct Cross<'a> {
    /// `[b, s, h]`
    pub(super) state: &'a Tensor,
    /// Over its `s` tokens.
    pub(super) mask: KeyMask,
    /// The forward pass of the encoder.
    pub(super) context: &'a Context,
}

impl<'a> Cross<'a> {
    /// `context` has the mask of the tokens of `state`.
    pub(super) fn new(state: &'a Tensor, context: &'a Context) -> Result<Self> {
        Ok(Self { state, mask: KeyMask::new(&context.attention_mask)?, context })
    }
}
