//! Measuring a finished adapter on labelled data.

use super::{
    TrainingError,
    data::{DataFile, LabelSet},
    learner::{ExampleSet, WholeModel},
    measure::{Measurement, measure},
};
use crate::predict::Predictor;

/// Runs the adapter over every example of `file`; `progress` hears how many are done.
pub fn evaluate(
    predictor: &Predictor,
    file: &DataFile,
    batch_size: usize,
    progress: impl FnMut(usize),
) -> Result<Measurement, TrainingError> {
    let labels = LabelSet::from_names(predictor.labels().to_vec()).ids(&file.name, &file.examples)?;
    let inputs =
        predictor.encoder().encode_all(file.examples.iter().map(|e| e.text.as_str()), &file.folder)?;
    let lengths = inputs.iter().map(crate::inputs::Input::len).collect();
    let learner = WholeModel { model: predictor.model(), encoder: predictor.encoder() };
    measure(&learner, &ExampleSet { inputs, lengths, labels }, batch_size, progress)
}
