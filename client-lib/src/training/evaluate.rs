//! Measuring a finished adapter on a data file.

use super::{
    TrainingError,
    learner::{ExampleSet, WholeModel},
    measure::{Measurement, measure},
};
use crate::{data::DataFile, predict::Predictor, tasks::Origin};

/// Runs the adapter over every example of `file`; `progress` hears how many of how many rows are done.
pub fn evaluate(
    predictor: &Predictor,
    file: &DataFile,
    batch_size: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<Measurement, TrainingError> {
    let origin = Origin { file: &file.name, folder: &file.folder };
    let encoded = predictor.task().encode(origin, &file.examples, predictor.encoder())?;
    let set = ExampleSet::from(encoded);
    let rows = set.rows();
    let learner = WholeModel { model: predictor.model(), encoder: predictor.encoder() };
    measure(&learner, &set, batch_size, |done| progress(done, rows))
}
