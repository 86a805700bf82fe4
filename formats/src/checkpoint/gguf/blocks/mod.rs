//! Weights in blocks that share a scale, and the numbers they stand for.
//!
//! A block of 32 weights has a scale `d` in half precision, and a minimum `m` in the kinds that
//! end with `_1`: `w = d · q + m`, or `w = d · (q − offset)`. The kinds that end with `_K` put eight
//! or sixteen such blocks together and store their scales in 6 or 8 bits. The layouts are those of
//! `ggml` (`ggml-common.h`, `ggml-quants.c`).

mod bytes;
#[cfg(feature = "products")]
mod dots;
mod kind;
mod parts;

use std::ops::Range;

use self::bytes::Bytes;
pub use self::{bytes::SharedBytes, kind::BlockKind};
use super::GgufError;

/// How a tensor lies in its file.
#[derive(Debug, Clone, Copy)]
pub(in crate::checkpoint) struct Stored {
    kind: BlockKind,
    rows: usize,
    columns: usize,
    /// Heads whose rows stand in pairs, as interleaved rotations need them.
    turned_heads: Option<usize>,
}

impl Stored {
    pub(super) fn new(
        kind: BlockKind,
        shape: &[usize],
        turned_heads: Option<usize>,
        name: &str,
    ) -> Result<Self, GgufError> {
        let columns = shape.last().copied().unwrap_or(1);
        let rows: usize = shape.iter().rev().skip(1).product();
        // Of no rows, or of more heads than rows, there would be halves of nothing without end.
        let divides =
            |heads: usize| rows > 0 && heads.checked_mul(2).is_some_and(|halves| rows.is_multiple_of(halves));
        if turned_heads.is_some_and(|heads| !divides(heads)) {
            return Err(GgufError::Malformed(format!(
                "`{name}` of {rows} rows can't be divided into its heads"
            )));
        }
        Ok(Self { kind, rows, columns, turned_heads })
    }

    /// The tensor where these bytes of `file` have it; `None` where its rows stand in another order there.
    pub(in crate::checkpoint) fn blocks_in(&self, file: &SharedBytes, range: Range<u64>) -> Option<Blocks> {
        let &Self { kind, rows, columns, turned_heads } = self;
        let bytes = Bytes::of(file, range).filter(|_| turned_heads.is_none())?;
        Some(Blocks { kind, rows, columns, bytes })
    }

    /// The tensor's bytes with its rows in the order of `transformers`.
    pub(in crate::checkpoint) fn blocks(&self, bytes: Vec<u8>) -> Blocks {
        let &Self { kind, rows, columns, turned_heads } = self;
        let Some(heads) = turned_heads else {
            return Blocks { kind, rows, columns, bytes: Bytes::Own(bytes) };
        };
        let (weights, size) = kind.sizes();
        let row = columns / weights * size;
        let half = rows / heads / 2;
        let mut turned = Vec::with_capacity(bytes.len());
        for head in 0..heads {
            for part in 0..2 {
                for i in 0..half {
                    let from = (head * half * 2 + i * 2 + part) * row;
                    turned.extend_from_slice(&bytes[from..from + row]);
                }
            }
        }
        Blocks { kind, rows, columns, bytes: Bytes::Own(turned) }
    }
}

/// A matrix `[rows, columns]` of quantised weights.
#[derive(Clone)]
pub struct Blocks {
    kind: BlockKind,
    rows: usize,
    columns: usize,
    bytes: Bytes,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} [{}, {}]", self.kind, self.rows, self.columns)
    }
}

impl Blocks {
    /// Rows of blocks one behind the other; `None` where there are more or fewer bytes.
    pub fn new(kind: BlockKind, (rows, columns): (usize, usize), bytes: Vec<u8>) -> Option<Self> {
        let is_whole = kind.bytes(&[columns as u64, rows as u64]) == Some(bytes.len() as u64);
        is_whole.then_some(Self { kind, rows, columns, bytes: Bytes::Own(bytes) })
    }

    /// Rows of blocks where these bytes of a file have them; `None` where it has more or fewer bytes there.
    pub fn shared(
        kind: BlockKind,
        (rows, columns): (usize, usize),
        file: &SharedBytes,
        range: Range<u64>,
    ) -> Option<Self> {
        let length = range.end.checked_sub(range.start)?;
        let is_whole = kind.bytes(&[columns as u64, rows as u64]) == Some(length);
        let bytes = Bytes::of(file, range).filter(|_| is_whole)?;
        Some(Self { kind, rows, columns, bytes })
    }

    /// How they are stored.
    pub const fn kind(&self) -> BlockKind {
        self.kind
    }

    /// Rows and columns.
    pub const fn dims(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    const fn row_bytes(&self) -> usize {
        let (weights, size) = self.kind.sizes();
        self.columns / weights * size
    }

    /// The numbers of rows `first ..`, as many as fill `out`.
    pub fn rows(&self, first: usize, out: &mut [f32]) {
        let row = self.row_bytes();
        let count = out.len() / self.columns.max(1);
        self.kind.dequantise(&self.bytes.get()[first * row..(first + count) * row], out);
    }

    /// All numbers, row-major.
    pub fn to_vec(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.rows * self.columns];
        self.rows(0, &mut out);
        out
    }
}
