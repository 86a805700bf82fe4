//! From what a pickle claims about tensors to places in the file, each of them checked.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use hub_schemas::layout::{Dtype, TensorHeader, TensorInfo};

use super::{
    PickleError, View,
    error::shown,
    heap::{Storage, Tensor},
};

/// Most dimensions; PyTorch's own operations stop at 64.
const MAX_DIMS: usize = 64;
/// Most bytes that may have to be read to gather all tensors that are not row-major,
/// as a multiple of the file's size. Transposed weights need 1.
const MAX_GATHERED: u64 = 64;

/// The table of contents of a pickled file.
#[derive(Debug)]
pub(in crate::checkpoint) struct Table {
    /// Every tensor by name. A row-major tensor's `start` and `end` are its place in
    /// the file; any other's lie beyond the file's end and stand for its view.
    pub(in crate::checkpoint) header: TensorHeader,
    /// How tensors that are not row-major are gathered, by their `start`.
    pub(in crate::checkpoint) views: BTreeMap<u64, View>,
}

/// Bytes per element of a type that PyTorch has a storage for.
pub(super) fn element_size(dtype: Dtype) -> u64 {
    dtype.bitsize() as u64 / 8
}

/// Checks every tensor against its storage. `place` says where the bytes of a storage
/// lie in the file of `len` bytes.
pub(super) fn build<'a>(
    tensors: &BTreeMap<&'a str, &Tensor<'a>>,
    len: u64,
    mut place: impl FnMut(&Storage<'a>) -> Result<Range<u64>, PickleError>,
) -> Result<Table, PickleError> {
    let mut placed: HashMap<&str, (Storage<'a>, u64)> = HashMap::new();
    let mut table = Table {
        header: TensorHeader { tensors: BTreeMap::new(), metadata: BTreeMap::new() },
        views: BTreeMap::new(),
    };
    let (mut beyond, mut gathered) = (len, 0_u64);
    for (name, tensor) in tensors {
        let wrong = |reason: String| PickleError::Tensor { name: shown(name), reason };
        let storage = tensor.storage;
        let span = Span::of(tensor).map_err(wrong)?;
        let start = match placed.get(storage.key) {
            // An empty storage has no data, and nothing reads it.
            _ if storage.len == 0 => 0,
            Some((other, _)) if other.dtype != storage.dtype || other.len != storage.len => {
                return Err(wrong(format!("disagrees with another on its storage `{}`", shown(storage.key))));
            }
            Some((_, start)) => *start,
            None => {
                let found = place(&storage)?;
                let bytes = found.end - found.start;
                if storage.len.checked_mul(element_size(storage.dtype)) != Some(bytes) {
                    let Storage { len, dtype, .. } = storage;
                    return Err(wrong(format!(
                        "has a storage of {len} {dtype:?}, but {bytes} bytes are there"
                    )));
                }
                placed.insert(storage.key, (storage, found.start));
                found.start
            }
        };
        let first = start + span.first_byte;
        let shape: Vec<usize> = tensor.shape.iter().map(|n| *n as usize).collect();
        let mut info = TensorInfo { dtype: storage.dtype, shape, start: first, end: first + span.bytes };
        if !span.is_row_major {
            gathered = gathered.saturating_add(span.spanned_bytes);
            if gathered > len.saturating_mul(MAX_GATHERED) {
                return Err(wrong(format!(
                    "and others are views that need more than {MAX_GATHERED} times the file to be gathered"
                )));
            }
            (info.start, info.end) = (beyond, beyond + span.bytes);
            beyond = info.end;
            let strides = tensor.strides.iter().map(|n| *n as usize).collect();
            let element = element_size(storage.dtype) as usize;
            let view = View { start: first, spanned: span.spanned_bytes as usize, strides, element };
            table.views.insert(info.start, view);
        }
        table.header.tensors.insert((*name).to_owned(), info);
    }
    Ok(table)
}

/// The part of its storage that a tensor looks at.
struct Span {
    /// First byte, from the start of the storage.
    first_byte: u64,
    /// Bytes up to the last element, whatever lies between.
    spanned_bytes: u64,
    /// Bytes of its own elements.
    bytes: u64,
    /// Whether the elements lie in the order of the indices, without gaps.
    is_row_major: bool,
}

impl Span {
    /// The reason of a refusal is the end of a sentence about the tensor.
    fn of(tensor: &Tensor<'_>) -> Result<Self, String> {
        let Tensor { storage, offset, shape, strides } = tensor;
        if shape.len() != strides.len() || shape.len() > MAX_DIMS {
            let (dims, strides) = (shape.len(), strides.len());
            return Err(format!("has {dims} dimensions and {strides} strides; at most {MAX_DIMS} are read"));
        }
        let beyond = || {
            let (dtype, len) = (storage.dtype, storage.len);
            format!(
                "(offset {offset}, shape {shape:?}, strides {strides:?}) does not fit its storage of {len} {dtype:?}"
            )
        };
        // Dimensions of length 0 are left out, so that no later product can overflow either.
        let product =
            |sizes: &[u64]| sizes.iter().filter(|n| **n > 0).try_fold(1_u64, |all, n| all.checked_mul(*n));
        let outer = product(shape).filter(|all| isize::try_from(*all).is_ok()).ok_or_else(beyond)?;
        let elements = if shape.contains(&0) { 0 } else { outer };
        let steps = shape.iter().zip(strides).try_fold(*offset, |last, (length, stride)| {
            last.checked_add(length.saturating_sub(1).checked_mul(*stride)?)
        });
        // A view with more elements than its storage repeats some: a few bytes could claim terabytes.
        let fits = |last: &u64| *last < storage.len && elements <= storage.len;
        let last = match steps.filter(fits) {
            Some(last) => last,
            None if elements == 0 => *offset,
            None => return Err(beyond()),
        };
        let element = element_size(storage.dtype);
        let bytes = |count: u64| count.checked_mul(element).ok_or_else(beyond);
        let mut dense = 1;
        let is_row_major = shape.iter().zip(strides).rev().all(|(length, stride)| {
            let follows = *length == 1 || *stride == dense;
            dense *= length;
            follows
        });
        Ok(Self {
            first_byte: if elements == 0 { 0 } else { bytes(*offset)? },
            spanned_bytes: bytes((last - offset).saturating_add(1))?,
            bytes: bytes(elements)?,
            is_row_major: is_row_major || elements == 0,
        })
    }
}
