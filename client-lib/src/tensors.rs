//! Model inputs and outputs as safetensors files, by the argument names of
//! Hugging Face models: the door through which other programs compare.

mod inputs;

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use hub_formats::architectures::{FrameGrid, PatchGrid, Positions, TransformerConfig, View};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{
    backbones::{DecoderInputs, HeadInputs},
    files::{Access, write_atomic},
    model::{Batch, Output},
};
use inputs::Inputs;

const INPUT_IDS: &str = "input_ids";
const ATTENTION_MASK: &str = "attention_mask";
const DECODER_INPUT_IDS: &str = "decoder_input_ids";
const DECODER_ATTENTION_MASK: &str = "decoder_attention_mask";
const TOKEN_TYPE_IDS: &str = "token_type_ids";
const WORD_STARTS: &str = "word_starts";
const TASK_IDS: &str = "task_ids";
const PIXEL_VALUES: &str = "pixel_values";
const INPUT_FEATURES: &str = "input_features";
/// What another backbone saw of each row's image.
pub const IMAGE_FEATURES: &str = "image_features";
/// What backbones of recordings read.
const OF_RECORDINGS: [&str; 2] = [INPUT_FEATURES, TASK_IDS];
/// What they read with a decoder behind the encoder.
const OF_TRANSCRIPTS: [&str; 4] = [INPUT_FEATURES, DECODER_INPUT_IDS, DECODER_ATTENTION_MASK, TASK_IDS];
/// What backbones of images read.
const OF_IMAGES: [&str; 2] = [PIXEL_VALUES, TASK_IDS];
/// What backbones with a decoder behind an encoder read.
const OF_TWO: [&str; 5] = [INPUT_IDS, ATTENTION_MASK, DECODER_INPUT_IDS, DECODER_ATTENTION_MASK, TASK_IDS];
const KNOWN: [&str; 5] = [INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS, WORD_STARTS, TASK_IDS];
/// What decoders read alone, of which adapters may look at images.
const OF_DECODERS: [&str; 6] =
    [INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS, WORD_STARTS, TASK_IDS, IMAGE_FEATURES];

/// A file of inputs that can't be used, or of outputs that can't be written.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    /// It can't be read or written.
    #[error("can't {action} `{}`: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no safetensors file.
    #[error("`{}` is not a safetensors file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An input is missing, unknown or malformed.
    #[error("the input `{name}` in `{}` {reason}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// The view of a checkpoint that inputs are for: with a decoder, where they have something for it.
pub fn view_of(path: &Path) -> Result<View, TensorFileError> {
    let bytes = read(path)?;
    let names = open(path, &bytes)?;
    let is_of_decoder = |name: &&str| [DECODER_INPUT_IDS, DECODER_ATTENTION_MASK].contains(name);
    Ok(if names.names().iter().any(is_of_decoder) { View::Whole } else { View::Encoder })
}

