//! Reading tensors from weights files, by name, with every offset checked first.
//!
//! The format follows from the file's name: `.bin` is what `torch.save` writes (see
//! `pickle`), anything else is safetensors. A name is what a manifest or a layout
//! promises, so content can't choose the laxer reader.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use hub_schemas::layout::{Dtype, TensorHeader, TensorInfo, TensorSpec, WeightsFile, header_len};

use super::{CheckpointError, gguf, pickle};

/// Weights files of which the Python libraries also wrote a pickled kind: the names
/// in `adapters` (`adapters/utils.py` of 1.3.0) and PEFT (`utils/constants.py` of 0.21.2).
const PICKLED: &[(&str, &str)] = &[
    ("adapter.safetensors", "pytorch_adapter.bin"),
    ("model_head.safetensors", "pytorch_model_head.bin"),
    ("model_adapter_fusion.safetensors", "pytorch_model_adapter_fusion.bin"),
    ("adapter_model.safetensors", "adapter_model.bin"),
];

/// What the pickled kind of a weights file is called, where the libraries wrote one.
pub fn pickled_name(name: &str) -> Option<&'static str> {
    PICKLED.iter().find(|(plain, _)| *plain == name).map(|(_, pickled)| *pickled)
}

/// The name under which `dir` holds the weights file that a layout calls `name`: its
/// pickled kind where only that is there.
pub(super) fn stored_name(dir: &Path, name: &'static str) -> &'static str {
    let pickled = pickled_name(name);
    let is_there = |name: &&str| dir.join(name).is_file();
    pickled.filter(|_| !is_there(&name)).filter(is_there).unwrap_or(name)
}

/// Whether a file is pickled, by its name.
pub(super) fn is_pickled(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("bin"))
}

/// A tensor's bytes, little endian, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotData {
    /// Element type.
    pub dtype: Dtype,
    /// Shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// The elements.
    pub bytes: Vec<u8>,
}

impl SlotData {
    /// Packs positions.
    pub fn of_positions(shape: Vec<usize>, positions: &[u32]) -> Self {
        Self { dtype: Dtype::U32, shape, bytes: positions.iter().flat_map(|p| p.to_le_bytes()).collect() }
    }

    /// The same with elements that are positions, whatever a library has kept them as; `None` where one is no
    /// whole number from 0 on.
    fn with_positions(self) -> Option<Self> {
        let bytes = &self.bytes;
        let whole = |value: f32| (value >= 0.0 && value.fract() == 0.0).then_some(i64::from(value as u32));
        let values: Vec<Option<i64>> = match self.dtype {
            Dtype::U8 => bytes.iter().map(|b| Some((*b).into())).collect(),
            Dtype::I8 => bytes.iter().map(|b| Some((*b as i8).into())).collect(),
            Dtype::I16 => bytes.as_chunks().0.iter().map(|b| Some(i16::from_le_bytes(*b).into())).collect(),
            Dtype::I32 => bytes.as_chunks().0.iter().map(|b| Some(i32::from_le_bytes(*b).into())).collect(),
            Dtype::I64 => bytes.as_chunks().0.iter().map(|b| Some(i64::from_le_bytes(*b))).collect(),
            // PEFT on Windows.
            Dtype::F32 => bytes.as_chunks().0.iter().map(|b| whole(f32::from_le_bytes(*b))).collect(),
            _ => return None,
        };
        let positions = values.into_iter().map(|value| u32::try_from(value?).ok());
        Some(Self::of_positions(self.shape.clone(), &positions.collect::<Option<Vec<_>>>()?))
    }

    /// A matrix with rows and columns exchanged; anything else as it is.
    pub(super) fn transposed(&self) -> Self {
        let &[rows, columns] = self.shape.as_slice() else { return self.clone() };
        let size = self.bytes.len() / (rows * columns).max(1);
        let element = |at: usize| &self.bytes[at * size..(at + 1) * size];
        let places = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
        let bytes = places.flat_map(element).copied().collect();
        Self { dtype: self.dtype, shape: vec![columns, rows], bytes }
    }

    /// Whether both hold the same numbers, in whatever precision: each has them exactly.
    pub(super) fn has_numbers_of(&self, other: &Self) -> bool {
        let is_same = || match (self.numbers(), other.numbers()) {
            (Some(own), Some(others)) => own.eq(others),
            _ => false,
        };
        self.shape == other.shape && (self.dtype == other.dtype && self.bytes == other.bytes || is_same())
    }

