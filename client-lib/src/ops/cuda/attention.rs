//! Attention. In bf16 the scores never leave the chip, where there are kernels for it; else the heads lie behind each
//! other, the products are cuBLAS's, and one kernel stands between them: as many rows of the batch at a time as their
//! scores have room for. The probabilities are computed again in the backward either way.

use candle_core::{CudaDevice, CudaStorage, Device, Result, Shape, Tensor};
use half::bf16;
use hub_kernels::cuda::{
    self, Attended, Factor, FlashInputs, FlashSizes, Mask, Number, Product, Scores, Slice, View,
};

use super::{Arg, finished, tensor, view, with_views};
use crate::ops::{
    Arithmetic, KeyMask,
    attention::{Dims, Op},
};

/// Scores that are computed at a time: half a gigabyte.
const AT_ONCE: usize = 1 << 27;

pub(in crate::ops) fn forward(op: &Op, d: Dims, args: [Arg<'_>; 3]) -> Result<(CudaStorage, Shape)> {
    let device = &args[0].0.device;
    let [q, k, v] = [view(args[0], "attention")?, view(args[1], "attention")?, view(args[2], "attention")?];
    let views = [&q, &k, &v];
    let o = match op.attention.arithmetic {
        Arithmetic::Exact => Call::<f32>::new(op, d, views, device)?.forward(op)?,
        Arithmetic::Bf16 if is_flash(op, d) => Call::<bf16>::new(op, d, views, device)?.flash(op)?,
        Arithmetic::Bf16 => Call::<bf16>::new(op, d, views, device)?.forward(op)?,
    };
    Ok(finished(o, device, (d.batch, d.queries, d.width())))
}

pub(in crate::ops) fn backward(
    op: &Op,
    d: Dims,
    [q, k, v, o]: [&Tensor; 4],
    grad: &Tensor,
) -> Result<[Tensor; 3]> {
    with_views([q, k, v, o, grad], |device, [of_q, of_k, of_v, o, grad]| {
        let views = [of_q, of_k, of_v];
        let [dq, dk, dv] = match op.attention.arithmetic {
            Arithmetic::Exact => Call::<f32>::new(op, d, views, device)?.backward(op, grad)?,
            Arithmetic::Bf16 if is_flash(op, d) => {
                Call::<bf16>::new(op, d, views, device)?.flash_backward(op, o, grad)?
            }
            Arithmetic::Bf16 => Call::<bf16>::new(op, d, views, device)?.backward(op, grad)?,
        };
        Ok([tensor(dq, device, q.shape()), tensor(dk, device, k.shape()), tensor(dv, device, v.shape())])
    })
}

/// The mask as kernels read it, with what is added to scores on the GPU.
fn seen<'a>(mask: &KeyMask, bias: &'a View<'a, f32>) -> Mask<'a> {
    Mask {
        bias,
        hides: mask.hides_any(),
        free_queries: mask.free_queries,
        causal: mask.causal,
        reach: mask.reach,
        in_front: mask.in_front,
    }
}

/// Whether the kernels that keep scores on the chip compute the same: nothing is added for distances, none is too far,
/// and every query sees something, or nothing gives nothing.
fn is_flash(op: &Op, d: Dims) -> bool {
    let sees = op.mask.causal || op.mask.shows_all_rows_something();
    sizes(d).has_kernels() && op.bias.is_none() && op.mask.reach.is_none() && sees
}

fn sizes(d: Dims) -> FlashSizes {
    FlashSizes {
        batch: d.batch,
        queries: d.queries,
        keys: d.keys,
        heads: d.heads,
        kv_heads: d.kv_heads,
        head: d.head,
        scale: d.scale_single(),
    }
}

/// One attention, its operands as `[b, heads, tokens, d]` in the precision of its products.
struct Call<'a, T> {
    d: Dims,
    device: &'a CudaDevice,
    q: Slice<T>,
    k: Slice<T>,
    v: Slice<T>,
    mask: Tensor,
}

