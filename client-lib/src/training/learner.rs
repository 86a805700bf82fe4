//! What the training loop trains: something with parameters that scores examples.
//!
//! Two kinds exist: a whole [`StitchedModel`](crate::model::StitchedModel), and a
//! head alone on features that the frozen backbone computed once (`probe.rs`).

use candle_core::Tensor;

use super::TrainingError;
use crate::{
    backbones::Mode,
    inputs::{Input, InputEncoder},
    model::StitchedModel,
    params::Parameters,
};

/// Something with parameters that scores examples.
pub trait Learner {
    /// The examples of a data set, in a form this learner reads.
    type Inputs;

    /// What is trained.
    fn parameters(&self) -> &Parameters;

    /// Whether a step may leave parameters out: then one that no gradient reaches is no mistake.
    fn leaves_out(&self) -> bool {
        false
    }

    /// What training adds to the loss besides the examples' own: a scalar.
    fn penalty(&self) -> Result<Option<Tensor>, TrainingError> {
        Ok(None)
    }
    /// The scores `[rows, labels]` of some of the examples.
    fn logits(&self, inputs: &Self::Inputs, rows: &[usize], mode: Mode) -> Result<Tensor, TrainingError>;
}

/// Labelled examples, ready to be put into batches.
#[derive(Debug)]
pub struct ExampleSet<I> {
    /// What the learner reads.
    pub inputs: I,
    /// What each example costs: its number of tokens, or 1 where all cost the same.
    pub lengths: Vec<usize>,
    /// The number of each example's label.
    pub labels: Vec<u32>,
}

/// Adapter, head and the backbone around them.
#[derive(Debug)]
pub struct WholeModel<'a> {
    /// The model.
    pub model: &'a StitchedModel,
    /// Builds its batches.
    pub encoder: &'a InputEncoder,
}

impl Learner for WholeModel<'_> {
    type Inputs = Vec<Input>;

    fn parameters(&self) -> &Parameters {
        self.model.parameters()
    }

    fn leaves_out(&self) -> bool {
        self.model.drops_layers()
    }

    fn penalty(&self) -> Result<Option<Tensor>, TrainingError> {
        Ok(self.model.regularisation()?)
    }

    fn logits(&self, inputs: &Vec<Input>, rows: &[usize], mode: Mode) -> Result<Tensor, TrainingError> {
        let rows: Vec<&Input> = rows.iter().map(|&row| &inputs[row]).collect();
        let batch = self.encoder.batch(&rows, self.model.backbone().device())?;
        let output = self.model.forward(&batch, mode)?;
        output.logits().cloned().ok_or(TrainingError::NoHead)
    }
}
