//! The sum of two tensors of one shape.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use hub_kernels::{fresh, vectorised_once};

use super::{
    Arg, activation::CHUNK, by_dtype, element::Element, frozen_linear::storage_dtype, is_fused, slice_of,
    tape,
};

/// `a + b`, as a residual connection adds.
pub fn sum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !is_fused(a) || a.dims() != b.dims() {
        return a + b;
    }
    tape::apply2(Op, [&a.contiguous()?, &b.contiguous()?])
}

/// The same outside of any graph.
pub(crate) fn added(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !is_fused(a) || a.dims() != b.dims() {
        return a.detach() + b.detach();
    }
    a.contiguous()?.apply_op2_no_bwd(&b.contiguous()?, &Op)
}

struct Op;

impl CustomOp2 for Op {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(s1), "sum", forward((s1, l1), (s2, l2)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        super::cuda::sum::forward((s1, l1), (s2, l2))
    }

    /// Both sides have the gradient of the sum.
    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let of = |side: &Tensor| side.track_op().then(|| grad.clone());
        Ok((of(a), of(b)))
    }
}

fn forward<T: Element>(a: Arg<'_>, b: Arg<'_>) -> Result<(CpuStorage, Shape)> {
    let (left, right) = (slice_of::<T>(a.0, a.1, "sum")?, slice_of::<T>(b.0, b.1, "sum")?);
    let y = fresh::vector(left.len(), CHUNK, |part, y| {
        let (a, b) = (&left[part.clone()], &right[part]);
        vectorised_once(
            #[inline(always)]
            || y.fill(a.iter().zip(b).map(|(&a, &b)| a + b)),
        )
    });
    Ok((T::to_cpu_storage_owned(y), a.1.shape().clone()))
}
