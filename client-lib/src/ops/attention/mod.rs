//! Multi-head scaled dot-product attention (Vaswani et al. 2017) with a real backward.
//!
//! `o = softmax(q kᵀ / √d + mask) v` per head; with a soft cap `c`, scores `s` become `c · tanh(s / c)`
//! before the mask (Bello et al. 2016; Gemma 2). Queries are `[b, t, h·d]`, keys and
//! values `[b, s, g·d]`, read in place: no transposed copies. With fewer heads of keys
//! than of queries, `g < h`, consecutive `h / g` query heads share one (Ainslie et al.
//! 2023). The probabilities are not kept: the backward computes them again, which costs less than writing and reading
//! `b·h·t·s` numbers (Dao et al. 2022).

mod mask;
mod softmax;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    Arg, Arithmetic, by_dtype,
    element::Element,
    frozen_linear::storage_dtype,
    is_fused,
    matrix::{Matrix, Threads, multiply},
    slice_of, tape, with_slice,
};
use softmax::{causal_softmax, soft_cap, soft_cap_gradient, softmax, softmax_gradient};

pub use mask::KeyMask;

/// An attention of `heads` heads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Number of heads; the last dimension of queries is split over them.
    pub heads: usize,
    /// Number of heads of keys and values, which divides the other.
    pub kv_heads: usize,
    /// What scores are multiplied with, where that is not `1 / √d`.
    pub scale: Option<f64>,
    /// The bound `c` of scores, where there is one.
    pub soft_cap: Option<f64>,
    /// What its products are computed in on a GPU; on a CPU they are exact.
    pub arithmetic: Arithmetic,
}

impl Attention {
    /// As many heads of keys and values as of queries.
    pub const fn new(heads: usize) -> Self {
        Self { heads, kv_heads: heads, scale: None, soft_cap: None, arithmetic: Arithmetic::Exact }
    }

    /// What scores of heads of this width are multiplied with.
    fn scale_of(self, width: usize) -> f64 {
        self.scale.unwrap_or_else(|| 1.0 / (width as f64).sqrt())
    }

    /// `q [b, t, h·d]`, `k` and `v` `[b, s, g·d]`, to `[b, t, h·d]`.
    pub fn forward(self, q: &Tensor, k: &Tensor, v: &Tensor, mask: &KeyMask) -> Result<Tensor> {
        self.forward_with_bias([q, k, v], mask, None)
    }

    /// The same with `bias [h, t, s]` added to the scores of every row; it gets no gradient.
    pub fn forward_with_bias(
        self,
        [q, k, v]: [&Tensor; 3],
        mask: &KeyMask,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        // What few models have is not worth a kernel on a GPU.
        let is_rare = self.soft_cap.is_some() || mask.from_first;
        if !is_fused(q) || is_rare && q.device().is_cuda() {
            return self.composed([q, k, v], mask, bias);
        }
        let op = Op {
            attention: self,
            mask: mask.clone(),
            bias: bias.map(Tensor::contiguous).transpose()?,
            #[cfg(feature = "cuda")]
            logs: std::sync::OnceLock::new(),
        };
        tape::apply3(op, [&q.contiguous()?, &k.contiguous()?, &v.contiguous()?])
    }

    /// The same in candle's operations: the fallback where there is no kernel, the oracle in tests.
    pub(super) fn composed(
        self,
        [q, k, v]: [&Tensor; 3],
        mask: &KeyMask,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let split = |x: &Tensor, heads: usize| {
            let (b, t, width) = x.dims3()?;
            x.reshape((b, t, heads, width / heads))?.transpose(1, 2)?.contiguous()
        };
        let shared = |x: &Tensor| {
            let x = split(x, self.kv_heads)?;
            let (b, g, s, d) = x.dims4()?;
            let each = self.heads / self.kv_heads;
            x.unsqueeze(2)?.broadcast_as((b, g, each, s, d))?.contiguous()?.reshape((b, g * each, s, d))
        };
        let (b, t, width) = q.dims3()?;
        let scores = (split(q, self.heads)?.matmul(&shared(k)?.t()?)? * self.scale_of(width / self.heads))?;
        let scores = match self.soft_cap {
            Some(cap) => ((scores / cap)?.tanh()? * cap)?,
            None => scores,
        };
        let scores = match bias {
            Some(bias) => scores.broadcast_add(&bias.detach())?,
            None => scores,
        };
        let hidden = mask.additive(t, &scores)?;
        let scores = scores.broadcast_add(&hidden)?;
        let exps = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let p = exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)?;
        let p = if mask.causal {
            // A query that sees no key gets nothing.
            let sees = hidden.max_keepdim(D::Minus1)?.gt(mask::HIDDEN / 2.0)?;
            p.broadcast_mul(&sees.to_dtype(p.dtype())?)?
        } else {
            p
        };
        p.matmul(&shared(v)?)?.transpose(1, 2)?.reshape((b, t, width))
    }
}

