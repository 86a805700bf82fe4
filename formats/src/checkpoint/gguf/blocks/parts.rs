//! What the bytes of a block say, 32 weights at a time.

#![expect(clippy::inline_always, reason = "a loop is vectorised only when what it calls is inlined")]

use half::bf16;
#[cfg(feature = "products")]
use hub_kernels::vectorised;

use super::BlockKind;

/// Weights of a part.
pub(super) const PART: usize = 32;

/// Weights `w = d · q + m`, the first and the second half with a scale `d` each.
pub(super) struct Part {
    pub(super) q: [f32; PART],
    pub(super) d: [f32; 2],
    pub(super) m: f32,
}

impl Part {
    /// Weights from zero on, with a minimum.
    #[inline(always)]
    fn new(d: f32, m: f32, weights: &[u8; PART]) -> Self {
        let mut q = [0.0; PART];
        q.iter_mut().zip(weights).for_each(|(q, &weight)| *q = f32::from(weight));
        Self { q, d: [d; 2], m }
    }

    /// Weights around `zero`.
    #[inline(always)]
    fn around(zero: i8, d: [f32; 2], weights: &[u8; PART]) -> Self {
        let mut q = [0.0; PART];
        let signed = |weight: u8| f32::from(weight.cast_signed().wrapping_sub(zero));
        q.iter_mut().zip(weights).for_each(|(q, &weight)| *q = signed(weight));
        Self { q, d, m: 0.0 }
    }
}

impl BlockKind {
    /// The numbers that whole blocks stand for. `out` has room for exactly those.
    pub fn dequantise(self, bytes: &[u8], out: &mut [f32]) {
        vectorised(
            #[inline(always)]
            || self.restore(bytes, out),
        );
    }

    #[inline(always)]
    fn restore(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::F32 => numbers(bytes, out, f32::from_le_bytes),
            Self::F16 => numbers(bytes, out, |two: [u8; 2]| half(&two)),
            Self::Bf16 => numbers(bytes, out, |two| bf16::from_le_bytes(two).to_f32()),
            _ => self.known(
                #[inline(always)]
                |kind| kind.restore_parts(bytes, out),
            ),
        }
    }

    /// Calls `work` with this kind as a constant, which makes a loop of its own for each: a choice in the middle of one
    /// would be made at every block. Not for numbers that stand for themselves.
    #[inline(always)]
    pub(super) fn known(self, work: impl FnOnce(Self)) {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => {}
            Self::Q4_0 => work(Self::Q4_0),
            Self::Q4_1 => work(Self::Q4_1),
            Self::Q5_0 => work(Self::Q5_0),
            Self::Q5_1 => work(Self::Q5_1),
            Self::Q8_0 => work(Self::Q8_0),
            Self::Q4K => work(Self::Q4K),
            Self::Q5K => work(Self::Q5K),
            Self::Q6K => work(Self::Q6K),
        }
    }

    #[inline(always)]
    fn restore_parts(self, bytes: &[u8], out: &mut [f32]) {
        let (weights, size) = self.sizes();
        for (block, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(weights)) {
            self.parts(
                block,
                #[inline(always)]
                |at, part| {
                    let out = &mut out[at * PART..(at + 1) * PART];
                    for (half, d) in part.d.into_iter().enumerate() {
                        let own = half * PART / 2..(half + 1) * PART / 2;
                        out[own.clone()].iter_mut().zip(&part.q[own]).for_each(|(w, q)| *w = q * d + part.m);
                    }
                },
            );
        }
    }

    /// Calls `take` with the place and the weights of every part of a block; numbers that stand for themselves have
    /// none.
    #[inline(always)]
    pub(super) fn parts(self, block: &[u8], mut take: impl FnMut(usize, Part)) {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => {}
            Self::Q4_0 => take(0, Part::around(8, [half(block); 2], &nibbles(&block[2..]))),
            Self::Q4_1 => take(0, Part::new(half(block), half(&block[2..]), &nibbles(&block[4..]))),
            Self::Q5_0 => {
                let weights = with_fifth_bit(nibbles(&block[6..]), four(&block[2..]));
                take(0, Part::around(16, [half(block); 2], &weights));
            }
            Self::Q5_1 => {
                let weights = with_fifth_bit(nibbles(&block[8..]), four(&block[4..]));
                take(0, Part::new(half(block), half(&block[2..]), &weights));
            }
            Self::Q8_0 => take(0, Part::around(0, [half(block); 2], &bytes(&block[2..], |byte| byte))),
            Self::Q4K => q4k(block, take),
            Self::Q5K => q5k(block, take),
            Self::Q6K => q6k(block, take),
        }
    }
}

