//! Measuring a finished adapter on a data file.

use super::{
    TrainingError,
    learner::{ExampleSet, WholeModel},
    measure::{Measurement, measure},
};
use crate::{data::DataFile, inputs::InputEncoder, model::StitchedModel, tasks::Origin, tasks::Task};

/// Runs `model` over every example of `file`; `progress` hears how many of how many rows are done.
pub fn evaluate(
    (model, task, encoder): (&StitchedModel, &Task, &InputEncoder),
    file: &DataFile,
    batch_size: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<Measurement, TrainingError> {
    let origin = Origin { file: &file.name, folder: &file.folder };
    let set = ExampleSet::from(task.encode(origin, &file.examples, encoder)?);
    let rows = set.rows();
    let learner = WholeModel::new(model, encoder);
    measure(&learner, &set, model.rows_at_once(batch_size), |done| progress(done, rows))
}