pub(super) struct Op {
    pub(super) attention: Attention,
    pub(super) mask: KeyMask,
    /// `[h, t, s]`, contiguous.
    pub(super) bias: Option<Tensor>,
    /// What the backward reads of the forward, where a kernel leaves something.
    #[cfg(feature = "cuda")]
    pub(super) logs: std::sync::OnceLock<Tensor>,
}

/// The sizes of one call.
#[derive(Clone, Copy)]
pub(super) struct Dims {
    pub(super) batch: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head: usize,
    scale: f64,
    soft_cap: Option<f64>,
}

impl Dims {
    fn new(attention: Attention, q: &[usize], k: &[usize], mask: &KeyMask) -> Result<Self> {
        let Attention { heads, kv_heads, soft_cap, .. } = attention;
        let ([batch, queries, width], [b, keys, w]) = (q, k) else {
            candle_core::bail!("attention: queries {q:?} and keys {k:?} must have three dimensions")
        };
        let shared = kv_heads > 0 && heads.is_multiple_of(kv_heads);
        let fits = shared
            && batch == b
            && width * kv_heads == w * heads
            && *batch == mask.batch
            && *keys == mask.keys
            && width % heads == 0;
        if !fits {
            candle_core::bail!(
                "attention: queries {q:?}, keys {k:?}, mask [{}, {}], {heads} heads and {kv_heads} of keys do not fit together",
                mask.batch,
                mask.keys
            );
        }
        let (batch, queries, keys, head) = (*batch, *queries, *keys, width / heads);
        let scale = attention.scale_of(head);
        Ok(Self { batch, queries, keys, heads, kv_heads, head, scale, soft_cap })
    }

    pub(super) fn width(self) -> usize {
        self.heads * self.head
    }

    /// Query heads that share a head of keys.
    pub(super) fn group(self) -> usize {
        self.heads / self.kv_heads
    }

