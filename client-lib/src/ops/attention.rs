//! Multi-head scaled dot-product attention (Vaswani et al. 2017) with a real backward.
//!
//! `o = softmax(q kᵀ / √d + mask) v` per head; with a soft cap `c`, scores `s` become `c · tanh(s / c)`
//! before the mask (Bello et al. 2016; Gemma 2). Queries are `[b, t, h·d]`, keys and
//! values `[b, s, g·d]`, read in place: no transposed copies. With fewer heads of keys
//! than of queries, `g < h`, consecutive `h / g` query heads share one (Ainslie et al.
//! 2023). The probabilities are kept for the backward only when something below needs a
//! gradient.

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
    /// Whether a query sees only the keys up to its own, and all that were put in front.
    causal: bool,
    /// How far from itself a query sees, where not everywhere.
    reach: Option<usize>,
    /// Keys at the start that every query sees, however far it is from them.
    in_front: usize,
}

impl KeyMask {
    /// From an attention mask `[b, s]` where zero means padding.
    pub fn new(mask: &Tensor) -> Result<Self> {
        let (batch, keys) = mask.dims2()?;
        let mask = mask.to_device(&candle_core::Device::Cpu)?.to_dtype(candle_core::DType::F32)?;
        let bias = mask.flatten_all()?.to_vec1::<f32>()?.into_iter();
        let bias = bias.map(|m| if m == 0.0 { f32::NEG_INFINITY } else { 0.0 }).collect();
        Ok(Self { bias, batch, keys, free_queries: 0, causal: false, reach: None, in_front: 0 })
    }

    /// A mask over `keys` keys of which all can be seen.
    pub fn all_visible(batch: usize, keys: usize) -> Self {
        let bias = vec![0.0; batch * keys].into();
        Self { bias, batch, keys, free_queries: 0, causal: false, reach: None, in_front: 0 }
    }

    /// The same where the first `queries` queries see every key, padding included.
    #[must_use]
    pub fn with_free_queries(self, queries: usize) -> Self {
        Self { free_queries: queries, ..self }
    }

    /// Whether any key is hidden or has something added to its scores.
    pub fn hides_any(&self) -> bool {
        self.bias.iter().any(|&b| b != 0.0)
    }

    /// The same with `score` added to those of the first `keys` keys, where any key is hidden.
    #[must_use]
    pub fn with_score_in_front(self, keys: usize, score: f32) -> Self {
        if score == 0.0 || !self.hides_any() {
            return self;
        }
        let in_front = |(at, &b): (usize, &f32)| if at % self.keys < keys { b + score } else { b };
        let bias = self.bias.iter().enumerate().map(in_front).collect();
        Self { bias, ..self }
    }

    /// The same where no query sees a key behind its own: the last key is the last query's.
    #[must_use]
    pub fn with_causality(self, causal: bool) -> Self {
        Self { causal, ..self }
    }

    /// The same where a query sees only so far to both sides: the last key is the last query's.
    #[must_use]
    pub fn with_reach(self, reach: Option<usize>) -> Self {
        Self { reach, ..self }
    }

    /// What is added to the scores of row `row` for one of `queries` queries that sees only around.
    fn around(&self, row: usize, (query, queries): (usize, usize), reach: usize) -> Vec<f32> {
        let at = (query + self.keys).saturating_sub(queries);
        let bias = self.row(row).iter().enumerate();
        let sees = |key: usize| key < self.in_front || key.abs_diff(at) <= reach;
        bias.map(|(key, &b)| if sees(key) { b } else { f32::NEG_INFINITY }).collect()
    }

    /// `[b, 1, t, s]` where a query that is padding itself, as `own` tells of the `t` tokens, sees no
    /// key of the input. One that sees nothing at all sees everything alike.
    pub(super) fn pairwise(&self, own: &Self, queries: usize, like: &Tensor) -> Result<Tensor> {
        let input = self.keys.saturating_sub(queries.saturating_sub(self.free_queries));
        let score = |row: usize, query: usize, key: usize| {
            let is_padding = own.row(row)[query] == f32::NEG_INFINITY;
            match query < self.free_queries {
                true => 0.0,
                false if is_padding && key >= input => -1e30,
                false => self.row(row)[key].max(-1e30),
            }
        };
        let values: Vec<f32> = (0..self.batch)
            .flat_map(|row| (0..queries).map(move |query| (row, query)))
            .flat_map(|(row, query)| (0..self.keys).map(move |key| (row, query, key)))
            .map(|(row, query, key)| score(row, query, key))
            .collect();
        Tensor::from_vec(values, (self.batch, 1, queries, self.keys), like.device())?.to_dtype(like.dtype())
    }