fn read(path: &Path) -> Result<Vec<u8>, TensorFileError> {
    std::fs::read(path).map_err(|source| TensorFileError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

fn open<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, TensorFileError> {
    SafeTensors::deserialize(bytes)
        .map_err(|e| TensorFileError::Format { path: path.to_owned(), reason: e.to_string() })
}

/// Reads the inputs of a backbone with this configuration. Without an attention
/// mask every position is a token. The choices of multiple choice may stand in a
/// dimension of their own, `[batch, choices, tokens]`.
pub fn read_batch(
    path: &Path,
    config: &TransformerConfig,
    device: &Device,
) -> Result<Batch, TensorFileError> {
    let bytes = read(path)?;
    let inputs = Inputs { path, file: open(path, &bytes)? };
    if let Positions::Grid(grid) = config.positions {
        return read_images(&inputs, config, grid, device);
    }
    if let Positions::Frames(grid) = config.positions {
        return read_recordings(&inputs, config, grid, device);
    }
    let has_decoder = config.shape.decoder_layers.is_some();
    let known: &[&str] = match config.architecture {
        _ if has_decoder => &OF_TWO,
        architecture if architecture.is_decoder() => &OF_DECODERS,
        _ => &KNOWN,
    };
    inputs.refuse_others(config, known)?;
    let (shape, ids) = inputs
        .numbers(INPUT_IDS, config.shape.vocab_size)?
        .ok_or_else(|| inputs.refuse(INPUT_IDS, "is missing".into()))?;
    let (rows, length, choices) = match *shape.as_slice() {
        [rows, length] => (rows, length, None),
        [rows, choices, length] => (rows * choices, length, Some(choices)),
        _ => {
            let reason =
                format!("has the shape {shape:?}; it must be [batch, tokens] or [batch, choices, tokens]");
            return Err(inputs.refuse(INPUT_IDS, reason));
        }
    };
    if rows == 0 || !(1..=config.longest_input()).contains(&length) {
        let reason = format!(
            "has the shape {shape:?}; at least one row of 1 to {} tokens is read",
            config.longest_input()
        );
        return Err(inputs.refuse(INPUT_IDS, reason));
    }
    let tensor = |values: Vec<u32>| Tensor::from_vec(values, (rows, length), device);
    let mask = inputs.like_ids(ATTENTION_MASK, 2, &shape)?;
    let is_unmasked = mask.is_none();
    let mask = mask.unwrap_or_else(|| vec![1; rows * length]);
    let types = inputs.segments(config, &shape)?;
    Ok(Batch {
        input_ids: tensor(ids)?,
        attention_mask: tensor(mask)?,
        is_unmasked,
        token_type_ids: types.map(tensor).transpose()?,
        head_inputs: HeadInputs {
            words: inputs.words(rows, length, config)?,
            tasks: inputs.tasks(rows)?,
            positions: None,
            choices,
        },
        signal: None,
        decoder: read_decoder(&inputs, config, rows, device)?,
        passed: None,
        image: read_seen(&inputs, rows, device)?,
    })
}

/// Reads `image_features`, `[batch, features]` in floating point; `None` where they are left out.
fn read_seen(inputs: &Inputs<'_>, rows: usize, device: &Device) -> Result<Option<Tensor>, TensorFileError> {
    let Ok(view) = inputs.file.tensor(IMAGE_FEATURES) else { return Ok(None) };
    match (view.shape(), view.dtype()) {
        (&[found, width], Dtype::F32) if found == rows && width > 0 => {
            let values = inputs.floats(IMAGE_FEATURES, &view)?;
            Ok(Some(Tensor::from_vec(values, (rows, width), device)?))
        }
        (shape, dtype) => {
            let reason = format!("is {dtype:?} {shape:?}; it must be F32 [{rows}, features]");
            Err(inputs.refuse(IMAGE_FEATURES, reason))
        }
    }
}

/// Reads `decoder_input_ids` and `decoder_attention_mask`; `None` where the first is left out.
fn read_decoder(
    inputs: &Inputs<'_>,
    config: &TransformerConfig,
    rows: usize,
    device: &Device,
) -> Result<Option<DecoderInputs>, TensorFileError> {
    let Some((shape, ids)) = inputs.numbers(DECODER_INPUT_IDS, config.shape.vocab_size)? else {
        return match inputs.numbers(DECODER_ATTENTION_MASK, 2)? {
            Some(_) => Err(inputs.refuse(DECODER_INPUT_IDS, "is missing, and its mask is there".into())),
            None => Ok(None),
        };
    };
    let longest = config.longest_input();
    let &[found, length] = shape.as_slice() else {
        let reason = format!("has the shape {shape:?}; it must be [batch, tokens]");
        return Err(inputs.refuse(DECODER_INPUT_IDS, reason));
    };
    if found != rows || !(1..=longest).contains(&length) {
        let reason = format!("has the shape {shape:?}; {rows} rows of 1 to {longest} tokens are read");
        return Err(inputs.refuse(DECODER_INPUT_IDS, reason));
    }
    let mask = match inputs.numbers(DECODER_ATTENTION_MASK, 2)? {
        Some((other, _)) if other != shape => {
            let reason = format!("has the shape {other:?}, `{DECODER_INPUT_IDS}` has {shape:?}");
            return Err(inputs.refuse(DECODER_ATTENTION_MASK, reason));
        }
        Some((_, mask)) => mask,
        None => vec![1; rows * length],
    };
    let tensor = |values: Vec<u32>| Tensor::from_vec(values, (rows, length), device);
    Ok(Some(DecoderInputs { input_ids: tensor(ids)?, attention_mask: tensor(mask)? }))
}

/// Reads `pixel_values`, `[batch, colours, height, width]` in floating point.
fn read_images(
    inputs: &Inputs<'_>,
    config: &TransformerConfig,
    grid: PatchGrid,
    device: &Device,
) -> Result<Batch, TensorFileError> {
    inputs.refuse_others(config, &OF_IMAGES)?;
    let refuse = |reason: String| inputs.refuse(PIXEL_VALUES, reason);
    let view = inputs.file.tensor(PIXEL_VALUES).map_err(|_| refuse("is missing".into()))?;
    let (&[rows, channels, height, width], Dtype::F32) = (view.shape(), view.dtype()) else {
        let found = format!("is {:?} {:?}", view.dtype(), view.shape());
        return Err(refuse(format!("{found}; it must be F32 [batch, colours, height, width]")));
    };
    if rows == 0 || channels != grid.channels {
        let reason = format!(
            "has the shape {:?}; one image or more in {} colours is read",
            view.shape(),
            grid.channels
        );
        return Err(refuse(reason));
    }
    let [high, wide] = grid.cut(height, width).map_err(|e| refuse(format!("can't be used: {e}")))?;
    let values = inputs.floats(PIXEL_VALUES, &view)?;
    let pixels = Tensor::from_vec(values, (rows, channels, height, width), device)?;
    Ok(Batch::of_images(pixels, 1 + high * wide)?.with_tasks(inputs.tasks(rows)?))
}

/// Reads `input_features`, `[batch, filters, frames]` in floating point.
fn read_recordings(
    inputs: &Inputs<'_>,
    config: &TransformerConfig,
    grid: FrameGrid,
    device: &Device,
) -> Result<Batch, TensorFileError> {
    let has_decoder = config.shape.decoder_layers.is_some();
    inputs.refuse_others(config, if has_decoder { &OF_TRANSCRIPTS } else { &OF_RECORDINGS })?;
    let refuse = |reason: String| inputs.refuse(INPUT_FEATURES, reason);
    let view = inputs.file.tensor(INPUT_FEATURES).map_err(|_| refuse("is missing".into()))?;
    let (&[rows, mels, frames], Dtype::F32) = (view.shape(), view.dtype()) else {
        let found = format!("is {:?} {:?}", view.dtype(), view.shape());
        return Err(refuse(format!("{found}; it must be F32 [batch, filters, frames]")));
    };
    if rows == 0 {
        return Err(refuse("holds no recording".into()));
    }
    grid.check(mels, frames).map_err(|e| refuse(format!("can't be used: {e}")))?;
    let values = inputs.floats(INPUT_FEATURES, &view)?;
    let features = Tensor::from_vec(values, (rows, mels, frames), device)?;
    let decoder = read_decoder(inputs, config, rows, device)?;
    Ok(Batch { decoder, ..Batch::of_recordings(features, grid.positions)? }.with_tasks(inputs.tasks(rows)?))
}

/// Writes `last_hidden_state`, and what the head gives by its names, in single precision.
pub fn write_output(path: &Path, output: &Output) -> Result<(), TensorFileError> {
    let mut tensors = Vec::new();
    for (name, tensor) in output.named()? {
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        tensors.push((name, tensor.dims().to_vec(), bytes));
    }
    let failed = |source| TensorFileError::Io { action: "write", path: path.to_owned(), source };
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let bytes = views
        .and_then(|views| safetensors::serialize(views, None))
        .map_err(|e| failed(std::io::Error::other(e)))?;
    write_atomic(path, &bytes, Access::Everyone).map_err(failed)
}

#[cfg(test)]
mod tests {
    use hub_schemas::backbone::{Architecture, BackboneShape};

    use super::*;

    fn config() -> TransformerConfig {
        let shape = BackboneShape {
            hidden_size: 8,
            num_layers: 1,
            num_heads: 2,
            intermediate_size: 8,
            vocab_size: 9,
            max_positions: 4,
            token_types: 2,
            ..BackboneShape::EMPTY
        };
        TransformerConfig::usual(Architecture::Bert, shape)
    }

    fn read(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Result<Batch, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("in.safetensors");
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (*name, TensorView::new(*dtype, shape.clone(), bytes).expect("a view"))
        });
        std::fs::write(&path, safetensors::serialize(views, None).expect("serialises")).expect("writes");
        let shown = path.display().to_string();
        read_batch(&path, &config(), &Device::Cpu)
            .map_err(|e| e.to_string().replace(&shown, "in.safetensors"))
    }

    fn i64s(values: &[i64]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn integer_and_float_inputs_are_read() {
        let mask: Vec<u8> = [1.0_f32, 1.0, 1.0, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let batch = read(&[
            (INPUT_IDS, Dtype::I64, vec![2, 2], i64s(&[1, 2, 3, 8])),
            (ATTENTION_MASK, Dtype::F32, vec![2, 2], mask),
        ])
        .expect("reads");
        assert_eq!(batch.input_ids.to_vec2::<u32>().expect("ids"), [[1, 2], [3, 8]]);
        assert_eq!(batch.attention_mask.to_vec2::<u32>().expect("mask"), [[1, 1], [1, 0]]);
        assert!(batch.token_type_ids.is_none());
    }

    #[test]
    fn choices_may_have_a_dimension_of_their_own_and_words_have_starts() {
        let batch = read(&[
            (INPUT_IDS, Dtype::I64, vec![1, 2, 3], i64s(&[1, 2, 3, 4, 5, 6])),
            (WORD_STARTS, Dtype::I64, vec![2, 3], i64s(&[1, 2, 3, 1, 3, 0])),
        ])
        .expect("reads");
        assert_eq!(batch.input_ids.to_vec2::<u32>().expect("ids"), [[1, 2, 3], [4, 5, 6]]);
        assert_eq!(batch.head_inputs.choices, Some(2));
        let words = batch.head_inputs.words.expect("words");
        assert_eq!((words.len(), words.concat()), (2, vec![1..2, 2..3, 1..3]));
    }

    #[test]
    fn inputs_that_can_not_be_are_named() {
        let ids = |values: &[i64], shape: &[usize]| (INPUT_IDS, Dtype::I64, shape.to_vec(), i64s(values));
        let messages = [
            read(&[]),
            read(&[ids(&[1, 9], &[1, 2])]),
            read(&[ids(&[1, -1], &[1, 2])]),
            read(&[ids(&[1, 2], &[2])]),
            read(&[ids(&[1; 5], &[1, 5])]),
            read(&[ids(&[1, 2], &[1, 2]), ("pixel_values", Dtype::U8, vec![1], vec![0])]),
            read(&[ids(&[1, 2], &[1, 2]), (ATTENTION_MASK, Dtype::U8, vec![1], vec![1])]),
            read(&[ids(&[1, 2], &[1, 2]), (WORD_STARTS, Dtype::U8, vec![2, 1], vec![1, 1])]),
            read(&[ids(&[1, 2], &[1, 2]), (WORD_STARTS, Dtype::U8, vec![1, 1], vec![3])]),
            read(&[ids(&[1, 2], &[1, 2]), (WORD_STARTS, Dtype::U8, vec![1, 2], vec![2, 1])]),
            read(&[ids(&[], &[2, 0, 1])]),
        ];
        let messages: Vec<String> = messages.into_iter().map(|m| m.expect_err("refused")).collect();
        insta::assert_snapshot!(messages.join("\n"), @r"
        the input `input_ids` in `in.safetensors` is missing
        the input `input_ids` in `in.safetensors` holds 9; it must lie between 0 and 8
        the input `input_ids` in `in.safetensors` holds -1; it must lie between 0 and 8
        the input `input_ids` in `in.safetensors` has the shape [2]; it must be [batch, tokens] or [batch, choices, tokens]
        the input `input_ids` in `in.safetensors` has the shape [1, 5]; at least one row of 1 to 4 tokens is read
        the input `pixel_values` in `in.safetensors` is none that bert reads: input_ids, attention_mask, token_type_ids, word_starts, task_ids
        the input `attention_mask` in `in.safetensors` has the shape [1], `input_ids` has [1, 2]
        the input `word_starts` in `in.safetensors` has the shape [2, 1]; it must be [1, words], one row for each of `input_ids`
        the input `word_starts` in `in.safetensors` holds 3; it must lie between 0 and 2
        the input `word_starts` in `in.safetensors` has 2 before 1; the starts of a row increase
        the input `input_ids` in `in.safetensors` has the shape [2, 0, 1]; at least one row of 1 to 4 tokens is read
        ");
    }
}
