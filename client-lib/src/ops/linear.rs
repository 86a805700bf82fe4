//! A linear layer whose weight or bias is learnt: `y = x Wᵀ + b`, `∂x = ∂y W`, `∂W = ∂yᵀ x`, `∂b = Σ ∂y`.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::{
    Arg, by_dtype,
    element::Element,
    frozen_linear::{add_to_rows, finished, storage_dtype},
    is_fused,
    matrix::{self, Matrix, Threads, column_sums},
    slice_of, tape, with_slice,
};

/// `x · Wᵀ + b` with trainable `W [out, in]` and `b [out]`; `x` is `[…, in]`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let alike = |other: &Tensor| other.dtype() == x.dtype() && other.device().same_device(x.device());
    let is_plain = weight.rank() == 2 && bias.is_none_or(|bias| bias.rank() == 1 && alike(bias));
    if !is_fused(x) || !alike(weight) || !is_plain || x.elem_count() == 0 {
        return composed(x, weight, bias);
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        None => tape::apply2(Op, [&x, &weight]),
        Some(bias) => tape::apply3(Op, [&x, &weight, &bias.contiguous()?]),
    }
}

/// The same in candle's operations: the fallback where there is no kernel, the oracle in tests.
pub(super) fn composed(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let mut dims = x.dims().to_vec();
    let inputs = dims.pop().unwrap_or_default();
    let rows = dims.iter().product::<usize>();
    let y = x.reshape((rows, inputs))?.matmul(&weight.t()?)?;
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    dims.push(weight.dim(0)?);
    y.reshape(dims)
}

struct Op;

/// The sizes of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dims {
    pub(super) rows: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Dims {
    fn new(x: &[usize], weight: &[usize], bias: Option<&[usize]>) -> Result<Self> {
        match (x, weight) {
            ([outer @ .., width], &[outputs, inputs])
                if *width == inputs && bias.is_none_or(|bias| *bias == [outputs]) =>
            {
                Ok(Self { rows: outer.iter().product(), inputs, outputs })
            }
            _ => candle_core::bail!("linear: an input {x:?}, a weight {weight:?} and a bias {bias:?}"),
        }
    }
}

impl CustomOp2 for Op {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let d = Dims::new(l1.dims(), l2.dims(), None)?;
        by_dtype!(storage_dtype(s1), "linear", forward(d, (s1, l1), (s2, l2), None))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let d = Dims::new(l1.dims(), l2.dims(), None)?;
        super::cuda::linear::forward(d, (s1, l1), (s2, l2), None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, _] = gradients([x, w], None, grad)?;
        Ok((dx, dw))
    }
}

impl CustomOp3 for Op {
    fn name(&self) -> &'static str {
        "linear-with-bias"
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
        let d = Dims::new(l1.dims(), l2.dims(), Some(l3.dims()))?;
        by_dtype!(storage_dtype(s1), "linear", forward(d, (s1, l1), (s2, l2), Some((s3, l3))))
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
        let d = Dims::new(l1.dims(), l2.dims(), Some(l3.dims()))?;
        super::cuda::linear::forward(d, (s1, l1), (s2, l2), Some((s3, l3)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, db] = gradients([x, w], Some(b), grad)?;
        Ok((dx, dw, db))
    }
}

fn forward<T: Element>(d: Dims, x: Arg<'_>, w: Arg<'_>, b: Option<Arg<'_>>) -> Result<(CpuStorage, Shape)> {
    let (xs, ws) = (slice_of::<T>(x.0, x.1, "linear")?, slice_of::<T>(w.0, w.1, "linear")?);
    let (xm, wm) =
        (Matrix::new(xs, d.rows, d.inputs, d.inputs), Matrix::new(ws, d.outputs, d.inputs, d.inputs));
    let mut y = matrix::product(xm, wm.t(), Threads::All);
    if let Some(b) = b {
        add_to_rows(&mut y, slice_of::<T>(b.0, b.1, "linear")?);
    }
    Ok(finished(y, x.1.dims().to_vec(), d.outputs))
}

/// Of input, weight and bias, as far as they are learnt through.
fn gradients([x, w]: [&Tensor; 2], b: Option<&Tensor>, grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
    let d = Dims::new(x.dims(), w.dims(), b.map(Tensor::dims))?;
    #[cfg(feature = "cuda")]
    if grad.device().is_cuda() {
        return super::cuda::linear::backward(d, [x, w], b, grad);
    }
    by_dtype!(grad.dtype(), "linear", backward(d, [x, w], b, grad))
}

fn backward<T: Element>(
    d: Dims,
    [x, w]: [&Tensor; 2],
    b: Option<&Tensor>,
    grad: &Tensor,
) -> Result<[Option<Tensor>; 3]> {
    let kernel = |xs: &[T], ws: &[T], gs: &[T]| {
        let g = Matrix::new(gs, d.rows, d.outputs, d.outputs);
        let product = |a: Matrix<'_, T>, b: Matrix<'_, T>, like: &Tensor| {
            Tensor::from_vec(matrix::product(a, b, Threads::All), like.shape(), like.device())
        };
        let xm = Matrix::new(xs, d.rows, d.inputs, d.inputs);
        let wm = Matrix::new(ws, d.outputs, d.inputs, d.inputs);
        let [dx, dw] = [(x, g, wm), (w, g.t(), xm)]
            .map(|(of, a, b)| of.track_op().then(|| product(a, b, of)).transpose());
        let db = b.filter(|b| b.track_op());
        let db = db.map(|b| Tensor::from_vec(column_sums(gs, d.outputs), b.shape(), b.device())).transpose();
        Ok([dx?, dw?, db?])
    };
    with_slice::<T, _>(x, |xs| with_slice::<T, _>(w, |ws| with_slice::<T, _>(grad, |gs| kernel(xs, ws, gs))))
}
