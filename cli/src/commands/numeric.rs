//! What the computing verbs share: columns, hints, and the device.

use std::error::Error;

use hub_client::{
    backbones::{DeviceError, is_out_of_memory},
    composition::ExpressionError,
    data::{ColumnOptions, DataError},
    merging::MergeError,
    model::ModelError,
    predict::PredictError,
    tensors::TensorFileError,
    training::TrainingError,
};
use hub_formats::checkpoint::CheckpointError;

use crate::args::train::ColumnArgs;

/// The columns as the library wants to hear of them.
pub(super) fn columns(args: &ColumnArgs) -> ColumnOptions {
    ColumnOptions {
        text: args.text_column.clone(),
        pair: args.pair_column.clone(),
        label: args.label_column.clone(),
        choices: args.choice_columns.clone(),
        image: None,
        header: args.header,
    }
}

/// Hints for the error types of the numeric rooms; `None` for a type that is none of theirs.
pub(super) fn hints(error: &(dyn Error + 'static)) -> Option<Vec<String>> {
    if is_out_of_memory(&error.to_string()) {
        let hint = "the memory of the GPU is full: pass `--precision bf16`, a smaller `--max-length`, or `--device cpu`";
        return Some(vec![hint.to_owned()]);
    }
    if let Some(error) = error.downcast_ref::<TrainingError>() {
        let data = match error {
            TrainingError::Data(data) => data_hint(data),
            _ => None,
        };
        return Some(error.hint().or(data).map(str::to_owned).into_iter().collect());
    }
    if let Some(error) = error.downcast_ref::<DataError>() {
        return Some(data_hint(error).map(str::to_owned).into_iter().collect());
    }
    if let Some(error) = error.downcast_ref::<DeviceError>() {
        return Some(error.hint().map(str::to_owned).into_iter().collect());
    }
    if let Some(error) = error.downcast_ref::<MergeError>() {
        return Some(error.hint().into_iter().collect());
    }
    let known = error.is::<PredictError>()
        || error.is::<TensorFileError>()
        || error.is::<ModelError>()
        || error.is::<CheckpointError>()
        || error.is::<ExpressionError>();
    known.then(Vec::new)
}

fn data_hint(error: &DataError) -> Option<&'static str> {
    match error {
        DataError::NoColumn { .. } | DataError::ManyLabels { .. } | DataError::Field { .. } => {
            Some("name the columns with `--text-column` and `--label-column`")
        }
        DataError::Ragged { .. } => {
            Some("a text that holds the separator must stand in quotes, or the file must be .jsonl")
        }
        DataError::NoTag { .. } => Some("name the columns with `--text-column` and `--label-column`"),
        DataError::NotSquad { .. } => {
            Some("rows of texts and labels as JSON stand one a line in a .jsonl file")
        }
        DataError::NotANumber { .. } => Some("pass `--head classification` if the numbers name classes"),
        DataError::Numbering { .. } => Some("name the right choices with letters, or with their own texts"),
        DataError::ChoiceCount { .. } => Some("name the columns of the choices with `--choice-column`"),
        DataError::OneLabel { .. } => Some("check that `--label-column` names the right column"),
        DataError::UnknownLabel { .. } => {
            Some("correct the label, or add examples of it to the training data")
        }
        _ => None,
    }
}
