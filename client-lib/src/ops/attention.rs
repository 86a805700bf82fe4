//! Multi-head scaled dot-product attention (Vaswani et al. 2017) with a real backward.
//!
//! `o = softmax(q kᵀ / √d + mask) v` per head. Queries are `[b, t, h·d]`, keys and
//! values `[b, s, h·d]`, read in place: no transposed copies. The probabilities are
//! kept for the backward only when something below needs a gradient.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    by_dtype,
    element::Element,
    frozen_linear::storage_dtype,
    is_fused,
    matrix::{Matrix, Threads, multiply},
    slice_of, with_slice,
};

/// Which keys each row of a batch may attend to: what is added to the scores.
#[derive(Debug, Clone)]
pub struct KeyMask {
    /// `[b, s]`, row-major: 0 for a visible key, −∞ for a hidden one.
    bias: Arc<[f32]>,
    batch: usize,
    keys: usize,
    /// How many queries at the start see every key.
    free_queries: usize,
}

impl KeyMask {
    /// From an attention mask `[b, s]` where zero means padding.
    pub fn new(mask: &Tensor) -> Result<Self> {
        let (batch, keys) = mask.dims2()?;
        let mask = mask.to_device(&candle_core::Device::Cpu)?.to_dtype(candle_core::DType::F32)?;
        let bias = mask.flatten_all()?.to_vec1::<f32>()?.into_iter();
        let bias = bias.map(|m| if m == 0.0 { f32::NEG_INFINITY } else { 0.0 }).collect();
        Ok(Self { bias, batch, keys, free_queries: 0 })
    }

    /// A mask over `keys` keys of which all can be seen.
    pub fn all_visible(batch: usize, keys: usize) -> Self {
        Self { bias: vec![0.0; batch * keys].into(), batch, keys, free_queries: 0 }
    }

    /// The same where the first `queries` queries see every key, padding included.
    #[must_use]
    pub fn with_free_queries(self, queries: usize) -> Self {
        Self { free_queries: queries, ..self }
    }

    /// The same mask for `rows` rows: whole repetitions of its own.
    pub fn repeat(&self, rows: usize) -> Result<Self> {
        if rows == self.batch {
            return Ok(self.clone());
        }
        if self.batch == 0 || !rows.is_multiple_of(self.batch) {
            candle_core::bail!("a mask for {} rows can't serve {rows}", self.batch);
        }
        Ok(Self { bias: self.bias.repeat(rows / self.batch).into(), batch: rows, ..*self })
    }

    /// Rows `start .. start + len`.
    #[must_use]
    pub fn rows(&self, start: usize, len: usize) -> Self {
        let bias = self.bias[start * self.keys..(start + len) * self.keys].into();
        Self { bias, batch: len, ..*self }
    }

    /// With `padding + visible` keys in front: those of the padding first, with `bias` on
    /// their scores.
    #[must_use]
    pub fn prepend(&self, padding: usize, bias: f32, visible: usize) -> Self {
        let mut all = Vec::with_capacity(self.batch * (self.keys + padding + visible));
        for row in 0..self.batch {
            all.extend(std::iter::repeat_n(bias, padding));
            all.extend(std::iter::repeat_n(0.0, visible));
            all.extend_from_slice(self.row(row));
        }
        Self { bias: all.into(), keys: self.keys + padding + visible, ..*self }
    }

    /// The rows of several masks over equally many keys, one after the other.
    pub fn cat(masks: &[Self]) -> Result<Self> {
        let Some(first) = masks.first() else { candle_core::bail!("no mask to join") };
        if let Some(other) = masks.iter().find(|m| m.keys != first.keys) {
            candle_core::bail!("masks over {} and over {} keys can't be joined", first.keys, other.keys);
        }
        let bias = masks.iter().flat_map(|m| m.bias.iter().copied()).collect();
        Ok(Self { bias, batch: masks.iter().map(|m| m.batch).sum(), ..*first })
    }