    /// The elements, where they are floating-point numbers.
    fn numbers(&self) -> Option<Box<dyn Iterator<Item = f64> + '_>> {
        let bytes = &self.bytes;
        Some(match self.dtype {
            Dtype::F64 => Box::new(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b))),
            Dtype::F32 => Box::new(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).into())),
            Dtype::F16 => Box::new(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).into())),
            Dtype::BF16 => Box::new(bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).into())),
            _ => return None,
        })
    }

    /// Packs 32-bit floats.
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> Self {
        Self { dtype: Dtype::F32, shape, bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
    }
}

/// Parts of tensor names in files of `adapter-transformers` 1, and what they are called since.
const OLD_NAMES: [(&str, &str); 5] = [
    ("attention_text_task_adapters", "adapters"),
    ("attention_text_lang_adapters", "adapters"),
    ("layer_text_task_adapters", "adapters"),
    ("layer_text_lang_adapters", "adapters"),
    ("invertible_lang_adapters", "invertible_adapters"),
];

/// A weights file whose table of contents was read and checked: safetensors, or a
/// `.bin` file of PyTorch's.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    /// Its table of contents. Places are for [`read`](Self::read); several tensors of
    /// a `.bin` file can have the same one.
    pub header: TensorHeader,
    /// Tensors that do not lie row-major in the file, by their `start`. None in safetensors.
    views: BTreeMap<u64, pickle::View>,
    /// Quantised tensors, by their `start`: in GGUF files only.
    stored: BTreeMap<u64, gguf::Stored>,
    /// Whether its names were those of LLaMA's class that answers, before they were brought together.
    pub(super) answers: bool,
}

/// The usual name of a tensor or a module below `LlamaForQuestionAnswering.transformer`, and so of Qwen2 and Qwen3.
fn of_answering_llama(name: &str) -> Option<String> {
    const BACKBONE: &str = "transformer.";
    let at = if name.starts_with(BACKBONE) { 0 } else { name.find(".transformer.")? + 1 };
    let (front, rest) = (&name[..at], &name[at + BACKBONE.len()..]);
    let is_whole = front.is_empty() || front == "base_model.model.";
    let is_llama =
        ["layers.", "embed_tokens.", "norm.", "invertible_adapters."].iter().any(|own| rest.starts_with(own));
    (is_whole && is_llama).then(|| format!("{front}model.{rest}"))
}

