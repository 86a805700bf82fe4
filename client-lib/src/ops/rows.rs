//! Some rows of a matrix by number, and back: a row's gradient is the sum of those of its copies.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{
    Arg, by_dtype, element::Element, frozen_linear::storage_dtype, is_fused, slice_of, tape, with_slice,
};

/// Rows of `x [m, h]` by number, u32 `[n]` on the same device, to `[n, h]`. On a GPU a number behind the end gives a row
/// of zeros.
pub fn select_rows(x: &Tensor, numbers: &Tensor) -> Result<Tensor> {
    if !is_fused(x) || numbers.dtype() != DType::U32 || numbers.elem_count() == 0 {
        return x.index_select(numbers, 0);
    }
    tape::apply2(Op, [&x.contiguous()?, &numbers.contiguous()?])
}

struct Op;

impl CustomOp2 for Op {
    fn name(&self) -> &'static str {
        "select-rows"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(s1), "select-rows", forward((s1, l1), (s2, l2)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        super::cuda::rows::forward((s1, l1), (s2, l2))
    }

    fn bwd(
        &self,
        x: &Tensor,
        numbers: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return Ok((Some(super::cuda::rows::backward(x, numbers, grad)?), None));
        }
        Ok((Some(by_dtype!(grad.dtype(), "select-rows", backward(x, numbers, grad))?), None))
    }
}

fn forward<T: Element>(x: Arg<'_>, numbers: Arg<'_>) -> Result<(CpuStorage, Shape)> {
    let (xs, (rows, width)) = (slice_of::<T>(x.0, x.1, "select-rows")?, x.1.shape().dims2()?);
    let (CpuStorage::U32(all), Some((start, end))) = (numbers.0, numbers.1.contiguous_offsets()) else {
        candle_core::bail!("select-rows: rows are counted in u32")
    };
    let numbers = &all[start..end];
    if let Some(number) = numbers.iter().find(|&&number| number as usize >= rows) {
        candle_core::bail!("select-rows: there is no row {number} among {rows}");
    }
    let mut y = vec![T::zero(); numbers.len() * width];
    if width > 0 {
        y.par_chunks_exact_mut(width).zip(numbers).for_each(|(y, &number)| {
            y.copy_from_slice(&xs[number as usize * width..][..width]);
        });
    }
    Ok((T::to_cpu_storage_owned(y), (numbers.len(), width).into()))
}

fn backward<T: Element>(x: &Tensor, numbers: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let width = x.dim(1)?;
    let mut dx = vec![T::zero(); x.elem_count()];
    with_slice::<T, _>(grad, |grad| {
        let numbers = numbers.to_vec1::<u32>()?;
        for (number, grad) in numbers.into_iter().zip(grad.chunks_exact(width.max(1))) {
            let row = &mut dx[number as usize * width..][..width];
            row.iter_mut().zip(grad).for_each(|(sum, &g)| *sum += g);
        }
        Ok(())
    })?;
    Tensor::from_vec(dx, x.shape(), x.device())
}