    /// Number of keys.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Rows of the batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// What is added to the scores of row `row`.
    fn row(&self, row: usize) -> &[f32] {
        &self.bias[row * self.keys..(row + 1) * self.keys]
    }

    /// `[b, 1, t, s]`, or `t` one where every query sees the same.
    fn additive(&self, queries: usize, like: &Tensor) -> Result<Tensor> {
        let t = if self.free_queries > 0 { queries } else { 1 };
        let row = |row: usize| {
            (0..t).flat_map(move |query| {
                let free = query < self.free_queries;
                self.row(row).iter().map(move |&b| if free { 0.0 } else { b.max(-1e30) })
            })
        };
        let values: Vec<f32> = (0..self.batch).flat_map(row).collect();
        Tensor::from_vec(values, (self.batch, 1, t, self.keys), like.device())?.to_dtype(like.dtype())
    }
}

/// An attention of `heads` heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    /// Number of heads; the last dimension is split over them.
    pub heads: usize,
}

impl Attention {
    /// `q [b, t, h·d]`, `k` and `v` `[b, s, h·d]`, to `[b, t, h·d]`.
    pub fn forward(self, q: &Tensor, k: &Tensor, v: &Tensor, mask: &KeyMask) -> Result<Tensor> {
        if !is_fused(q) {
            return self.composed(q, k, v, mask);
        }
        let keep = q.track_op() || k.track_op() || v.track_op();
        let op = Op { heads: self.heads, mask: mask.clone(), keep, kept: OnceLock::new() };
        q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)
    }

    /// The same in candle's operations: the fallback off the CPU, the oracle in tests.
    pub(super) fn composed(self, q: &Tensor, k: &Tensor, v: &Tensor, mask: &KeyMask) -> Result<Tensor> {
        let split = |x: &Tensor| {
            let (b, t, width) = x.dims3()?;
            x.reshape((b, t, self.heads, width / self.heads))?.transpose(1, 2)?.contiguous()
        };
        let (b, t, width) = q.dims3()?;
        let scale = 1.0 / ((width / self.heads) as f64).sqrt();
        let scores = (split(q)?.matmul(&split(k)?.t()?)? * scale)?;
        let scores = scores.broadcast_add(&mask.additive(t, &scores)?)?;
        let exps = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let p = exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)?;
        p.matmul(&split(v)?)?.transpose(1, 2)?.reshape((b, t, width))
    }
}

struct Op {
    heads: usize,
    mask: KeyMask,
    keep: bool,
    /// Probabilities `[b, h, t, s]`.
    kept: OnceLock<Tensor>,
}

/// The sizes of one call.
#[derive(Clone, Copy)]
struct Dims {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    head: usize,
}

impl Dims {
    fn new(heads: usize, q: &[usize], k: &[usize], mask: &KeyMask) -> Result<Self> {
        let ([batch, queries, width], [b, keys, w]) = (q, k) else {
            candle_core::bail!("attention: queries {q:?} and keys {k:?} must have three dimensions")
        };
        let fits =
            batch == b && width == w && *batch == mask.batch && *keys == mask.keys && width % heads == 0;
        if !fits {
            candle_core::bail!(
                "attention: queries {q:?}, keys {k:?}, mask [{}, {}] and {heads} heads do not fit together",
                mask.batch,
                mask.keys
            );
        }
        Ok(Self { batch: *batch, queries: *queries, keys: *keys, heads, head: width / heads })
    }

    fn width(self) -> usize {
        self.heads * self.head
    }

    /// The `rows × head` matrix of one head of one batch row in a `[b, rows, h·d]` slice.
    fn block<T: Element>(self, data: &[T], rows: usize, b: usize, h: usize) -> Matrix<'_, T> {
        Matrix::new(&data[b * rows * self.width() + h * self.head..], rows, self.head, self.width())
    }

    fn scale<T: Element>(self) -> T {
        T::constant(1.0 / (self.head as f64).sqrt())
    }
}

