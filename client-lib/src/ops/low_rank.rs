//! A frozen linear layer with a trained update of low rank, as one operation: `y = W x + b + s · B A x`
//! (Hu et al. 2021).
//!
//! Of what is computed on the way nothing is kept: composed of single operations the graph would hold the frozen
//! output and the update, `[.., out]` each, besides the sum. The narrow product `A x` is computed again in the
//! backward, from the input that other operations hold anyway.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, TensorId};

use super::{
    Arg, by_dtype,
    element::Element,
    frozen_linear::{FrozenLinear, finished, input_gradient, product, storage_dtype},
    is_fused,
    linear::composed as linear,
    matrix::{self, Matrix, Threads, multiply},
    slice_of, tape, with_slice,
};

/// An update `s · B A` of a weight.
#[derive(Debug, Clone, Copy)]
pub struct LowRank<'a> {
    /// `A [r, in]`
    pub a: &'a Tensor,
    /// `B [out, r]`
    pub b: &'a Tensor,
    /// `s`
    pub scaling: f64,
}

impl LowRank<'_> {
    /// The output of `layer` with this update; `x [.., in]` to `[.., out]`.
    pub fn forward(self, layer: &FrozenLinear, x: &Tensor) -> Result<Tensor> {
        if !is_fused(x) {
            return self.composed(layer, x);
        }
        let x = x.contiguous()?;
        let op = Op { layer: layer.clone(), scaling: self.scaling, input: x.id() };
        tape::apply3(op, [&x, &self.a.contiguous()?, &self.b.contiguous()?])
    }

    /// The same in candle's operations: the fallback where there is no kernel, the oracle in tests.
    pub(super) fn composed(self, layer: &FrozenLinear, x: &Tensor) -> Result<Tensor> {
        // The factor on the narrow side: r columns instead of `out`.
        let narrow = (linear(x, self.a, None)? * self.scaling)?;
        layer.forward(x)? + linear(&narrow, self.b, None)?
    }
}

struct Op {
    layer: FrozenLinear,
    scaling: f64,
    /// Of the tensor that it reads.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "only a GPU keeps what it rounded"))]
    input: TensorId,
}

/// The sizes of one call.
#[derive(Clone, Copy)]
pub(super) struct Dims {
    pub(super) rows: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) rank: usize,
}

impl Op {
    fn dims(&self, x: &[usize], a: &[usize], b: &[usize]) -> Result<Dims> {
        let (outputs, inputs) = self.layer.dims()?;
        match (x, a, b) {
            ([outer @ .., width], &[rank, of_a], &[of_b, r])
                if (*width, of_a, of_b, r) == (inputs, inputs, outputs, rank) =>
            {
                Ok(Dims { rows: outer.iter().product(), inputs, outputs, rank })
            }
            _ => candle_core::bail!("low-rank: an input {x:?}, A {a:?} and B {b:?} on [{outputs}, {inputs}]"),
        }
    }
}

impl CustomOp3 for Op {
    fn name(&self) -> &'static str {
        "low-rank"
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
        let dims = self.dims(l1.dims(), l2.dims(), l3.dims())?;
        by_dtype!(storage_dtype(s1), "low-rank", forward(self, dims, (s1, l1), (s2, l2), (s3, l3)))
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
        let dims = self.dims(l1.dims(), l2.dims(), l3.dims())?;
        super::cuda::low_rank::forward(
            &self.layer,
            self.scaling,
            (dims, self.input),
            [(s1, l1), (s2, l2), (s3, l3)],
        )
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dims = self.dims(x.dims(), a.dims(), b.dims())?;
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return super::cuda::low_rank::backward(&self.layer, self.scaling, dims, [x, a, b], grad);
        }
        by_dtype!(grad.dtype(), "low-rank", backward(self, dims, [x, a, b], grad))
    }
}

fn forward<T: Element>(op: &Op, d: Dims, x: Arg<'_>, a: Arg<'_>, b: Arg<'_>) -> Result<(CpuStorage, Shape)> {
    let shape = x.1.dims().to_vec();
    let x = slice_of::<T>(x.0, x.1, "low-rank")?;
    let a = slice_of::<T>(a.0, a.1, "low-rank")?;
    let b = slice_of::<T>(b.0, b.1, "low-rank")?;
    let mut y = product(&op.layer, x, d.rows)?;
    let narrow = narrow(d, x, a);
    let narrow = Matrix::new(&narrow, d.rows, d.rank, d.rank);
    let b = Matrix::new(b, d.outputs, d.rank, d.rank);
    multiply(&mut y, narrow, b.t(), T::constant(op.scaling), true, Threads::All);
    Ok(finished(y, shape, d.outputs))
}

/// `A x` of every row.
fn narrow<T: Element>(d: Dims, x: &[T], a: &[T]) -> Vec<T> {
    let (x, a) = (Matrix::new(x, d.rows, d.inputs, d.inputs), Matrix::new(a, d.rank, d.inputs, d.inputs));
    matrix::product(x, a.t(), Threads::All)
}

/// With `n = A x` and `∂n = s ∂y B`, row by row: `∂x = ∂y W + ∂n A`, `∂A = ∂nᵀ x`, `∂B = s ∂yᵀ n`.
fn backward<T: Element>(
    op: &Op,
    d: Dims,
    [x, a, b]: [&Tensor; 3],
    grad: &Tensor,
) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
    let tensor = |values: Vec<T>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
    let kernel = |xs: &[T], a_s: &[T], b_s: &[T], gs: &[T]| {
        let g = Matrix::new(gs, d.rows, d.outputs, d.outputs);
        let (xm, am) =
            (Matrix::new(xs, d.rows, d.inputs, d.inputs), Matrix::new(a_s, d.rank, d.inputs, d.inputs));
        let bm = Matrix::new(b_s, d.outputs, d.rank, d.rank);
        let scaling = T::constant(op.scaling);
        let mut dn = vec![T::zero(); d.rows * d.rank];
        multiply(&mut dn, g, bm, scaling, false, Threads::All);
        let dn = Matrix::new(&dn, d.rows, d.rank, d.rank);
        let dx = x.track_op().then(|| {
            let mut dx = input_gradient(&op.layer, gs)?;
            multiply(&mut dx, dn, am, T::one(), true, Threads::All);
            tensor(dx, x)
        });
        let da = a.track_op().then(|| tensor(matrix::product(dn.t(), xm, Threads::All), a));
        let db = b.track_op().then(|| {
            let narrow = narrow(d, xs, a_s);
            let mut db = vec![T::zero(); d.outputs * d.rank];
            let n = Matrix::new(&narrow, d.rows, d.rank, d.rank);
            multiply(&mut db, g.t(), n, scaling, false, Threads::All);
            tensor(db, b)
        });
        Ok((dx.transpose()?, da.transpose()?, db.transpose()?))
    };
    with_slice::<T, _>(x, |xs| {
        with_slice::<T, _>(a, |a_s| {
            with_slice::<T, _>(b, |b_s| with_slice::<T, _>(grad, |gs| kernel(xs, a_s, b_s, gs)))
        })
    })
}
