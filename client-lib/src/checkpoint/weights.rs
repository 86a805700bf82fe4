//! Reading tensors from safetensors files, by name, with every offset checked first.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use hub_schemas::layout::{Dtype, TensorHeader, TensorInfo, TensorSpec, WeightsFile, header_len};

use super::CheckpointError;

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
    /// Packs 32-bit floats.
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> Self {
        Self { dtype: Dtype::F32, shape, bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
    }
}

/// An open safetensors file whose header was read and checked.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    /// Its table of contents.
    pub header: TensorHeader,
}

impl TensorFile {
    /// Reads and checks the header.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let read = || CheckpointError::read(path);
        let header_error = |source| CheckpointError::Header { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(read())?;
        let file_len = file.metadata().map_err(read())?.len();
        let mut first = Vec::with_capacity(8);
        file.by_ref().take(8).read_to_end(&mut first).map_err(read())?;
        let needed = header_len(&first, file_len).map_err(header_error)?;
        file.take(needed - 8).read_to_end(&mut first).map_err(read())?;
        let header = TensorHeader::parse(&first, file_len).map_err(header_error)?;
        Ok(Self { path: path.to_owned(), header })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `take` with consecutive pieces of a tensor's bytes.
    pub(super) fn stream(
        &self,
        info: &TensorInfo,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), CheckpointError> {
        let read = || CheckpointError::read(&self.path);
        let mut file = File::open(&self.path).map_err(read())?;
        file.seek(SeekFrom::Start(info.start)).map_err(read())?;
        let mut left = file.take(info.end - info.start);
        let mut buffer = vec![0; 1 << 20];
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
            Ok((spec.slot.clone(), SlotData { shape: spec.slot_shape.clone(), ..self.read(info)? }))
        };
        found.map(slot).collect()
    }
}
