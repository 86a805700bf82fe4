//! A pass in pieces of one block: training in a fraction of the memory.
//!
//! A step keeps what goes from block to block and nothing of what is computed inside of them; the backward computes the
//! inside of a block once more when it gets there (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016,
//! section 4.1). Dropout masks are functions of seed, step and place, so that the second time gives the same numbers.

use candle_core::{Result, Tensor, Var};

use super::{Backbone, Batch, Hidden, Hooks, Mode, Passed, layer_sum::LayerSum};
use crate::ops::{Gradients, Recording};

/// What is done between the blocks of a pass.
pub(super) struct Between<'a> {
    /// What some classifiers read.
    pub(super) sum: LayerSum<'a>,
    /// What each block gave, where the pass is cut.
    pub(super) cuts: Option<Vec<Tensor>>,
    /// Forgets what is inside of the blocks, where the pass is cut.
    pub(super) inside: Option<Recording>,
}

impl<'a> Between<'a> {
    /// Nothing is cut.
    pub(super) fn whole(sum: LayerSum<'a>) -> Self {
        Self { sum, cuts: None, inside: None }
    }

    /// What the next block reads of what a block gave.
    pub(super) fn cut(&mut self, state: Tensor) -> Result<Tensor> {
        let Some(cuts) = &mut self.cuts else { return Ok(state) };
        // Below the lowest adapter there is nothing to compute again.
        let cut = if state.track_op() { Var::from_tensor(&state.detach())?.into_inner() } else { state };
        cuts.push(cut.clone());
        Ok(cut)
    }
}

/// What a pass has kept for its backward.
#[derive(Debug)]
pub struct Pieces {
    /// What each block gave, `[b, t, h]`, the first that ran first.
    cuts: Vec<Tensor>,
    /// Blocks that did not run because they were passed.
    passed: usize,
}

impl Backbone {
    /// The same as [`forward`](Self::forward), and what [`backward`](Self::backward) needs: no gradient gets from what is
    /// given into the blocks by itself.
    pub fn forward_in_pieces(
        &self,
        batch: &Batch,
        hooks: &dyn Hooks,
        mode: Mode,
    ) -> Result<(Hidden, Pieces)> {
        if !self.config.is_chain() {
            candle_core::bail!("{} backbones of this kind run as a whole only", self.config.architecture);
        }
        let inside = Some(Recording::forgetful());
        let between = Between { sum: LayerSum::new(None), cuts: Some(Vec::new()), inside };
        let (encoded, cuts) = self.encode_between(batch, (hooks, mode), between)?;
        let passed = batch.passed.as_ref().map_or(0, |passed| passed.blocks);
        Ok((self.hidden(batch, encoded)?, Pieces { cuts: cuts.unwrap_or_default(), passed }))
    }

    /// Goes on with a backward that came to the last block from behind: gives `take` the gradients of every block's
    /// parameters, those of the last block first. A parameter that several blocks have is among those of each.
    pub fn backward<E: From<candle_core::Error>>(
        &self,
        (batch, pieces): (&Batch, &Pieces),
        (hooks, mode): (&dyn Hooks, Mode),
        behind: &Gradients,
        mut take: impl FnMut(&Gradients) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let all = self.applied_blocks();
        let mut gradient = pieces.cuts.last().and_then(|cut| behind.get(cut).cloned());
        for index in (0..pieces.cuts.len()).rev() {
            let Some(of_end) = gradient.take() else { break };
            let block = pieces.passed + index;
            let start = index.checked_sub(1).map(|before| &pieces.cuts[before]);
            let piece = match start {
                Some(state) => {
                    Batch { passed: Some(Passed { state: state.clone(), blocks: block }), ..batch.clone() }
                }
                // In front of the first block there may be something to learn too.
                None => batch.clone(),
            };
            let mut between = Between::whole(LayerSum::new(None));
            let recording = Recording::begin();
            let (end, _) = self.run_blocks(&piece, (hooks, mode), &all[..=block], &mut between)?;
            let store = recording.backward_from(&end, of_end)?;
            gradient = start.and_then(|start| store.get(start).cloned());
            take(&store)?;
        }
        Ok(())
    }
}