impl CustomOp3 for Op {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dims = Dims::new(self.heads, l1.dims(), l2.dims(), &self.mask)?;
        if l2.dims() != l3.dims() {
            candle_core::bail!("attention: keys {:?} and values {:?} differ in shape", l2.dims(), l3.dims());
        }
        by_dtype!(storage_dtype(s1), "attention", forward(self, dims, (s1, l1), (s2, l2), (s3, l3)))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _o: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dims = Dims::new(self.heads, q.dims(), k.dims(), &self.mask)?;
        let Some(p) = self.kept.get() else {
            candle_core::bail!("attention: the probabilities were not kept")
        };
        let [dq, dk, dv] = by_dtype!(grad.dtype(), "attention", backward(dims, [q, k, v], p, grad))?;
        let of = |arg: &Tensor, grad| arg.track_op().then_some(grad);
        Ok((of(q, dq), of(k, dk), of(v, dv)))
    }
}

type Arg<'a> = (&'a CpuStorage, &'a Layout);

fn forward<T: Element>(op: &Op, d: Dims, q: Arg<'_>, k: Arg<'_>, v: Arg<'_>) -> Result<(CpuStorage, Shape)> {
    let q = slice_of::<T>(q.0, q.1, "attention")?;
    let k = slice_of::<T>(k.0, k.1, "attention")?;
    let v = slice_of::<T>(v.0, v.1, "attention")?;
    // Heads are computed as [b, h, t, d] and put back side by side at the end.
    let mut heads = vec![T::zero(); d.batch * d.queries * d.width()];
    let mut kept = vec![T::zero(); if op.keep { d.batch * d.heads * d.queries * d.keys } else { 0 }];
    let one = |index: usize, out: &mut [T], p: &mut [T]| {
        let (b, h) = (index / d.heads, index % d.heads);
        multiply(
            p,
            d.block(q, d.queries, b, h),
            d.block(k, d.keys, b, h).t(),
            d.scale(),
            false,
            Threads::One,
        );
        for (query, row) in p.chunks_exact_mut(d.keys).enumerate() {
            let free = query < op.mask.free_queries;
            softmax(row, if free { None } else { Some(op.mask.row(b)) });
        }
        multiply(
            out,
            Matrix::new(p, d.queries, d.keys, d.keys),
            d.block(v, d.keys, b, h),
            T::one(),
            false,
            Threads::One,
        );
    };
    let blocks = heads.par_chunks_mut(d.queries * d.head).enumerate();
    if op.keep {
        blocks.zip(kept.par_chunks_mut(d.queries * d.keys)).for_each(|((i, out), p)| one(i, out, p));
        let shape = (d.batch, d.heads, d.queries, d.keys);
        let _ = op.kept.set(Tensor::from_vec(kept, shape, &candle_core::Device::Cpu)?);
    } else {
        blocks.for_each_init(|| vec![T::zero(); d.queries * d.keys], |p, (i, out)| one(i, out, p));
    }
    let out = side_by_side(&heads, d, d.queries);
    Ok((T::to_cpu_storage_owned(out), (d.batch, d.queries, d.width()).into()))
}

