//! Weights in blocks that share a scale, and the numbers they stand for.
//!
//! A block of 32 weights has a scale `d` in half precision, and a minimum `m` in the kinds that
//! end with `_1`: `w = d · q + m`, or `w = d · (q − offset)`. The kinds that end with `_K` put eight
//! or sixteen such blocks together and store their scales in 6 or 8 bits. The layouts are those of
//! `ggml` (`ggml-common.h`, `ggml-quants.c`).

#![expect(clippy::inline_always, reason = "a loop is vectorised only when what it calls is inlined")]

use half::bf16;

use super::GgufError;

/// Weights in a `_K` block.
const SUPER: usize = 256;

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// 4 bits and a scale.
    Q4_0,
    /// 4 bits, a scale and a minimum.
    Q4_1,
    /// 5 bits and a scale.
    Q5_0,
    /// 5 bits, a scale and a minimum.
    Q5_1,
    /// 8 bits and a scale.
    Q8_0,
    /// 4 bits, scales and minima in 6 bits.
    Q4K,
    /// 5 bits, scales and minima in 6 bits.
    Q5K,
    /// 6 bits, scales in 8 bits.
    Q6K,
}

impl BlockKind {
    /// The names of all, as messages have them.
    pub(super) const KNOWN: &'static str =
        "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K";

    /// By `ggml`'s number.
    pub(super) const fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Weights in a block, and its bytes.
    pub const fn sizes(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q4K => (SUPER, 144),
            Self::Q5K => (SUPER, 176),
            Self::Q6K => (SUPER, 210),
        }
    }

    /// Bytes of a tensor with its innermost dimension first; `None` where rows are no whole
    /// blocks or the number is too large.
    pub(super) fn bytes(self, dims: &[u64]) -> Option<u64> {
        let (weights, bytes) = self.sizes();
        let row = *dims.first()?;
        if !row.is_multiple_of(weights as u64) {
            return None;
        }
        let rows = dims[1..].iter().try_fold(1_u64, |rows, &n| rows.checked_mul(n))?;
        (row / weights as u64).checked_mul(bytes as u64)?.checked_mul(rows)
    }

    /// The numbers that whole blocks stand for. `out` has room for exactly those.
    pub fn dequantise(self, bytes: &[u8], out: &mut [f32]) {
        vectorised(
            #[inline(always)]
            || self.restore(bytes, out),
        );
    }

    #[inline(always)]
    fn restore(self, bytes: &[u8], out: &mut [f32]) {
        let (weights, size) = self.sizes();
        for (block, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(weights)) {
            match self {
                Self::F32 => out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]),
                Self::F16 => out[0] = half(block),
                Self::Bf16 => out[0] = bf16::from_le_bytes([block[0], block[1]]).to_f32(),
                Self::Q4_0 => nibbles(&block[2..], out, |q| (f32::from(q) - 8.0) * half(block)),
                Self::Q4_1 => {
                    let (d, m) = (half(block), half(&block[2..]));
                    nibbles(&block[4..], out, |q| f32::from(q) * d + m);
                }
                Self::Q5_0 => {
                    let d = half(block);
                    with_fifth_bit(&block[2..], out, |q| (f32::from(q) - 16.0) * d);
                }
                Self::Q5_1 => {
                    let (d, m) = (half(block), half(&block[2..]));
                    with_fifth_bit(&block[4..], out, |q| f32::from(q) * d + m);
                }
                Self::Q8_0 => {
                    let d = half(block);
                    out.iter_mut().zip(&block[2..]).for_each(|(w, &q)| *w = f32::from(q.cast_signed()) * d);
                }
                Self::Q4K => q4k(block, out),
                Self::Q5K => q5k(block, out),
                Self::Q6K => q6k(block, out),
            }
        }
    }
}

/// Runs a loop compiled for the widest vectors this CPU has.
#[cfg(feature = "stitch")]
fn vectorised(work: impl FnOnce()) {
    pulp::Arch::new().dispatch(work);
}

/// Without numerics there is nothing that would wait for it.
#[cfg(not(feature = "stitch"))]
fn vectorised(work: impl FnOnce()) {
    work();
}

/// A number in half precision, without a look at what the CPU has for that: 2^112 is what the
/// exponents of both precisions differ by.
#[inline(always)]
fn half(bytes: &[u8]) -> f32 {
    let bits = u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    let (sign, magnitude) = ((bits & 0x8000) << 16, (bits & 0x7fff) << 13);
    let value = if magnitude >= 0x0f80_0000 {
        f32::from_bits(magnitude | 0x7f80_0000)
    } else {
        f32::from_bits(magnitude) * f32::from_bits(0x7780_0000)
    };
    f32::from_bits(value.to_bits() | sign)
}

/// Low halves of 16 bytes, then their high halves.
#[inline(always)]
fn nibbles(bytes: &[u8], out: &mut [f32], weight: impl Fn(u8) -> f32) {
    let (low, high) = out.split_at_mut(16);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
        (*low, *high) = (weight(byte & 15), weight(byte >> 4));
    }
}

