//! The kinds of blocks, by `ggml`'s numbers, and their sizes.

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
    pub(in super::super) const KNOWN: &'static str =
        "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K";

    /// By `ggml`'s number.
    pub(in super::super) const fn of(number: u32) -> Option<Self> {
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
    pub(in super::super) fn bytes(self, dims: &[u64]) -> Option<u64> {
        let (weights, bytes) = self.sizes();
        let row = *dims.first()?;
        if !row.is_multiple_of(weights as u64) {
            return None;
        }
        let rows = dims[1..].iter().try_fold(1_u64, |rows, &n| rows.checked_mul(n))?;
        (row / weights as u64).checked_mul(bytes as u64)?.checked_mul(rows)
    }
}
