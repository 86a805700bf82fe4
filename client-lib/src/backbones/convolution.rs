//! A convolution over neighbouring tokens beside the first block (He et al. 2021, section 4.1: n-gram induced input encoding).

use candle_core::{Result, Tensor};
use hub_formats::architectures::{Convolution as Config, TransformerConfig};

use super::{
    Linear,
    hooks::repeat_rows,
    weights::Weights,
    windows::{matrix_of, windows},
};
use crate::ops::{Norm, activate};

/// `norm(y + φ(conv(x)))` of what the first block reads and gives, 0 at padding.
#[derive(Debug, Clone)]
pub(super) struct Convolution {
    config: Config,
    /// As the matrix `[h, kernel · h]` that it is, the tokens of a window side by side.
    matrix: Linear,
    norm: Norm,
}

impl Convolution {
    /// `None` for a backbone without one.
    pub(super) fn load(config: &TransformerConfig, weights: &Weights<'_>) -> Result<Option<Self>> {
        let Some(own) = config.encoder.convolution else { return Ok(None) };
        let matrix = matrix_of(&whole(&weights.get("convolution.weight")?, own.groups)?)?;
        Ok(Some(Self {
            config: own,
            matrix: weights.frozen(matrix, Some(weights.get("convolution.bias")?))?,
            norm: weights.norm("convolution.norm", config)?,
        }))
    }

    /// What the second block reads, `[b, t, h]`: `x` is what the first one read, `y` what it gave, several times as many
    /// rows where adapters in parallel part there. `mask` is u32 `[b, t]`.
    pub(super) fn forward(&self, x: &Tensor, y: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let kept = mask.to_dtype(x.dtype())?.unsqueeze(2)?;
        let z = self.matrix.forward(&windows(x, self.config.kernel, 1)?)?.broadcast_mul(&kept)?;
        let rows = y.dim(0)?;
        let sum = (y + repeat_rows(&activate(&z, self.config.activation)?, rows)?)?;
        self.norm.forward(&sum)?.broadcast_mul(&repeat_rows(&kept, rows)?)
    }
}

/// A grouped kernel `[h, h / groups, k]` with zeros between groups, `[h, h, k]`.
fn whole(kernel: &Tensor, groups: usize) -> Result<Tensor> {
    let (outputs, inputs, _) = kernel.dims3()?;
    let each = outputs / groups;
    let spread = |group: usize| {
        let own = kernel.narrow(0, group * each, each)?;
        own.pad_with_zeros(1, group * inputs, (groups - 1 - group) * inputs)
    };
    let all = (0..groups).map(spread).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&all, 0)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn windows_times_a_grouped_kernel_are_a_convolution() {
        let random = |shape: (usize, usize, usize)| {
            let n = shape.0 * shape.1 * shape.2;
            let values: Vec<f64> = (0..n).map(|i| (i as f64 * 1.7).sin()).collect();
            Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor")
        };
        for (kernel, groups) in [(3, 1), (5, 1), (3, 2), (1, 3)] {
            let (x, own) = (random((2, 7, 6)), random((6, 6 / groups, kernel)));
            let expected =
                x.transpose(1, 2).and_then(|x| x.conv1d(&own, kernel / 2, 1, 1, groups)?.transpose(1, 2));
            let matrix = whole(&own, groups).and_then(|own| matrix_of(&own)?.t());
            let found = windows(&x, kernel, 1).and_then(|x| x.broadcast_matmul(&matrix?));
            let far = found.and_then(|found| {
                (found - expected?)?.abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()
            });
            assert!(far.expect("a difference") < 1e-12, "{kernel} in {groups} groups");
        }
    }
}
