//! The tensors of a file of inputs: each is checked before anything is computed with it.

use std::{ops::Range, path::Path};

use hub_formats::architectures::TransformerConfig;
use hub_schemas::backbone::Architecture;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{INPUT_IDS, TASK_IDS, TOKEN_TYPE_IDS, TensorFileError, WORD_STARTS};

/// More tasks than a composition can have members.
const MAX_TASKS: usize = 1 << 16;

/// More segments than a text has.
const ANY_SEGMENT: usize = 1 << 16;

/// A tensor's shape and its elements.
pub(super) type Numbers = (Vec<usize>, Vec<u32>);

/// A file of inputs, and where it lies.
pub(super) struct Inputs<'a> {
    pub(super) path: &'a Path,
    pub(super) file: SafeTensors<'a>,
}

impl Inputs<'_> {
    pub(super) fn refuse(&self, name: &str, reason: String) -> TensorFileError {
        TensorFileError::Input { path: self.path.to_owned(), name: name.to_owned(), reason }
    }

    /// Refuses tensors that the backbone does not read.
    pub(super) fn refuse_others(
        &self,
        config: &TransformerConfig,
        known: &[&str],
    ) -> Result<(), TensorFileError> {
        match self.file.names().into_iter().find(|name| !known.contains(name)) {
            Some(other) => {
                let reason = format!("is none that {} reads: {}", config.architecture, known.join(", "));
                Err(self.refuse(other, reason))
            }
            None => Ok(()),
        }
    }

    /// Numbers in single precision, all of them finite.
    pub(super) fn floats(&self, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, TensorFileError> {
        let chunks = view.data().as_chunks::<4>().0;
        let values: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(self.refuse(name, format!("holds {value}"))),
            None => Ok(values),
        }
    }

    /// Whole numbers below `limit`; `None` where the file has no such tensor.
    pub(super) fn numbers(&self, name: &str, limit: usize) -> Result<Option<Numbers>, TensorFileError> {
        let Ok(view) = self.file.tensor(name) else { return Ok(None) };
        let values =
            whole_numbers(&view).ok_or_else(|| self.refuse(name, "does not hold whole numbers".into()))?;
        if let Some(value) = values.iter().find(|value| !(0..limit as i64).contains(*value)) {
            let reason = format!("holds {value}; it must lie between 0 and {}", limit.saturating_sub(1));
            return Err(self.refuse(name, reason));
        }
        Ok(Some((view.shape().to_vec(), values.into_iter().map(|v| v as u32).collect())))
    }

    /// Whole numbers below `limit`, one for each token.
    pub(super) fn like_ids(
        &self,
        name: &str,
        limit: usize,
        shape: &[usize],
    ) -> Result<Option<Vec<u32>>, TensorFileError> {
        match self.numbers(name, limit)? {
            Some((other, _)) if other != shape => {
                Err(self.refuse(name, format!("has the shape {other:?}, `{INPUT_IDS}` has {shape:?}")))
            }
            found => Ok(found.map(|(_, values)| values)),
        }
    }

    /// `token_type_ids`. Where the backbone has no segments, it has none of another one than the first; a DeBERTa without
    /// segments takes all of them, and reads none.
    pub(super) fn segments(
        &self,
        config: &TransformerConfig,
        shape: &[usize],
    ) -> Result<Option<Vec<u32>>, TensorFileError> {
        match (config.shape.token_types, config.architecture) {
            (0, Architecture::DebertaV2) => {
                self.like_ids(TOKEN_TYPE_IDS, ANY_SEGMENT, shape)?;
                Ok(None)
            }
            // Its library would add rows of the table of words.
            (0, Architecture::Gpt2) if self.file.tensor(TOKEN_TYPE_IDS).is_ok() => {
                Err(self
                    .refuse(TOKEN_TYPE_IDS, "is not read by gpt2 backbones, which have no segments".into()))
            }
            (0, _) => {
                self.like_ids(TOKEN_TYPE_IDS, 1, shape)?;
                Ok(None)
            }
            (segments, _) => self.like_ids(TOKEN_TYPE_IDS, segments, shape),
        }
    }

    /// The tokens of words from where they start: `[rows, words]`, no start beyond the end of the tokens.
    pub(super) fn words(
        &self,
        rows: usize,
        length: usize,
        config: &TransformerConfig,
    ) -> Result<Option<Vec<Vec<Range<usize>>>>, TensorFileError> {
        let Some((shape, values)) = self.numbers(WORD_STARTS, length + 1)? else { return Ok(None) };
        match *shape.as_slice() {
            [found, 0] if found == rows => Ok(Some(vec![Vec::new(); rows])),
            [found, words] if found == rows => {
                let starts = values.chunks(words).map(|starts| words_of(starts, padding(config)));
                let found = starts.collect::<Result<_, _>>();
                found.map(Some).map_err(|reason| self.refuse(WORD_STARTS, reason))
            }
            _ => Err(self.refuse(
                WORD_STARTS,
                format!(
                    "has the shape {shape:?}; it must be [{rows}, words], one row for each of `{INPUT_IDS}`"
                ),
            )),
        }
    }

    /// The number of each row's task: `[rows]`.
    pub(super) fn tasks(&self, rows: usize) -> Result<Option<Vec<usize>>, TensorFileError> {
        let Some((shape, values)) = self.numbers(TASK_IDS, MAX_TASKS)? else { return Ok(None) };
        if shape != [rows] {
            let reason = format!("has the shape {shape:?}; it must be [{rows}], one task for each row");
            return Err(self.refuse(TASK_IDS, reason));
        }
        Ok(Some(values.into_iter().map(|task| task as usize).collect()))
    }
}

/// What `adapters` takes for padding in `word_starts`: the padding token's id; 0 where the configuration names none.
const fn padding(config: &TransformerConfig) -> usize {
    if config.names_padding { config.padding_id as usize } else { 0 }
}

/// The words of a row, each from its start to the next one, so that the last start only ends the last word.
fn words_of(starts: &[u32], padding: usize) -> Result<Vec<Range<usize>>, String> {
    let starts: Vec<usize> = starts.iter().map(|&start| start as usize).filter(|&s| s != padding).collect();
    let words = starts.windows(2).take_while(|pair| pair[1] > 0).map(|pair| match *pair {
        [start, end] if start < end => Ok(start..end),
        _ => Err(format!("has {} before {}; the starts of a row increase", pair[0], pair[1])),
    });
    words.collect()
}

/// The elements of a tensor whose values are whole, whatever their type is.
fn whole_numbers(view: &TensorView<'_>) -> Option<Vec<i64>> {
    let bytes = view.data();
    let whole = |value: f64| (value.fract() == 0.0 && value.abs() < 1e15).then_some(value as i64);
    macro_rules! elements {
        ($type:ty, $width:literal, $convert:expr) => {
            bytes
                .as_chunks::<$width>()
                .0
                .iter()
                .map(|chunk| $convert(<$type>::from_le_bytes(*chunk)))
                .collect::<Option<Vec<i64>>>()
        };
    }
    match view.dtype() {
        Dtype::BOOL | Dtype::U8 => Some(bytes.iter().map(|&b| i64::from(b)).collect()),
        Dtype::I32 => elements!(i32, 4, |v| Some(i64::from(v))),
        Dtype::U32 => elements!(u32, 4, |v| Some(i64::from(v))),
        Dtype::I64 => elements!(i64, 8, Some),
        Dtype::F32 => elements!(f32, 4, |v| whole(f64::from(v))),
        Dtype::F64 => elements!(f64, 8, whole),
        _ => None,
    }
}