    /// The `queries × head` matrix of one head of one batch row in a `[b, t, h·d]` slice.
    fn query<T: Element>(self, data: &[T], b: usize, h: usize) -> Matrix<'_, T> {
        let at = b * self.queries * self.width() + h * self.head;
        Matrix::new(&data[at..], self.queries, self.head, self.width())
    }

    /// The `keys × head` matrix that one query head sees, in a `[b, s, g·d]` slice.
    fn key<T: Element>(self, data: &[T], b: usize, h: usize) -> Matrix<'_, T> {
        let width = self.kv_heads * self.head;
        let at = b * self.keys * width + h / self.group() * self.head;
        Matrix::new(&data[at..], self.keys, self.head, width)
    }

    /// How many scores a head has in a row of the batch.
    pub(super) fn square(self) -> usize {
        self.queries * self.keys
    }

    /// `queries × keys`.
    fn matrix<T: Element>(self, data: &[T]) -> Matrix<'_, T> {
        Matrix::new(data, self.queries, self.keys, self.keys)
    }

    fn scale<T: Element>(self) -> T {
        T::constant(self.scale)
    }

    #[cfg(feature = "cuda")]
    pub(super) fn scale_single(self) -> f32 {
        self.scale as f32
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
        let dims = Dims::new(self.attention, l1.dims(), l2.dims(), &self.mask)?;
        if l2.dims() != l3.dims() {
            candle_core::bail!("attention: keys {:?} and values {:?} differ in shape", l2.dims(), l3.dims());
        }
        by_dtype!(storage_dtype(s1), "attention", forward(self, dims, (s1, l1), (s2, l2), (s3, l3)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let dims = Dims::new(self.attention, l1.dims(), l2.dims(), &self.mask)?;
        super::cuda::attention::forward(self, dims, [(s1, l1), (s2, l2), (s3, l3)])
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        o: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dims = Dims::new(self.attention, q.dims(), k.dims(), &self.mask)?;
        let [dq, dk, dv] = self.gradients(dims, [q, k, v, o], grad)?;
        let of = |arg: &Tensor, grad| arg.track_op().then_some(grad);
        Ok((of(q, dq), of(k, dk), of(v, dv)))
    }
}

impl Op {
    fn gradients(&self, d: Dims, [q, k, v, o]: [&Tensor; 4], grad: &Tensor) -> Result<[Tensor; 3]> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return super::cuda::attention::backward(self, d, [q, k, v, o], grad);
        }
        let _ = o;
        by_dtype!(grad.dtype(), "attention", backward(self, d, [q, k, v], grad))
    }

    /// Refuses a bias of another size than the scores.
    pub(super) fn check_bias(&self, d: Dims) -> Result<()> {
        let expected = [d.heads, d.queries, d.keys];
        match &self.bias {
            Some(bias) if bias.dims() != expected => {
                candle_core::bail!("attention: a bias {:?} on scores {expected:?}", bias.dims())
            }
            _ => Ok(()),
        }
    }

    /// Calls `use_bias` with what is added to the scores of all rows, where there is something.
    fn with_bias<T: Element, R>(
        &self,
        d: Dims,
        use_bias: impl FnOnce(Option<&[T]>) -> Result<R>,
    ) -> Result<R> {
        self.check_bias(d)?;
        let Some(bias) = &self.bias else { return use_bias(None) };
        with_slice::<T, _>(bias, |bias| use_bias(Some(bias)))
    }

    /// Fills `p`, `queries × keys`, with the probabilities of query head `index`, counted through the batch.
    fn probabilities<T: Element>(
        &self,
        d: Dims,
        index: usize,
        [q, k]: [&[T]; 2],
        bias: Option<&[T]>,
        p: &mut [T],
    ) {
        let (b, h) = (index / d.heads, index % d.heads);
        multiply(p, d.query(q, b, h), d.key(k, b, h).t(), d.scale(), false, Threads::One);
        if let Some(cap) = d.soft_cap {
            soft_cap(p, T::constant(cap));
        }
        if let Some(bias) = bias {
            let own = &bias[h * d.square()..(h + 1) * d.square()];
            p.iter_mut().zip(own).for_each(|(score, &bias)| *score += bias);
        }
        let mask = &self.mask;
        for (query, row) in p.chunks_exact_mut(d.keys).enumerate() {
            if query < mask.free_queries {
                softmax(row, None);
            } else if mask.causal {
                let (seen, hidden) = row.split_at_mut(mask.limit(query, d.queries));
                hidden.fill(T::zero());
                match mask.reach {
                    Some(reach) => {
                        causal_softmax(seen, &mask.around(b, (query, d.queries), reach)[..seen.len()]);
                    }
                    None => causal_softmax(seen, &mask.row(b)[..seen.len()]),
                }
            } else if let Some(reach) = mask.reach {
                softmax(row, Some(&mask.around(b, (query, d.queries), reach)));
            } else {
                softmax(row, Some(mask.row(b)));
            }
        }
    }
}

fn forward<T: Element>(op: &Op, d: Dims, q: Arg<'_>, k: Arg<'_>, v: Arg<'_>) -> Result<(CpuStorage, Shape)> {
    let q = slice_of::<T>(q.0, q.1, "attention")?;
    let k = slice_of::<T>(k.0, k.1, "attention")?;
    let v = slice_of::<T>(v.0, v.1, "attention")?;
    // Heads are computed as [b, h, t, d] and put back side by side at the end.
    let mut heads = vec![T::zero(); d.batch * d.queries * d.width()];
    op.with_bias::<T, _>(d, |bias| {
        let blocks = heads.par_chunks_mut(d.queries * d.head).enumerate();
        blocks.for_each_init(
            || vec![T::zero(); d.square()],
            |p, (index, out)| {
                op.probabilities(d, index, [q, k], bias, p);
                let (b, h) = (index / d.heads, index % d.heads);
                multiply(out, d.matrix(p), d.key(v, b, h), T::one(), false, Threads::One);
            },
        );
        Ok(())
    })?;
    let out = side_by_side(&heads, d.queries, d.heads, d.head);
    Ok((T::to_cpu_storage_owned(out), (d.batch, d.queries, d.width()).into()))
}