/// Without numerics there is nothing that would wait for it.
#[cfg(not(feature = "products"))]
fn vectorised(mut work: impl FnMut()) {
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

/// Numbers that stand for themselves.
#[inline(always)]
fn numbers<const N: usize>(bytes: &[u8], out: &mut [f32], number: impl Fn([u8; N]) -> f32) {
    out.iter_mut().zip(bytes.as_chunks::<N>().0).for_each(|(out, &bytes)| *out = number(bytes));
}

// Loops over arrays of a known size, whole steps one after the other: these become vectors wherever they are inlined.

/// Something of the first 32 bytes.
#[inline(always)]
fn bytes(from: &[u8], of: impl Fn(u8) -> u8) -> [u8; PART] {
    let mut all = [0; PART];
    all.iter_mut().zip(&from[..PART]).for_each(|(to, &byte)| *to = of(byte));
    all
}

/// Weights of four bits: low halves of 16 bytes, then their high halves.
#[inline(always)]
fn nibbles(from: &[u8]) -> [u8; PART] {
    let mut all = [0; PART];
    let (low, high) = all.split_at_mut(PART / 2);
    low.iter_mut().zip(&from[..PART / 2]).for_each(|(low, byte)| *low = byte & 15);
    high.iter_mut().zip(&from[..PART / 2]).for_each(|(high, byte)| *high = byte >> 4);
    all
}

/// Thirty-two bits.
#[inline(always)]
fn four(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Each with a bit of its own in front.
#[inline(always)]
fn with_fifth_bit(mut weights: [u8; PART], bits: u32) -> [u8; PART] {
    let bit = |i: usize| ((bits >> i & 1) << 4) as u8;
    weights.iter_mut().enumerate().for_each(|(i, weight)| *weight |= bit(i));
    weights
}

/// Each with the bits of another one.
#[inline(always)]
fn joined(mut weights: [u8; PART], more: &[u8; PART]) -> [u8; PART] {
    weights.iter_mut().zip(more).for_each(|(weight, more)| *weight |= more);
    weights
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
fn q4k(block: &[u8], mut take: impl FnMut(usize, Part)) {
    let (d, m) = (half(block), half(&block[2..]));
    for (i, four) in block[16..].as_chunks::<PART>().0.iter().enumerate() {
        let ((s1, m1), (s2, m2)) =
            (scale_and_minimum(&block[4..16], 2 * i), scale_and_minimum(&block[4..16], 2 * i + 1));
        take(2 * i, Part::new(d * s1, -(m * m1), &bytes(four, |byte| byte & 15)));
        take(2 * i + 1, Part::new(d * s2, -(m * m2), &bytes(four, |byte| byte >> 4)));
    }
}

#[inline(always)]
fn q5k(block: &[u8], mut take: impl FnMut(usize, Part)) {
    let (d, m) = (half(block), half(&block[2..]));
    let fifth = &block[16..48];
    for (i, four) in block[48..].as_chunks::<PART>().0.iter().enumerate() {
        let ((s1, m1), (s2, m2)) =
            (scale_and_minimum(&block[4..16], 2 * i), scale_and_minimum(&block[4..16], 2 * i + 1));
        let bit = |place: usize| bytes(fifth, |byte| (byte >> place & 1) << 4);
        take(2 * i, Part::new(d * s1, -(m * m1), &joined(bytes(four, |byte| byte & 15), &bit(2 * i))));
        take(
            2 * i + 1,
            Part::new(d * s2, -(m * m2), &joined(bytes(four, |byte| byte >> 4), &bit(2 * i + 1))),
        );
    }
}

#[inline(always)]
fn q6k(block: &[u8], mut take: impl FnMut(usize, Part)) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, d) = (&rest[..16], half(&rest[16..]));
    for n in 0..2 {
        let (low, high, scales) = (&low[64 * n..][..64], &high[32 * n..][..32], &scales[8 * n..][..8]);
        for k in 0..4 {
            let four = bytes(&low[PART * (k % 2)..], |byte| byte >> (4 * (k / 2)) & 15);
            let weights = joined(four, &bytes(high, |byte| (byte >> (2 * k) & 3) << 4));
            let scale = |half: usize| d * f32::from(scales[2 * k + half].cast_signed());
            take(4 * n + k, Part::around(32, [scale(0), scale(1)], &weights));
        }
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
