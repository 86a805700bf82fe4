//! The table of contents: keys, then names, shapes, types and places of tensors.

use std::{collections::BTreeSet, io::Read};

use super::{
    BlockKind, GgufError,
    cursor::Cursor,
    metadata::{Meta, Metadata},
};

/// Most bytes that are read in front of the tensors: a vocabulary of a million long words.
const MAX_HEADER_BYTES: u64 = 256 << 20;
const MAX_DIMS: u32 = 4;
const MAX_ALIGNMENT: u64 = 1 << 20;

/// A tensor as the file lists it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Outermost dimension first.
    pub(super) shape: Vec<usize>,
    pub(super) kind: BlockKind,
    /// First byte, counted from the start of the file.
    pub(super) start: u64,
    /// One past the last byte.
    pub(super) end: u64,
}

/// What stands in front of the weights.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: Metadata,
    pub(super) tensors: Vec<Entry>,
}

impl Header {
    pub(super) fn read(source: impl Read, file_len: u64) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(source, file_len.min(MAX_HEADER_BYTES));
        if cursor.array().ok() != Some(*b"GGUF") {
            return Err(GgufError::NotGguf);
        }
        let version = cursor.u32()?;
        if !(2..=3).contains(&version) {
            return Err(GgufError::Version(version));
        }
        // A name's length, a number of dimensions, a type and an offset.
        let tensors = cursor.count("the number of tensors", 24)?;
        let keys = cursor.count("the number of keys", 12)?;
        let mut metadata = Metadata::new();
        for _ in 0..keys {
            let key = cursor.text()?;
            metadata.insert(key, Meta::read(&mut cursor)?);
        }
        let listed = (0..tensors).map(|_| Listed::read(&mut cursor)).collect::<Result<Vec<_>, _>>()?;
        let alignment = metadata.get("general.alignment").and_then(Meta::count).unwrap_or(32);
        if !alignment.is_power_of_two() || alignment > MAX_ALIGNMENT {
            let reason = format!("is {alignment}, not a power of two of at most {MAX_ALIGNMENT}");
            return Err(GgufError::Key { key: "general.alignment".to_owned(), reason });
        }
        let data = cursor.position().next_multiple_of(alignment);
        let tensors =
            listed.into_iter().map(|entry| entry.placed(data, file_len)).collect::<Result<_, _>>()?;
        let header = Self { metadata, tensors };
        header.check_overlaps()?;
        Ok(header)
    }

    fn check_overlaps(&self) -> Result<(), GgufError> {
        let mut names = BTreeSet::new();
        let mut places: Vec<_> = self.tensors.iter().map(|t| (t.start, t.end, &t.name)).collect();
        places.sort();
        for entry in &self.tensors {
            if !names.insert(&entry.name) {
                return Err(GgufError::Malformed(format!("two tensors are called `{}`", entry.name)));
            }
        }
        match places.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            Some(pair) => {
                Err(GgufError::Malformed(format!("the tensors `{}` and `{}` overlap", pair[0].2, pair[1].2)))
            }
            None => Ok(()),
        }
    }
}

/// A tensor before the place of the data is known.
struct Listed {
    name: String,
    shape: Vec<usize>,
    kind: BlockKind,
    offset: u64,
    bytes: u64,
}

impl Listed {
    fn read(cursor: &mut Cursor<impl Read>) -> Result<Self, GgufError> {
        let name = cursor.text()?;
        let dims = cursor.u32()?;
        if dims == 0 || dims > MAX_DIMS {
            return Err(GgufError::Malformed(format!("the tensor `{name}` has {dims} dimensions")));
        }
        let mut shape = (0..dims).map(|_| cursor.u64()).collect::<Result<Vec<_>, _>>()?;
        let kind = cursor.u32()?;
        let kind = BlockKind::of(kind).ok_or_else(|| GgufError::Kind {
            tensor: name.clone(),
            kind,
            known: BlockKind::KNOWN,
        })?;
        let offset = cursor.u64()?;
        let too_large = || {
            GgufError::Malformed(format!(
                "the dimensions {shape:?} of the tensor `{name}` are too large, or no whole blocks"
            ))
        };
        let bytes = kind.bytes(&shape).ok_or_else(too_large)?;
        let sizes: Option<Vec<usize>> = shape.iter().map(|&n| usize::try_from(n).ok()).collect();
        let sizes = sizes.ok_or_else(too_large)?;
        shape.clear();
        // The file has the innermost dimension first.
        Ok(Self { name, shape: sizes.into_iter().rev().collect(), kind, offset, bytes })
    }

    fn placed(self, data: u64, file_len: u64) -> Result<Entry, GgufError> {
        let start = data.checked_add(self.offset);
        let end = start.and_then(|start| start.checked_add(self.bytes));
        match (start, end) {
            (Some(start), Some(end)) if end <= file_len => {
                Ok(Entry { name: self.name, shape: self.shape, kind: self.kind, start, end })
            }
            _ => Err(GgufError::Malformed(format!(
                "the tensor `{}` ends behind the file, which has {file_len} bytes",
                self.name
            ))),
        }
    }
}