    /// How many keys query `query` of `queries` may see before padding is looked at.
    fn limit(&self, query: usize, queries: usize) -> usize {
        if self.causal { (query + 1 + self.keys).saturating_sub(queries).min(self.keys) } else { self.keys }
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

    /// With `keys` keys in front that were read before, as far from the queries as they are.
    #[must_use]
    pub fn behind(&self, keys: usize) -> Self {
        self.prepend(0, 0.0, keys).with_distance(keys)
    }

    /// The same where so many of the keys that are seen from everywhere are as far from the queries as they
    /// stand.
    #[must_use]
    pub fn with_distance(self, keys: usize) -> Self {
        Self { in_front: self.in_front.saturating_sub(keys), ..self }
    }

    /// With `padding + visible` keys in front, however far a query sees: those of the padding first,
    /// with `bias` on their scores.
    #[must_use]
    pub fn prepend(&self, padding: usize, bias: f32, visible: usize) -> Self {
        let mut all = Vec::with_capacity(self.batch * (self.keys + padding + visible));
        for row in 0..self.batch {
            all.extend(std::iter::repeat_n(bias, padding));
            all.extend(std::iter::repeat_n(0.0, visible));
            all.extend_from_slice(self.row(row));
        }
        let added = padding + visible;
        Self { bias: all.into(), keys: self.keys + added, in_front: self.in_front + added, ..*self }
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
        let t = if self.free_queries > 0 || self.causal || self.reach.is_some() { queries } else { 1 };
        let row = |row: usize| {
            (0..t).flat_map(move |query| {
                let free = query < self.free_queries;
                let limit = self.limit(query, t);
                let bias = match self.reach {
                    Some(reach) => self.around(row, (query, t), reach),
                    None => self.row(row).to_vec(),
                };
                bias.into_iter().enumerate().map(move |(key, b)| match (free, key < limit) {
                    (true, _) => 0.0,
                    (false, true) => b.max(-1e30),
                    (false, false) => -1e30,
                })
            })
        };
        let values: Vec<f32> = (0..self.batch).flat_map(row).collect();
        Tensor::from_vec(values, (self.batch, 1, t, self.keys), like.device())?.to_dtype(like.dtype())
    }
}

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
}

impl Attention {
    /// As many heads of keys and values as of queries.
    pub const fn new(heads: usize) -> Self {
        Self { heads, kv_heads: heads, scale: None, soft_cap: None }
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
        if !is_fused(q) {
            return self.composed([q, k, v], mask, bias);
        }
        let keep = q.track_op() || k.track_op() || v.track_op();
        let bias = bias.map(Tensor::contiguous).transpose()?;
        let op = Op { attention: self, mask: mask.clone(), bias, keep, kept: OnceLock::new() };
        q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)
    }

    /// The same in candle's operations: the fallback off the CPU, the oracle in tests.
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
        let scores = scores.broadcast_add(&mask.additive(t, &scores)?)?;
        let exps = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let p = exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)?;
        p.matmul(&shared(v)?)?.transpose(1, 2)?.reshape((b, t, width))
    }
}

struct Op {
    attention: Attention,
    mask: KeyMask,
    /// `[h, t, s]`, contiguous.
    bias: Option<Tensor>,
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
    kv_heads: usize,
    head: usize,
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

    fn width(self) -> usize {
        self.heads * self.head
    }

