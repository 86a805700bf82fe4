//! Convolutions over time as the products with a matrix that they are.

use candle_core::{Result, Tensor};

/// Every `stride`-th of `x [b, t, c]` between its neighbours, with zeros beyond the ends:
/// `[b, t / stride, kernel · c]` for an odd `kernel` and a `t` that `stride` divides.
pub(super) fn windows(x: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let (b, t, c) = x.dims3()?;
    let padded = x.pad_with_zeros(1, kernel / 2, kernel / 2)?;
    let neighbour = |at: usize| match padded.narrow(1, at, t)? {
        every if stride == 1 => Ok(every),
        every => every.contiguous()?.reshape((b, t / stride, stride, c))?.narrow(2, 0, 1)?.squeeze(2),
    };
    Tensor::cat(&(0..kernel).map(neighbour).collect::<Result<Vec<_>>>()?, 2)
}

/// A kernel `[h, c, k]` as the matrix `[h, k · c]` that [`windows`] are multiplied with.
pub(super) fn matrix_of(kernel: &Tensor) -> Result<Tensor> {
    kernel.transpose(1, 2)?.flatten_from(1)?.contiguous()
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn windows_times_weights_are_a_convolution() {
        let random = |shape: (usize, usize, usize)| {
            let n = shape.0 * shape.1 * shape.2;
            let values: Vec<f64> = (0..n).map(|i| (i as f64 * 1.7).sin()).collect();
            Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor")
        };
        let (x, kernel) = (random((2, 6, 3)), random((4, 3, 3)));
        let matrix = matrix_of(&kernel).and_then(|k| k.t()?.contiguous()).expect("a matrix");
        for stride in [1, 2] {
            let found = windows(&x, 3, stride).and_then(|w| w.broadcast_matmul(&matrix)).expect("a product");
            let expected = x.transpose(1, 2).and_then(|x| x.contiguous()?.conv1d(&kernel, 1, stride, 1, 1));
            let expected = expected.and_then(|y| y.transpose(1, 2)).expect("a convolution");
            let apart =
                (found - expected).and_then(|d| d.abs()?.flatten_all()?.max(0)).expect("a difference");
            assert!(apart.to_dtype(DType::F64).and_then(|d| d.to_scalar::<f64>()).expect("a number") < 1e-12);
        }
    }
}
