//! PyTorch's orthogonal parametrisation, in which `adapters` stores the projection of
//! LoReFT: the matrix itself is computed here once, when a file is read.
//!
//! With `X = originalᵀ [h, r]`, `A` its part below the diagonal and `vᵢ` the `i`-th column
//! of `A` with a one on the diagonal: `Q = H₁ … H_r [:, ..r]`, `Hᵢ = I − τᵢ vᵢ vᵢᵀ`,
//! `τᵢ = 2 / (1 + Σ A[:, i]²)`; each column times the integer part of `X`'s diagonal; and
//! `R = (base · Q)ᵀ`. (`torch.nn.utils.parametrizations.orthogonal`, map `householder`.)

use std::collections::BTreeMap;

use hub_schemas::layout::Dtype;

use crate::checkpoint::SlotData;

/// Turns `….projection.original` and `….projection.base` into `….projection`.
pub(in crate::checkpoint) fn materialise(slots: &mut BTreeMap<String, SlotData>) {
    let originals: Vec<String> =
        slots.keys().filter(|slot| slot.ends_with(".projection.original")).cloned().collect();
    for name in originals {
        let Some(stem) = name.strip_suffix(".original") else { continue };
        if let (Some(original), Some(base)) = (slots.remove(&name), slots.remove(&format!("{stem}.base"))) {
            slots.insert(stem.to_owned(), projection(&original, &base));
        }
    }
}

/// What stores `projection [r, h]` with orthonormal rows: a rotation that changes nothing,
/// and the rows as the first columns of what it rotates. The other columns do not matter.
pub(in crate::checkpoint) fn parametrise(slots: &mut BTreeMap<String, SlotData>) {
    let names: Vec<String> = slots.keys().filter(|slot| slot.ends_with(".projection")).cloned().collect();
    for name in names {
        let Some(projection) = slots.remove(&name) else { continue };
        let (r, h) = (projection.shape[0], projection.shape[1]);
        let rows = numbers(&projection);
        let (mut original, mut base) = (vec![0.0_f32; r * h], vec![0.0_f32; h * h]);
        for i in 0..r {
            original[i * h + i] = -1.0;
            for j in 0..h {
                base[j * h + i] = rows[i * h + j] as f32;
            }
        }
        for i in r..h {
            base[i * h + i] = 1.0;
        }
        slots.insert(format!("{name}.original"), SlotData::from_f32(vec![r, h], &original));
        slots.insert(format!("{name}.base"), SlotData::from_f32(vec![h, h], &base));
    }
}

fn projection(original: &SlotData, base: &SlotData) -> SlotData {
    let (r, h) = (original.shape[0], original.shape[1]);
    let (x, base) = (numbers(original), numbers(base));
    let mut rows = Vec::with_capacity(r * h);
    for column in 0..r {
        // The reflections apply to the unit vector from the last to the first.
        let mut q = vec![0.0; h];
        q[column] = 1.0;
        for i in (0..r).rev() {
            let below = &x[i * h + i + 1..(i + 1) * h];
            let tau = 2.0 / (1.0 + below.iter().map(|a| a * a).sum::<f64>());
            let dot = q[i] + below.iter().zip(&q[i + 1..]).map(|(a, q)| a * q).sum::<f64>();
            q[i] -= tau * dot;
            for (q, a) in q[i + 1..].iter_mut().zip(below) {
                *q -= tau * dot * a;
            }
        }
        let sign = x[column * h + column].trunc();
        let row = |j: usize| sign * base[j * h..(j + 1) * h].iter().zip(&q).map(|(b, q)| b * q).sum::<f64>();
        rows.extend((0..h).map(row));
    }
    let bytes = rows.iter().flat_map(|v: &f64| v.to_le_bytes()).collect();
    SlotData { dtype: Dtype::F64, shape: vec![r, h], bytes }
}

fn numbers(data: &SlotData) -> Vec<f64> {
    match data.dtype {
        Dtype::F64 => data.bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        Dtype::F32 => {
            data.bytes.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
        }
        Dtype::BF16 => (data.bytes.as_chunks::<2>().0.iter())
            .map(|b| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16)))
            .collect(),
        _ => vec![f64::NAN; data.shape.iter().product()],
    }
}
