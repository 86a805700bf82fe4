//! Inverses of small matrices, with a backward.

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, WithDType};

use super::{element::Element, slice_of, tape};

/// The inverse of every matrix of `x [n, k, k]`. Refuses a matrix that has none.
///
/// Gauss-Jordan elimination with partial pivoting, in f64. The gradient with respect to
/// `x` is `−X⁻ᵀ G X⁻ᵀ`.
pub fn inverse(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() && matches!(x.dtype(), DType::F32 | DType::F64) {
        return tape::apply1(Inverse, &x.contiguous()?);
    }
    // A few small matrices: not worth a kernel on another device.
    let precision = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let here = tape::apply1(Inverse, &x.to_device(&Device::Cpu)?.to_dtype(precision)?.contiguous()?)?;
    here.to_dtype(x.dtype())?.to_device(x.device())
}

struct Inverse;

impl CustomOp1 for Inverse {
    fn name(&self) -> &'static str {
        "inverse"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, k, columns) = layout.shape().dims3()?;
        if k != columns {
            candle_core::bail!("matrices of {k} rows and {columns} columns have no inverse")
        }
        let inverted = match storage {
            CpuStorage::F32(_) => each::<f32>(storage, layout, k)?,
            CpuStorage::F64(_) => each::<f64>(storage, layout, k)?,
            _ => candle_core::bail!("inverses are computed in F32 and F64"),
        };
        Ok((inverted, layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, inverse: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let transposed = inverse.transpose(1, 2)?.contiguous()?;
        transposed.matmul(&gradient.contiguous()?)?.matmul(&transposed)?.neg().map(Some)
    }
}

fn each<T: Element>(storage: &CpuStorage, layout: &Layout, k: usize) -> Result<CpuStorage> {
    let all = slice_of::<T>(storage, layout, "inverse")?;
    let mut out = Vec::with_capacity(all.len());
    for matrix in all.chunks_exact((k * k).max(1)) {
        let wide: Vec<f64> = matrix.iter().map(|&x| WithDType::to_f64(x)).collect();
        out.extend(invert(wide, k)?.into_iter().map(T::constant));
    }
    Ok(T::to_cpu_storage_owned(out))
}

/// The inverse of a `k × k` matrix, row-major.
fn invert(mut left: Vec<f64>, k: usize) -> Result<Vec<f64>> {
    let mut right = vec![0.0; k * k];
    (0..k).for_each(|i| right[i * k + i] = 1.0);
    for column in 0..k {
        let size = |row: &usize| left[row * k + column].abs();
        let pivot = (column..k).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(column);
        let largest = left[pivot * k + column];
        if largest == 0.0 || !largest.is_finite() {
            candle_core::bail!("a matrix has no inverse: its pivot {column} of {k} is {largest}")
        }
        for i in 0..k {
            left.swap(pivot * k + i, column * k + i);
            right.swap(pivot * k + i, column * k + i);
            left[column * k + i] /= if i == column { 1.0 } else { largest };
            right[column * k + i] /= largest;
        }
        left[column * k + column] = 1.0;
        for row in (0..k).filter(|&row| row != column) {
            let factor = left[row * k + column];
            for i in 0..k {
                left[row * k + i] -= factor * left[column * k + i];
                right[row * k + i] -= factor * right[column * k + i];
            }
        }
    }
    Ok(right)
}