/// `∂v = pᵀ ∂o`, `∂p = ∂o vᵀ`, `∂s = p ⊙ (∂p − rowsum(∂p ⊙ p))`, `∂q = ∂s k / √d`, `∂k = ∂sᵀ q / √d`.
fn backward<T: Element>(d: Dims, [q, k, v]: [&Tensor; 3], p: &Tensor, grad: &Tensor) -> Result<[Tensor; 3]> {
    let (of_queries, of_keys) = (d.queries * d.head, d.keys * d.head);
    let mut dq = vec![T::zero(); d.batch * d.heads * of_queries];
    let mut dk = vec![T::zero(); d.batch * d.heads * of_keys];
    let mut dv = dk.clone();
    with_slice::<T, _>(q, |q| {
        with_slice::<T, _>(k, |k| {
            with_slice::<T, _>(v, |v| {
                with_slice::<T, _>(p, |p| {
                    with_slice::<T, _>(grad, |g| {
                        let blocks = dq.par_chunks_mut(of_queries).zip(dk.par_chunks_mut(of_keys));
                        let blocks = blocks.zip(dv.par_chunks_mut(of_keys)).enumerate();
                        blocks.for_each_init(
                            || vec![T::zero(); d.queries * d.keys],
                            |ds, (i, ((dq, dk), dv))| {
                                let (b, h) = (i / d.heads, i % d.heads);
                                let p = &p[i * d.queries * d.keys..(i + 1) * d.queries * d.keys];
                                let g = d.block(g, d.queries, b, h);
                                let square = |data| Matrix::new(data, d.queries, d.keys, d.keys);
                                multiply(dv, square(p).t(), g, T::one(), false, Threads::One);
                                multiply(ds, g, d.block(v, d.keys, b, h).t(), T::one(), false, Threads::One);
                                softmax_gradient(ds, p, d.keys);
                                multiply(
                                    dq,
                                    square(ds),
                                    d.block(k, d.keys, b, h),
                                    d.scale(),
                                    false,
                                    Threads::One,
                                );
                                multiply(
                                    dk,
                                    square(ds).t(),
                                    d.block(q, d.queries, b, h),
                                    d.scale(),
                                    false,
                                    Threads::One,
                                );
                            },
                        );
                        Ok(())
                    })
                })
            })
        })
    })?;
    let tensor = |data: &[T], rows, like: &Tensor| {
        Tensor::from_vec(side_by_side(data, d, rows), (d.batch, rows, d.width()), like.device())
    };
    Ok([tensor(&dq, d.queries, q)?, tensor(&dk, d.keys, k)?, tensor(&dv, d.keys, v)?])
}

/// `[b, h, rows, d]` to `[b, rows, h·d]`.
fn side_by_side<T: Element>(heads: &[T], d: Dims, rows: usize) -> Vec<T> {
    let mut out = vec![T::zero(); heads.len()];
    let per_batch = rows * d.width();
    if per_batch == 0 {
        return out;
    }
    out.par_chunks_mut(per_batch).zip(heads.par_chunks(per_batch)).for_each(|(out, heads)| {
        for (h, block) in heads.chunks_exact(rows * d.head).enumerate() {
            for (row, from) in block.chunks_exact(d.head).enumerate() {
                let at = row * d.width() + h * d.head;
                out[at..at + d.head].copy_from_slice(from);
            }
        }
    });
    out
}

/// Softmax over the keys with what the mask adds; hidden ones get zero. With none visible
/// every key gets the same weight, as an additive mask of the most negative number gives.
fn softmax<T: Element>(row: &mut [T], bias: Option<&[f32]>) {
    if bias.is_some_and(|bias| bias.iter().all(|&b| b == f32::NEG_INFINITY)) {
        return row.fill(T::one() / T::constant(row.len() as f64));
    }
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            if let Some(bias) = bias {
                for (x, &b) in row.iter_mut().zip(bias) {
                    *x += T::constant(f64::from(b));
                }
            }
            let max = row.iter().fold(T::neg_infinity(), |max, &x| if x > max { x } else { max });
            for x in row.iter_mut() {
                *x = (*x - max).exp_fast();
            }
            let inverse = T::one() / row.iter().fold(T::zero(), |sum, &x| sum + x);
            for x in row.iter_mut() {
                *x *= inverse;
            }
        },
    );
}

/// `ds` holds ∂p and becomes ∂s, row by row.
fn softmax_gradient<T: Element>(ds: &mut [T], p: &[T], keys: usize) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (ds, p) in ds.chunks_exact_mut(keys).zip(p.chunks_exact(keys)) {
                let dot = ds.iter().zip(p).fold(T::zero(), |sum, (&d, &p)| sum + d * p);
                for (ds, &p) in ds.iter_mut().zip(p) {
                    *ds = p * (*ds - dot);
                }
            }
        },
    );
}
