//! What the bytes of a block say, 32 weights at a time.

#![expect(clippy::inline_always, reason = "a loop is vectorised only when what it calls is inlined")]

use half::bf16;

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
    #[inline(always)]
    fn new(d: f32, m: f32, q: impl Fn(usize) -> u8) -> Self {
        Self { q: std::array::from_fn(|i| f32::from(q(i))), d: [d; 2], m }
    }

    #[inline(always)]
    fn signed(d: [f32; 2], q: impl Fn(usize) -> i8) -> Self {
        Self { q: std::array::from_fn(|i| f32::from(q(i))), d, m: 0.0 }
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
        let (weights, size) = self.sizes();
        for (block, out) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(weights)) {
            match self {
                Self::F32 => out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]),
                Self::F16 => out[0] = half(block),
                Self::Bf16 => out[0] = bf16::from_le_bytes([block[0], block[1]]).to_f32(),
                _ => self.parts(
                    block,
                    #[inline(always)]
                    |at, part| {
                        let out = &mut out[at * PART..(at + 1) * PART];
                        for (half, d) in part.d.into_iter().enumerate() {
                            let own = half * PART / 2..(half + 1) * PART / 2;
                            out[own.clone()]
                                .iter_mut()
                                .zip(&part.q[own])
                                .for_each(|(w, q)| *w = q * d + part.m);
                        }
                    },
                ),
            }
        }
    }

    /// Calls `take` with the place and the weights of every part of a block; numbers that stand for themselves have
    /// none.
    #[inline(always)]
    pub(super) fn parts(self, block: &[u8], mut take: impl FnMut(usize, Part)) {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => {}
            Self::Q4_0 => {
                take(0, Part::signed([half(block); 2], |i| nibble(&block[2..], i).cast_signed() - 8));
            }
            Self::Q4_1 => take(0, Part::new(half(block), half(&block[2..]), |i| nibble(&block[4..], i))),
            Self::Q5_0 => {
                let fifth = four(&block[2..]);
                let q = |i| (nibble(&block[6..], i) | bit(fifth, i)).cast_signed() - 16;
                take(0, Part::signed([half(block); 2], q));
            }
            Self::Q5_1 => {
                let fifth = four(&block[4..]);
                let q = |i| nibble(&block[8..], i) | bit(fifth, i);
                take(0, Part::new(half(block), half(&block[2..]), q));
            }
            Self::Q8_0 => take(0, Part::signed([half(block); 2], |i| block[2 + i].cast_signed())),
            Self::Q4K => q4k(block, take),
            Self::Q5K => q5k(block, take),
            Self::Q6K => q6k(block, take),
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

/// The `i`-th of 32 weights of four bits: low halves of 16 bytes, then their high halves.
#[inline(always)]
fn nibble(bytes: &[u8], i: usize) -> u8 {
    if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 }
}

/// Thirty-two bits.
#[inline(always)]
fn four(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The `i`-th of them, as the fifth bit of a weight.
#[inline(always)]
fn bit(bits: u32, i: usize) -> u8 {
    u8::from(bits >> i & 1 == 1) << 4
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
    for (i, bytes) in block[16..].as_chunks::<PART>().0.iter().enumerate() {
        let ((s1, m1), (s2, m2)) =
            (scale_and_minimum(&block[4..16], 2 * i), scale_and_minimum(&block[4..16], 2 * i + 1));
        take(2 * i, Part::new(d * s1, -(m * m1), |l| bytes[l] & 15));
        take(2 * i + 1, Part::new(d * s2, -(m * m2), |l| bytes[l] >> 4));
    }
}

#[inline(always)]
fn q5k(block: &[u8], mut take: impl FnMut(usize, Part)) {
    let (d, m) = (half(block), half(&block[2..]));
    let fifth = &block[16..48];
    for (i, bytes) in block[48..].as_chunks::<PART>().0.iter().enumerate() {
        let ((s1, m1), (s2, m2)) =
            (scale_and_minimum(&block[4..16], 2 * i), scale_and_minimum(&block[4..16], 2 * i + 1));
        let bit = |l: usize, place: usize| (fifth[l] >> place & 1) << 4;
        take(2 * i, Part::new(d * s1, -(m * m1), |l| bytes[l] & 15 | bit(l, 2 * i)));
        take(2 * i + 1, Part::new(d * s2, -(m * m2), |l| bytes[l] >> 4 | bit(l, 2 * i + 1)));
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
            let q = |l: usize| {
                let four = low[l + PART * (k % 2)] >> (4 * (k / 2)) & 15;
                (four | (high[l] >> (2 * k) & 3) << 4).cast_signed() - 32
            };
            let scale = |half: usize| d * f32::from(scales[2 * k + half].cast_signed());
            take(4 * n + k, Part::signed([scale(0), scale(1)], q));
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
