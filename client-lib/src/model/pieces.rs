//! A step of training whose blocks are computed twice and not kept.

use candle_core::Result;

use super::{Batch, Mode, Output, StitchedModel};
use crate::{backbones::Pieces, ops::Gradients};

/// What is left of a backward once it got to the last block.
#[derive(Debug)]
pub struct Cut<'a> {
    model: &'a StitchedModel,
    batch: Batch,
    mode: Mode,
    pieces: Pieces,
}

impl StitchedModel {
    /// The same as [`forward`](Self::forward), without what is computed inside of the blocks: a backward of what is
    /// given gets to the last block, and the rest is [`Cut::backward`].
    pub fn forward_in_pieces(&self, batch: Batch, mode: Mode) -> Result<(Output, Cut<'_>)> {
        let (hidden, pieces) = self.backbone.forward_in_pieces(&batch, &self.stitch, mode)?;
        let output = self.predict(&self.stitch, &batch, hidden, mode)?;
        Ok((output, Cut { model: self, batch, mode, pieces }))
    }
}

impl Cut<'_> {
    /// Gives `take` the gradients of the parameters in each block, those of the last first; a parameter that stands in
    /// several has one in each. `behind` is what the backward gave so far.
    pub fn backward<E: From<candle_core::Error>>(
        &self,
        behind: &Gradients,
        take: impl FnMut(&Gradients) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let Self { model, batch, mode, pieces } = self;
        model.backbone.backward((batch, pieces), (&model.stitch, *mode), behind, take)
    }
}