/// With the probabilities `p` computed again: `∂v = pᵀ ∂o`, `∂p = ∂o vᵀ`, `∂s = p ⊙ (∂p − rowsum(∂p ⊙ p))`,
/// `∂q = ∂s k / √d`, `∂k = ∂sᵀ q / √d`; with a soft cap `c`, `∂s` is multiplied by `1 − tanh²(s / c)` of the scores
/// `s` before it.
fn backward<T: Element>(op: &Op, d: Dims, [q, k, v]: [&Tensor; 3], grad: &Tensor) -> Result<[Tensor; 3]> {
    let (of_queries, of_keys) = (d.queries * d.head, d.keys * d.head);
    let mut dq = vec![T::zero(); d.batch * d.heads * of_queries];
    let mut dk = vec![T::zero(); d.batch * d.kv_heads * of_keys];
    let mut dv = dk.clone();
    let mut all = |[q, k, v, g]: [&[T]; 4], bias: Option<&[T]>| {
        // The query heads that share keys add to the same gradients, one after the other.
        let blocks = dq.par_chunks_mut(d.group() * of_queries).zip(dk.par_chunks_mut(of_keys));
        let blocks = blocks.zip(dv.par_chunks_mut(of_keys)).enumerate();
        blocks.for_each_init(
            || [vec![T::zero(); d.square()], vec![T::zero(); d.square()]],
            |[p, ds], (i, ((dq, dk), dv))| {
                for (member, dq) in dq.chunks_exact_mut(of_queries).enumerate() {
                    let index = i * d.group() + member;
                    op.probabilities(d, index, [q, k], bias, p);
                    one_head(d, index, [q, k, v, g], (p, ds), [dq, dk, dv]);
                }
            },
        );
    };
    with_slice::<T, _>(q, |q| {
        with_slice::<T, _>(k, |k| {
            with_slice::<T, _>(v, |v| {
                with_slice::<T, _>(grad, |g| {
                    op.with_bias::<T, _>(d, |bias| {
                        all([q, k, v, g], bias);
                        Ok(())
                    })
                })
            })
        })
    })?;
    let tensor = |data: &[T], rows, heads, like: &Tensor| {
        let together = side_by_side(data, rows, heads, d.head);
        Tensor::from_vec(together, (d.batch, rows, heads * d.head), like.device())
    };
    Ok([
        tensor(&dq, d.queries, d.heads, q)?,
        tensor(&dk, d.keys, d.kv_heads, k)?,
        tensor(&dv, d.keys, d.kv_heads, v)?,
    ])
}

/// The gradients of query head `index`, counted through the batch; those of keys and values
/// are added to what the heads before it in its group gave.
fn one_head<T: Element>(
    d: Dims,
    index: usize,
    [q, k, v, g]: [&[T]; 4],
    (p, ds): (&[T], &mut [T]),
    [dq, dk, dv]: [&mut [T]; 3],
) {
    let (b, h) = (index / d.heads, index % d.heads);
    let accumulate = h % d.group() > 0;
    let g = d.query(g, b, h);
    multiply(dv, d.matrix(p).t(), g, T::one(), accumulate, Threads::One);
    multiply(ds, g, d.key(v, b, h).t(), T::one(), false, Threads::One);
    softmax_gradient(ds, p, d.keys);
    if let Some(cap) = d.soft_cap {
        let mut scores = vec![T::zero(); d.square()];
        multiply(&mut scores, d.query(q, b, h), d.key(k, b, h).t(), d.scale(), false, Threads::One);
        soft_cap_gradient(ds, &scores, T::constant(cap));
    }
    multiply(dq, d.matrix(ds), d.key(k, b, h), d.scale(), false, Threads::One);
    multiply(dk, d.matrix(ds).t(), d.query(q, b, h), d.scale(), accumulate, Threads::One);
}

/// `[b, h, rows, d]` to `[b, rows, h·d]`.
fn side_by_side<T: Element>(data: &[T], rows: usize, heads: usize, head: usize) -> Vec<T> {
    let mut out = vec![T::zero(); data.len()];
    let width = heads * head;
    let per_batch = rows * width;
    if per_batch == 0 {
        return out;
    }
    out.par_chunks_mut(per_batch).zip(data.par_chunks(per_batch)).for_each(|(out, data)| {
        for (h, block) in data.chunks_exact(rows * head).enumerate() {
            for (row, from) in block.chunks_exact(head).enumerate() {
                let at = row * width + h * head;
                out[at..at + head].copy_from_slice(from);
            }
        }
    });
    out
}