impl TensorFile {
    /// Reads and checks the table of contents. A `.bin` file that is more than a flat
    /// table of tensors is refused; nothing in it is ever run.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        if is_pickled(path) {
            return Self::open_pickled(path);
        }
        let read = || CheckpointError::read(path);
        let header_error = |source| CheckpointError::Header { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(read())?;
        let file_len = file.metadata().map_err(read())?.len();
        let mut first = Vec::with_capacity(8);
        file.by_ref().take(8).read_to_end(&mut first).map_err(read())?;
        let needed = header_len(&first, file_len).map_err(header_error)?;
        file.take(needed - 8).read_to_end(&mut first).map_err(read())?;
        let header = TensorHeader::parse(&first, file_len).map_err(header_error)?;
        Ok(Self {
            path: path.to_owned(),
            header,
            views: BTreeMap::new(),
            stored: BTreeMap::new(),
            answers: false,
        })
    }

    /// A GGUF file that was opened before.
    pub(super) fn of_gguf(path: &Path, header: TensorHeader, stored: BTreeMap<u64, gguf::Stored>) -> Self {
        Self { path: path.to_owned(), header, views: BTreeMap::new(), stored, answers: false }
    }

    /// Whether numbers lie in the file as they lie in memory.
    pub fn is_plain(&self) -> bool {
        self.views.is_empty() && self.stored.is_empty() && !is_pickled(&self.path)
    }

    /// Whether tensors lie in the file in blocks of a few bits.
    pub fn is_quantised(&self) -> bool {
        !self.stored.is_empty()
    }

    /// Quantised weights where `file`, all bytes of this one, has them: nothing is copied. `None` where they are not
    /// quantised, or their rows stand in another order there.
    pub fn blocks_in(&self, file: &gguf::SharedBytes, info: &TensorInfo) -> Option<gguf::Blocks> {
        self.stored.get(&info.start)?.blocks_in(file, info.start..info.end)
    }

    /// The weights as they lie in the file, where they are quantised.
    pub fn blocks(&self, info: &TensorInfo) -> Result<Option<gguf::Blocks>, CheckpointError> {
        let Some(stored) = self.stored.get(&info.start) else { return Ok(None) };
        let mut bytes = Vec::with_capacity((info.end - info.start) as usize);
        self.stream_raw(info, |piece| bytes.extend_from_slice(piece))?;
        Ok(Some(stored.blocks(bytes)))
    }

    fn open_pickled(path: &Path) -> Result<Self, CheckpointError> {
        let table = pickle::open(path).map_err(|source| match source {
            pickle::PickleError::Io(source) => CheckpointError::read(path)(source),
            source => CheckpointError::Pickled { path: path.to_owned(), source },
        })?;
        Ok(Self {
            path: path.to_owned(),
            header: table.header,
            views: table.views,
            stored: BTreeMap::new(),
            answers: false,
        })
    }

    /// Like [`open`](Self::open), with other names for the same brought together: the first library generation kept
    /// adapters for tasks and for languages apart, and LLaMA's class that answers calls its backbone `transformer`.
    pub(super) fn open_renamed(path: &Path) -> Result<Self, CheckpointError> {
        let mut file = Self::open(path)?;
        // Two names never become one.
        let is_usual =
            |name: &String| ["model.", "base_model.model.model."].iter().any(|at| name.starts_with(at));
        let has_usual = file.header.tensors.keys().any(is_usual);
        // GPT-2 calls its backbone so too, and has other modules.
        let is_own =
            |name: &String| of_answering_llama(name).is_some() && !name.contains(".invertible_adapters.");
        file.answers = file.header.tensors.keys().any(is_own) && !has_usual;
        let answers = file.answers;
        let renamed = std::mem::take(&mut file.header.tensors).into_iter().map(|(name, info)| {
            let name = OLD_NAMES.iter().fold(name, |name, (old, new)| name.replace(old, new));
            (of_answering_llama(&name).filter(|_| answers).unwrap_or(name), info)
        });
        file.header.tensors = renamed.collect();
        Ok(file)
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `take` with consecutive pieces of a tensor's bytes: of the numbers that it stands
    /// for, where it is quantised.
    pub(super) fn stream(
        &self,
        info: &TensorInfo,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), CheckpointError> {
        let Some(blocks) = self.blocks(info)? else { return self.stream_raw(info, take) };
        let (rows, columns) = blocks.dims();
        let mut row = vec![0.0; columns];
        for index in 0..rows {
            blocks.rows(index, &mut row);
            let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
            take(&bytes);
        }
        Ok(())
    }

    fn stream_raw(&self, info: &TensorInfo, mut take: impl FnMut(&[u8])) -> Result<(), CheckpointError> {
        let read = || CheckpointError::read(&self.path);
        let mut file = File::open(&self.path).map_err(read())?;
        if let Some(view) = self.views.get(&info.start) {
            take(&view.gather(&mut file, &info.shape).map_err(read())?);
            return Ok(());
        }
        file.seek(SeekFrom::Start(info.start)).map_err(read())?;
        let mut left = file.take(info.end - info.start);
        let mut buffer = vec![0; (info.end - info.start).min(1 << 20) as usize];
        loop {
            match left.read(&mut buffer).map_err(read())? {
                0 => return Ok(()),
                n => take(&buffer[..n]),
            }
        }
    }

    /// Reads one tensor.
    pub fn read(&self, info: &TensorInfo) -> Result<SlotData, CheckpointError> {
        let mut bytes = Vec::with_capacity((info.end - info.start) as usize);
        self.stream(info, |piece| bytes.extend_from_slice(piece))?;
        Ok(SlotData { dtype: info.dtype, shape: info.shape.clone(), bytes })
    }

    /// Reads every tensor of `layout` into its slot. The caller has checked the fit.
    pub(super) fn read_slots(
        &self,
        layout: &WeightsFile,
    ) -> Result<BTreeMap<String, SlotData>, CheckpointError> {
        let found =
            layout.tensors.iter().filter_map(|spec| Some((spec, self.header.tensors.get(&spec.disk)?)));
        let slot = |(spec, info): (&TensorSpec, &TensorInfo)| {
            let data = self.read(info)?;
            let data = if spec.transposed { data.transposed() } else { data };
            let data = SlotData { shape: spec.slot_shape.clone(), ..data };
            let no_positions =
                || CheckpointError::NoPositions { path: self.path.clone(), tensor: spec.disk.clone() };
            let data = if spec.positions { data.with_positions().ok_or_else(no_positions)? } else { data };
            Ok((spec.slot.clone(), data))
        };
        found.map(slot).collect()
    }
}
