//! Training above blocks that nothing changes.
//!
//! Where the lowest adapter stands in a block above the first, what the blocks below it give for an example is
//! the same in every epoch: dropout inside the frozen backbone is off. So it is computed once, before the first
//! step, and every step and every validation begins above it. It is computed in batches that do not depend on
//! the step, so that a resumed run goes on with the same bytes.

use std::path::Path;

use candle_core::Tensor;

use super::{
    Learner, TrainingError,
    batching::sorted_batches,
    kept_states::KeptStates,
    learner::{ExampleSet, WholeModel},
    options::Plan,
};
use crate::{
    backbones::{Batch, Mode, Passed},
    heads::Prediction,
    inputs::Input,
    model::Cut,
    params::Parameters,
};

/// Whether the steps of a run would read the same states more than once, and what they need fits into `limit` bytes.
pub(super) fn is_worth_keeping(
    sets: [&ExampleSet<Vec<Input>>; 2],
    width: usize,
    plan: &Plan,
    limit: u64,
) -> bool {
    let bytes = sets.iter().map(|set| KeptStates::bytes(&set.lengths, width)).sum::<u64>();
    // Where a step alters what is read, its states are no other step's.
    let is_altered = |set: &&ExampleSet<Vec<Input>>| set.expected.altered(&[0], Mode::Eval).is_some();
    // The states of texts that belong together are several rows of a batch each.
    let has_several = |set: &&ExampleSet<Vec<Input>>| matches!(set.inputs.first(), Some(Input::Several(_)));
    let is_kept = |set| !is_altered(set) && !has_several(set);
    plan.total > plan.per_epoch && bytes <= limit && sets.iter().all(is_kept)
}

/// A whole model that begins above its frozen blocks.
#[derive(Debug)]
pub(super) struct AboveFrozen<'a> {
    pub(super) whole: WholeModel<'a>,
    /// How many blocks are below.
    pub(super) blocks: usize,
}

/// Examples with what the frozen blocks give for them.
#[derive(Debug)]
pub(super) struct KeptInputs<'a> {
    inputs: &'a [Input],
    states: KeptStates,
}

impl<'a> AboveFrozen<'a> {
    /// Runs the frozen blocks over a data set; `None` where `progress`, which hears how many rows are done, says stop.
    pub(super) fn keep(
        &self,
        set: &'a ExampleSet<Vec<Input>>,
        batch_size: usize,
        folder: &Path,
        mut progress: impl FnMut(usize) -> bool,
    ) -> Result<Option<ExampleSet<KeptInputs<'a>>>, TrainingError> {
        let WholeModel { model, encoder, .. } = self.whole;
        let width = model.backbone().config().shape.hidden_size;
        let mut states = KeptStates::reserve(&set.lengths, width, folder).map_err(TrainingError::Kept)?;
        let mut done = 0;
        for rows in sorted_batches(&set.lengths, batch_size) {
            let inputs: Vec<&Input> = rows.iter().map(|&row| &set.inputs[row]).collect();
            let state = model.pass(&encoder.batch(&inputs, model.backbone().device())?, self.blocks)?;
            let numbers = state.flatten_all()?.to_vec1::<f32>()?;
            for (&row, state) in rows.iter().zip(numbers.chunks(state.dim(1)? * width)) {
                let own = &state[..set.lengths[row] * width];
                states.put(row, own).map_err(TrainingError::Kept)?;
            }
            done += rows.len();
            if !progress(done) {
                return Ok(None);
            }
        }
        let inputs = KeptInputs { inputs: &set.inputs, states };
        Ok(Some(ExampleSet { inputs, lengths: set.lengths.clone(), expected: set.expected.clone() }))
    }
}

impl<'a> Learner for AboveFrozen<'a> {
    type Inputs = KeptInputs<'a>;

    fn parameters(&self) -> &Parameters {
        self.whole.parameters()
    }

    fn leaves_out(&self) -> bool {
        self.whole.leaves_out()
    }

    fn penalty(&self) -> Result<Option<Tensor>, TrainingError> {
        self.whole.penalty()
    }

    fn predict(
        &self,
        set: &ExampleSet<KeptInputs<'a>>,
        rows: &[usize],
        mode: Mode,
    ) -> Result<Prediction, TrainingError> {
        self.whole.run(&self.batch(set, rows)?, mode)
    }

    fn predict_in_step(
        &self,
        set: &ExampleSet<KeptInputs<'a>>,
        rows: &[usize],
        mode: Mode,
    ) -> Result<(Prediction, Option<Cut<'_>>), TrainingError> {
        self.whole.step(self.batch(set, rows)?, mode)
    }
}

impl AboveFrozen<'_> {
    fn batch(&self, set: &ExampleSet<KeptInputs<'_>>, rows: &[usize]) -> Result<Batch, TrainingError> {
        let KeptInputs { inputs, states } = &set.inputs;
        let backbone = self.whole.model.backbone();
        let (numbers, tokens) = states.batch(rows).map_err(TrainingError::Kept)?;
        let shape = (rows.len(), tokens, backbone.config().shape.hidden_size);
        let state = Tensor::from_vec(numbers, shape, backbone.device())?;
        let inputs: Vec<&Input> = rows.iter().map(|&row| &inputs[row]).collect();
        let batch = self.whole.encoder.passed(&inputs, backbone.device())?;
        Ok(Batch { passed: Some(Passed { state, blocks: self.blocks }), ..batch })
    }
}
