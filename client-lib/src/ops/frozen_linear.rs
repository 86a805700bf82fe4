//! A linear layer whose weight never gets a gradient.
//!
//! `y = x Wᵀ + b`, backward `∂x = ∂y W` and nothing else: a third of the matrix
//! products of candle's own backward are not done, and no weight gradient is kept.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{
    by_dtype,
    element::Element,
    is_fused,
    matrix::{Matrix, Threads, multiply},
    slice_of, with_slice,
};

/// Frozen `W [out, in]` and `b [out]`.
#[derive(Debug, Clone)]
pub struct FrozenLinear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl FrozenLinear {
    /// Takes the tensors out of any graph they were part of.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it takes the tensors over: a graph must not keep them"
    )]
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Result<Self> {
        let (out, _) = weight.dims2()?;
        if let Some(bias) = &bias {
            bias.shape().dims1().and_then(|n| {
                if n == out { Ok(()) } else { candle_core::bail!("a bias of {n} for {out} outputs") }
            })?;
        }
        Ok(Self {
            weight: weight.detach().contiguous()?,
            bias: bias.map(|b| b.detach().contiguous()).transpose()?,
        })
    }

    /// The weight, `[out, in]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// The same weight without the bias.
    #[must_use]
    pub fn without_bias(&self) -> Self {
        Self { weight: self.weight.clone(), bias: None }
    }

    /// `x [.., in]` to `[.., out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if is_fused(x) {
            return x.contiguous()?.apply_op1(Op(self.clone()));
        }
        super::linear(x, &self.weight, self.bias.as_ref())
    }
}

struct Op(FrozenLinear);

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(storage), "frozen-linear", forward(&self.0, storage, layout))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        by_dtype!(grad.dtype(), "frozen-linear", backward(&self.0, x, grad)).map(Some)
    }
}

pub(super) fn storage_dtype(storage: &CpuStorage) -> candle_core::DType {
    use candle_core::backend::BackendStorage as _;
    storage.dtype()
}

fn forward<T: Element>(
    layer: &FrozenLinear,
    storage: &CpuStorage,
    layout: &Layout,
) -> Result<(CpuStorage, Shape)> {
    let x = slice_of::<T>(storage, layout, "frozen-linear")?;
    let (out, inputs) = layer.weight.dims2()?;
    let mut dims = layout.dims().to_vec();
    if dims.last() != Some(&inputs) {
        candle_core::bail!("frozen-linear: {inputs} inputs expected, the tensor is {dims:?}");
    }
    let rows = x.len() / inputs.max(1);
    let mut y = vec![T::zero(); rows * out];
    let accumulate = match &layer.bias {
        Some(bias) => {
            with_slice::<T, _>(bias, |b| {
                y.chunks_exact_mut(out).for_each(|row| row.copy_from_slice(b));
                Ok(())
            })?;
            true
        }
        None => false,
    };
    with_slice::<T, _>(&layer.weight, |w| {
        let (x, w) = (Matrix::new(x, rows, inputs, inputs), Matrix::new(w, out, inputs, inputs));
        multiply(&mut y, x, w.t(), T::one(), accumulate, Threads::All);
        Ok(())
    })?;
    if let Some(last) = dims.last_mut() {
        *last = out;
    }
    Ok((T::to_cpu_storage_owned(y), dims.into()))
}

fn backward<T: Element>(layer: &FrozenLinear, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (out, inputs) = layer.weight.dims2()?;
    let rows = grad.elem_count() / out.max(1);
    let mut dx = vec![T::zero(); rows * inputs];
    with_slice::<T, _>(grad, |g| {
        with_slice::<T, _>(&layer.weight, |w| {
            let (g, w) = (Matrix::new(g, rows, out, out), Matrix::new(w, out, inputs, inputs));
            multiply(&mut dx, g, w, T::one(), false, Threads::All);
            Ok(())
        })
    })?;
    Tensor::from_vec(dx, x.shape(), x.device())
}