/// The same with a fifth bit of each in 4 bytes in front.
#[inline(always)]
fn with_fifth_bit(bytes: &[u8], out: &mut [f32], weight: impl Fn(u8) -> f32) {
    let fifth = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let bit = |index: usize| u8::from(fifth >> index & 1 == 1) << 4;
    let (low, high) = out.split_at_mut(16);
    for (i, ((low, high), byte)) in low.iter_mut().zip(high).zip(&bytes[4..]).enumerate() {
        (*low, *high) = (weight(byte & 15 | bit(i)), weight(byte >> 4 | bit(i + 16)));
    }
}

/// The `index`-th scale and minimum of eight, 6 bits each in 12 bytes.
#[inline(always)]
fn scale_and_minimum(bytes: &[u8], index: usize) -> (f32, f32) {
    let (scale, minimum) = if index < 4 {
        (bytes[index] & 63, bytes[index + 4] & 63)
    } else {
        (bytes[index + 4] & 15 | bytes[index - 4] >> 6 << 4, bytes[index + 4] >> 4 | bytes[index] >> 6 << 4)
    };
    (f32::from(scale), f32::from(minimum))
}

#[inline(always)]
fn q4k(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half(block), half(&block[2..]));
    let scales = &block[4..16];
    for (i, (bytes, out)) in block[16..].chunks_exact(32).zip(out.chunks_exact_mut(64)).enumerate() {
        let (low, high) = out.split_at_mut(32);
        let ((s1, m1), (s2, m2)) = (scale_and_minimum(scales, 2 * i), scale_and_minimum(scales, 2 * i + 1));
        for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
            *low = d * s1 * f32::from(byte & 15) - m * m1;
            *high = d * s2 * f32::from(byte >> 4) - m * m2;
        }
    }
}

#[inline(always)]
fn q5k(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half(block), half(&block[2..]));
    let (scales, fifth) = (&block[4..16], &block[16..48]);
    for (i, (bytes, out)) in block[48..].chunks_exact(32).zip(out.chunks_exact_mut(64)).enumerate() {
        let (low, high) = out.split_at_mut(32);
        let ((s1, m1), (s2, m2)) = (scale_and_minimum(scales, 2 * i), scale_and_minimum(scales, 2 * i + 1));
        for (((low, high), byte), fifth) in low.iter_mut().zip(high).zip(bytes).zip(fifth) {
            let bit = |place: usize| (fifth >> place & 1) << 4;
            *low = d * s1 * f32::from(byte & 15 | bit(2 * i)) - m * m1;
            *high = d * s2 * f32::from(byte >> 4 | bit(2 * i + 1)) - m * m2;
        }
    }
}

#[inline(always)]
fn q6k(block: &[u8], out: &mut [f32]) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, d) = (&rest[..16], half(&rest[16..]));
    for (n, out) in out.chunks_exact_mut(128).enumerate() {
        let (low, high, scales) = (&low[64 * n..], &high[32 * n..], &scales[8 * n..]);
        for l in 0..32 {
            let parts = [low[l] & 15, low[l + 32] & 15, low[l] >> 4, low[l + 32] >> 4];
            for (k, part) in parts.into_iter().enumerate() {
                let q = f32::from(part | (high[l] >> (2 * k) & 3) << 4) - 32.0;
                let scale = f32::from(scales[l / 16 + 2 * k].cast_signed());
                out[l + 32 * k] = d * scale * q;
            }
        }
    }
}

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
        if turned_heads.is_some_and(|heads| heads == 0 || !rows.is_multiple_of(2 * heads)) {
            return Err(GgufError::Malformed(format!(
                "`{name}` of {rows} rows can't be divided into its heads"
            )));
        }
        Ok(Self { kind, rows, columns, turned_heads })
    }

    /// The tensor's bytes with its rows in the order of `transformers`.
    pub(in crate::checkpoint) fn blocks(&self, bytes: Vec<u8>) -> Blocks {
        let &Self { kind, rows, columns, turned_heads } = self;
        let Some(heads) = turned_heads else { return Blocks { kind, rows, columns, bytes } };
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
        Blocks { kind, rows, columns, bytes: turned }
    }
}

/// A matrix `[rows, columns]` of quantised weights.
#[derive(Clone)]
pub struct Blocks {
    kind: BlockKind,
    rows: usize,
    columns: usize,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} [{}, {}]", self.kind, self.rows, self.columns)
    }
}

impl Blocks {
    /// How they are stored.
    pub const fn kind(&self) -> BlockKind {
        self.kind
    }

    /// Rows and columns.
    pub const fn dims(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The numbers of rows `first ..`, as many as fill `out`.
    pub fn rows(&self, first: usize, out: &mut [f32]) {
        let (weights, size) = self.kind.sizes();
        let row = self.columns / weights * size;
        let count = out.len() / self.columns.max(1);
        self.kind.dequantise(&self.bytes[first * row..(first + count) * row], out);
    }

    /// All numbers, row-major.
    pub fn to_vec(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.rows * self.columns];
        self.rows(0, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::half;

    #[test]
    fn every_half_is_what_the_library_for_halves_says() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (half(&bits.to_le_bytes()), f16::from_bits(bits).to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{bits:#x}");
        }
    }
}