impl<'a, T: Number> Call<'a, T> {
    fn new(op: &Op, d: Dims, [q, k, v]: [&View<'_, f32>; 3], device: &'a CudaDevice) -> Result<Self> {
        op.check_bias(d)?;
        Ok(Self {
            d,
            device,
            q: cuda::split_heads(device, q, (d.queries, d.heads, d.head))?,
            k: cuda::split_heads(device, k, (d.keys, d.kv_heads, d.head))?,
            v: cuda::split_heads(device, v, (d.keys, d.kv_heads, d.head))?,
            mask: op.mask.on(&Device::Cuda(device.clone()))?,
        })
    }

    /// Parts of the batch: their first row and how many.
    fn parts(&self) -> impl Iterator<Item = (usize, usize)> + use<T> {
        let (batch, of_row) = (self.d.batch, self.d.heads * self.d.square());
        let rows = (AT_ONCE / of_row.max(1)).max(1);
        (0..batch).step_by(rows).map(move |start| (start, rows.min(batch - start)))
    }

    /// Queries of some rows of the batch, `[rows · g, heads / g · t, d]`: those that share keys behind each other.
    fn queries<'s, N>(&self, all: &'s Slice<N>, (start, rows): (usize, usize)) -> View<'s, N> {
        let of_row = self.d.queries * self.d.width();
        all.slice(start * of_row..(start + rows) * of_row)
    }

    /// Keys or values of some rows of the batch, `[rows · g, s, d]`.
    fn keys<'s>(&self, all: &'s Slice<T>, (start, rows): (usize, usize)) -> View<'s, T> {
        let of_row = self.d.keys * self.d.kv_heads * self.d.head;
        all.slice(start * of_row..(start + rows) * of_row)
    }

    fn product(&self, rows: usize, m: usize, n: usize, k: usize) -> Product {
        Product { batch: rows * self.d.kv_heads, ..Product::one(m, n, k) }
    }

    /// Queries that share keys.
    fn together(&self) -> usize {
        self.d.group() * self.d.queries
    }

    fn sizes(&self, rows: usize) -> Scores {
        Scores { batch: rows, heads: self.d.heads, queries: self.d.queries, keys: self.d.keys }
    }

    fn probabilities(&self, op: &Op, part: (usize, usize)) -> Result<Slice<T>> {
        let (d, (start, rows)) = (self.d, part);
        let of = Product { scale: d.scale_single(), ..self.product(rows, self.together(), d.keys, d.head) };
        let (q, k) = (self.queries(&self.q, part), self.keys(&self.k, part));
        let scores = cuda::multiply(self.device, of, &Factor::new(&q), &Factor::transposed(&k))?;
        let scores = scores.as_view();
        with_views([&self.mask, op.bias.as_ref().unwrap_or(&self.mask)], |device, [mask, bias]| {
            let mask = mask.slice(start * d.keys..(start + rows) * d.keys);
            let mask = seen(&op.mask, &mask);
            let bias = op.bias.is_some().then_some(bias);
            cuda::softmax(device, self.sizes(rows), &scores, bias, &mask)
        })
    }

    fn forward(&self, op: &Op) -> Result<Slice<f32>> {
        let d = self.d;
        let mut parts = Vec::new();
        for part in self.parts() {
            let p = self.probabilities(op, part)?;
            let v = self.keys(&self.v, part);
            let of = self.product(part.1, self.together(), d.head, d.keys);
            let o = cuda::multiply(self.device, of, &Factor::new(&p.as_view()), &Factor::new(&v))?;
            parts.push(o);
        }
        self.joined(parts, (d.queries, d.heads))
    }

    fn backward(&self, op: &Op, grad: &View<'_, f32>) -> Result<[Slice<f32>; 3]> {
        let d = self.d;
        let grad = cuda::split_heads::<T>(self.device, grad, (d.queries, d.heads, d.head))?;
        let (mut of_q, mut of_k, mut of_v) = (Vec::new(), Vec::new(), Vec::new());
        for part in self.parts() {
            let rows = part.1;
            let p = self.probabilities(op, part)?;
            let (g, v) = (self.queries(&grad, part), self.keys(&self.v, part));
            let of = self.product(rows, d.keys, d.head, self.together());
            let multiply = |of, a: Factor<'_, T>, b: Factor<'_, T>| cuda::multiply(self.device, of, &a, &b);
            of_v.push(multiply(of, Factor::transposed(&p.as_view()), Factor::new(&g))?);
            let of = self.product(rows, self.together(), d.keys, d.head);
            let dp = multiply(of, Factor::new(&g), Factor::transposed(&v))?;
            let ds = cuda::softmax_gradient(self.device, self.sizes(rows), &p.as_view(), &dp.as_view())?;
            let (ds, q, k) = (ds.as_view(), self.queries(&self.q, part), self.keys(&self.k, part));
            let scaled = |of| Product { scale: d.scale_single(), ..of };
            let of = scaled(self.product(rows, self.together(), d.head, d.keys));
            of_q.push(multiply(of, Factor::new(&ds), Factor::new(&k))?);
            let of = scaled(self.product(rows, d.keys, d.head, self.together()));
            of_k.push(multiply(of, Factor::transposed(&ds), Factor::new(&q))?);
        }
        let (queries, keys) = ((d.queries, d.heads), (d.keys, d.kv_heads));
        Ok([self.joined(of_q, queries)?, self.joined(of_k, keys)?, self.joined(of_v, keys)?])
    }

    /// `[b, h, t, d]` in parts of the batch, to `[b, t, h·d]`.
    fn joined(&self, parts: Vec<Slice<f32>>, (tokens, heads): (usize, usize)) -> Result<Slice<f32>> {
        let all = match <[Slice<f32>; 1]>::try_from(parts) {
            Ok([all]) => all,
            Err(parts) => cuda::concatenate(self.device, &parts)?,
        };
        cuda::join_heads(self.device, &all.as_view(), (tokens, heads, self.d.head))
    }
}

impl Call<'_, bf16> {
    fn with_inputs<R>(&self, op: &Op, use_inputs: impl FnOnce(FlashInputs<'_>) -> Result<R>) -> Result<R> {
        with_views([&self.mask], |_, [bias]| {
            let (q, k, v) = (self.q.as_view(), self.k.as_view(), self.v.as_view());
            use_inputs(FlashInputs { q: &q, k: &k, v: &v, mask: &seen(&op.mask, bias) })
        })
    }

    fn flash(&self, op: &Op) -> Result<Slice<f32>> {
        let d = self.d;
        let Attended { output, logs } =
            self.with_inputs(op, |inputs| cuda::flash(self.device, sizes(d), inputs))?;
        // A graph that is computed twice gives the same twice.
        op.logs.get_or_init(|| tensor(logs, self.device, (d.batch, d.heads, d.queries)));
        Ok(output)
    }

    fn flash_backward(&self, op: &Op, o: &View<'_, f32>, grad: &View<'_, f32>) -> Result<[Slice<f32>; 3]> {
        let d = self.d;
        let Some(logs) = op.logs.get() else { candle_core::bail!("attention: a backward without a forward") };
        let halves = cuda::split_heads::<bf16>(self.device, grad, (d.queries, d.heads, d.head))?;
        with_views([logs], |device, [logs]| {
            self.with_inputs(op, |inputs| {
                cuda::flash_backward(device, sizes(d), inputs, [o, logs, grad], &halves.as_view())
            })
        })
    }
}
