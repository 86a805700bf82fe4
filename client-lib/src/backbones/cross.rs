//! What the blocks of a decoder read of an encoder.

use std::{cell::RefCell, collections::BTreeMap};

use candle_core::{Result, Tensor};

use super::{Context, hooks::repeat_rows};
use crate::ops::KeyMask;

/// Keys and values of what an encoder gives, by the block that attends to them: every answer token
/// attends to the same ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Projected(RefCell<BTreeMap<usize, [Tensor; 2]>>);

impl Projected {
    /// Those of block `layer` in `rows` rows or more, which are whole repetitions of what `project` gives.
    pub(super) fn keys_values(
        &self,
        layer: usize,
        rows: usize,
        project: impl FnOnce() -> Result<[Tensor; 2]>,
    ) -> Result<[Tensor; 2]> {
        let kept = self.0.borrow().get(&layer).cloned();
        let [keys, values] = kept.map_or_else(project, Ok)?;
        let rows = keys.dim(0)?.max(values.dim(0)?).max(rows);
        let both = [repeat_rows(&keys, rows)?, repeat_rows(&values, rows)?];
        self.0.borrow_mut().insert(layer, both.clone());
        Ok(both)
    }
}

/// What an encoder gives, to be attended to by every block of a decoder.
pub(super) struct Cross<'a> {
    /// `[b, s, h]`
    pub(super) state: &'a Tensor,
    /// Over its `s` tokens.
    pub(super) mask: KeyMask,
    /// The forward pass of the encoder.
    pub(super) context: &'a Context,
    /// What blocks have made of `state`.
    pub(super) projected: &'a Projected,
}

impl<'a> Cross<'a> {
    /// `context` has the mask of the tokens of `state`.
    pub(super) fn new(state: &'a Tensor, context: &'a Context, projected: &'a Projected) -> Result<Self> {
        Ok(Self { state, mask: KeyMask::new(&context.attention_mask)?, context, projected })
    }
}
