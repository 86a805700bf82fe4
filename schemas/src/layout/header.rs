//! Reading the header of a safetensors file that nobody vouches for.
//!
//! The format is 8 bytes of little-endian header length, a JSON header, then the
//! data. Everything is bounded before anything is allocated.

use std::collections::BTreeMap;

pub use safetensors::Dtype;
use safetensors::tensor::Metadata;

/// Largest header that is read, in bytes. A thousand-tensor adapter has some 120 kB.
pub const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Why the bytes are not a safetensors file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer bytes than the header needs.
    #[error("it ends inside its header: {found} bytes, at least {needed} expected")]
    Truncated {
        /// Bytes there are.
        found: u64,
        /// Bytes there must be.
        needed: u64,
    },
    /// The first eight bytes are no plausible length. A pickle looks like this.
    #[error("its first bytes are not a safetensors header length (they say {0} bytes)")]
    NotSafetensors(u64),
    /// The header is not what the format prescribes.
    #[error("its header is malformed: {0}")]
    Malformed(String),
    /// The data part is shorter or longer than the header says.
    #[error("it has {found} bytes, but its header describes {expected}")]
    Length {
        /// Size of the file.
        found: u64,
        /// Size that the header describes.
        expected: u64,
    },
}

/// Where a tensor lies and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Element type.
    pub dtype: Dtype,
    /// Shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// First byte, counted from the start of the file.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl TensorInfo {
    /// Whether the elements are F64, F32, F16 or BF16.
    pub const fn is_float(&self) -> bool {
        matches!(self.dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }

    /// Whether the elements are whole numbers of a width that PyTorch has.
    pub const fn is_whole(&self) -> bool {
        matches!(self.dtype, Dtype::U8 | Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64)
    }
}

/// The table of contents of a safetensors file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorHeader {
    /// Every tensor by name.
    pub tensors: BTreeMap<String, TensorInfo>,
    /// The free-form `__metadata__`.
    pub metadata: BTreeMap<String, String>,
}

/// How many bytes, the first eight included, hold the header of a file of `file_len` bytes.
pub fn header_len(first: &[u8], file_len: u64) -> Result<u64, HeaderError> {
    let Some(length) = first.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)) else {
        return Err(HeaderError::Truncated { found: file_len, needed: 8 });
    };
    if !(2..=MAX_HEADER_BYTES).contains(&length) {
        return Err(HeaderError::NotSafetensors(length));
    }
    let needed = length + 8;
    if needed > file_len { Err(HeaderError::Truncated { found: file_len, needed }) } else { Ok(needed) }
}

impl TensorHeader {
    /// Parses the first [`header_len`] bytes of a file of `file_len` bytes.
    pub fn parse(bytes: &[u8], file_len: u64) -> Result<Self, HeaderError> {
        let data_start = header_len(bytes, file_len)?;
        if (bytes.len() as u64) < data_start {
            return Err(HeaderError::Truncated { found: bytes.len() as u64, needed: data_start });
        }
        // Not `SafeTensors::read_metadata`: it wants the whole file in memory.
        let json = bytes.get(8..data_start as usize).unwrap_or_default();
        let header: Metadata =
            serde_json::from_slice(json).map_err(|e| HeaderError::Malformed(e.to_string()))?;
        let expected = data_start + header.data_len() as u64;
        if expected != file_len {
            return Err(HeaderError::Length { found: file_len, expected });
        }
        let tensors = header.tensors().into_iter().map(|(name, info)| {
            let (start, end) = info.data_offsets;
            let entry = TensorInfo {
                dtype: info.dtype,
                shape: info.shape.clone(),
                start: data_start + start as u64,
                end: data_start + end as u64,
            };
            (name, entry)
        });
        let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(Self { tensors: tensors.collect(), metadata })
    }
}