    /// Query heads that share a head of keys.
    fn group(self) -> usize {
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

    fn scale<T: Element>(self) -> T {
        T::constant(self.scale)
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

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _o: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dims = Dims::new(self.attention, q.dims(), k.dims(), &self.mask)?;
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
    let Some(bias) = &op.bias else { return forward_from::<T>(op, d, [q, k, v], None) };
    if bias.dims() != [d.heads, d.queries, d.keys] {
        let expected = [d.heads, d.queries, d.keys];
        candle_core::bail!("attention: a bias {:?} on scores {expected:?}", bias.dims());
    }
    with_slice::<T, _>(bias, |bias| forward_from(op, d, [q, k, v], Some(bias)))
}

fn forward_from<T: Element>(
    op: &Op,
    d: Dims,
    [q, k, v]: [Arg<'_>; 3],
    bias: Option<&[T]>,
) -> Result<(CpuStorage, Shape)> {
    let q = slice_of::<T>(q.0, q.1, "attention")?;
    let k = slice_of::<T>(k.0, k.1, "attention")?;
    let v = slice_of::<T>(v.0, v.1, "attention")?;
    // Heads are computed as [b, h, t, d] and put back side by side at the end.
    let mut heads = vec![T::zero(); d.batch * d.queries * d.width()];
    let mut kept = vec![T::zero(); if op.keep { d.batch * d.heads * d.queries * d.keys } else { 0 }];
    let one = |index: usize, out: &mut [T], p: &mut [T]| {
        let (b, h) = (index / d.heads, index % d.heads);
        multiply(p, d.query(q, b, h), d.key(k, b, h).t(), d.scale(), false, Threads::One);
        if let Some(cap) = d.soft_cap {
            soft_cap(p, T::constant(cap));
        }
        if let Some(bias) = bias {
            let own = &bias[h * d.queries * d.keys..(h + 1) * d.queries * d.keys];
            p.iter_mut().zip(own).for_each(|(score, &bias)| *score += bias);
        }
        for (query, row) in p.chunks_exact_mut(d.keys).enumerate() {
            if query < op.mask.free_queries {
                softmax(row, None);
            } else if op.mask.causal {
                let (seen, hidden) = row.split_at_mut(op.mask.limit(query, d.queries));
                hidden.fill(T::zero());
                match op.mask.reach {
                    Some(reach) => {
                        causal_softmax(seen, &op.mask.around(b, (query, d.queries), reach)[..seen.len()]);
                    }
                    None => causal_softmax(seen, &op.mask.row(b)[..seen.len()]),
                }
            } else if let Some(reach) = op.mask.reach {
                softmax(row, Some(&op.mask.around(b, (query, d.queries), reach)));
            } else {
                softmax(row, Some(op.mask.row(b)));
            }
        }
        multiply(
            out,
            Matrix::new(p, d.queries, d.keys, d.keys),
            d.key(v, b, h),
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
    let out = side_by_side(&heads, d.queries, d.heads, d.head);
    Ok((T::to_cpu_storage_owned(out), (d.batch, d.queries, d.width()).into()))
}

/// `∂v = pᵀ ∂o`, `∂p = ∂o vᵀ`, `∂s = p ⊙ (∂p − rowsum(∂p ⊙ p))`, `∂q = ∂s k / √d`, `∂k = ∂sᵀ q / √d`; with
/// a soft cap `c`, `∂s` is multiplied by `1 − tanh²(s / c)` of the scores `s` before it, computed again.
fn backward<T: Element>(d: Dims, [q, k, v]: [&Tensor; 3], p: &Tensor, grad: &Tensor) -> Result<[Tensor; 3]> {
    let (of_queries, of_keys) = (d.queries * d.head, d.keys * d.head);
    let mut dq = vec![T::zero(); d.batch * d.heads * of_queries];
    let mut dk = vec![T::zero(); d.batch * d.kv_heads * of_keys];
    let mut dv = dk.clone();
    with_slice::<T, _>(q, |q| {
        with_slice::<T, _>(k, |k| {
            with_slice::<T, _>(v, |v| {
                with_slice::<T, _>(p, |p| {
                    with_slice::<T, _>(grad, |g| {
                        // The query heads that share keys add to the same gradients, one after the other.
                        let blocks =
                            dq.par_chunks_mut(d.group() * of_queries).zip(dk.par_chunks_mut(of_keys));
                        let blocks = blocks.zip(dv.par_chunks_mut(of_keys)).enumerate();
                        blocks.for_each_init(
                            || vec![T::zero(); d.queries * d.keys],
                            |ds, (i, ((dq, dk), dv))| {
                                for (member, dq) in dq.chunks_exact_mut(of_queries).enumerate() {
                                    let index = i * d.group() + member;
                                    let p = &p[index * d.queries * d.keys..(index + 1) * d.queries * d.keys];
                                    one_head(d, index, [q, k, v, p, g], ds, [dq, dk, dv]);
                                }
                            },
                        );
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
    [q, k, v, p, g]: [&[T]; 5],
    ds: &mut [T],
    [dq, dk, dv]: [&mut [T]; 3],
) {
    let (b, h) = (index / d.heads, index % d.heads);
    let accumulate = h % d.group() > 0;
    let g = d.query(g, b, h);
    let square = |data| Matrix::new(data, d.queries, d.keys, d.keys);
    multiply(dv, square(p).t(), g, T::one(), accumulate, Threads::One);
    multiply(ds, g, d.key(v, b, h).t(), T::one(), false, Threads::One);
    softmax_gradient(ds, p, d.keys);
    if let Some(cap) = d.soft_cap {
        let mut scores = vec![T::zero(); d.queries * d.keys];
        multiply(&mut scores, d.query(q, b, h), d.key(k, b, h).t(), d.scale(), false, Threads::One);
        soft_cap_gradient(ds, &scores, T::constant(cap));
    }
    multiply(dq, square(ds), d.key(k, b, h), d.scale(), false, Threads::One);
    multiply(dk, square(ds).t(), d.query(q, b, h), d.scale(), accumulate, Threads::One);
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

/// The same for a decoder, where a query that sees no key at all gets nothing: what
/// PyTorch's attention gives for the padding on the left.
fn causal_softmax<T: Element>(row: &mut [T], bias: &[f32]) {
    if bias.iter().all(|&b| b == f32::NEG_INFINITY) {
        row.fill(T::zero());
    } else {
        softmax(row, Some(bias));
    }
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

/// `c · tanh(s / c)` of every score `s`.
fn soft_cap<T: Element>(scores: &mut [T], cap: T) {
    for score in scores {
        *score = cap * (*score / cap).tanh();
    }
}

/// `ds` holds the gradient of the bounded scores and becomes that of `scores`.
fn soft_cap_gradient<T: Element>(ds: &mut [T], scores: &[T], cap: T) {
    for (ds, &score) in ds.iter_mut().zip(scores) {
        let bounded = (score / cap).tanh();
        *ds *= T::one() - bounded * bounded;
    }
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
