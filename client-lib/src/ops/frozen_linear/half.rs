//! A matrix in half precision that stays so where it lies in its file. A copy in single precision is there only while it is
//! packed, or multiplied with many rows.

use std::{ops::Range, sync::OnceLock};

use candle_core::{Device, Result, Tensor};
use hub_formats::checkpoint::{BlockKind, Blocks, SharedBytes};
use hub_schemas::layout::Dtype;
use rayon::prelude::*;

/// Rows that a thread converts at a time.
const ROWS: usize = 16;

/// Numbers `[rows, columns]` in f16 or bf16, each of which single precision has too.
#[derive(Debug)]
pub struct HalfMatrix {
    blocks: Blocks,
    /// A copy in single precision, from when something asks for a tensor on.
    copy: OnceLock<Tensor>,
}

impl HalfMatrix {
    /// `None` where they are of another type, or the file holds no such numbers there.
    pub fn new(file: &SharedBytes, bytes: Range<u64>, dtype: Dtype, dims: (usize, usize)) -> Option<Self> {
        let kind = match dtype {
            Dtype::F16 => BlockKind::F16,
            Dtype::BF16 => BlockKind::Bf16,
            _ => return None,
        };
        Blocks::shared(kind, dims, file, bytes).map(|blocks| Self { blocks, copy: OnceLock::new() })
    }

    /// The numbers as they lie in the file.
    pub(super) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// All numbers in single precision, row-major: a copy for as long as somebody needs it.
    pub(super) fn singles(&self) -> Vec<f32> {
        let (rows, columns) = self.blocks.dims();
        let mut all = vec![0.0; rows * columns];
        all.par_chunks_mut((ROWS * columns).max(1)).enumerate().for_each(|(i, out)| {
            self.blocks.rows(i * ROWS, out);
        });
        all
    }

    /// All numbers as a tensor in single precision.
    pub(super) fn tensor(&self) -> Result<Tensor> {
        if let Some(copy) = self.copy.get() {
            return Ok(copy.clone());
        }
        let copy = Tensor::from_vec(self.singles(), self.blocks.dims(), &Device::Cpu)?;
        Ok(self.copy.get_or_init(|| copy).clone())
    }

    /// The tensor, where somebody has asked for it.
    pub(super) fn kept(&self) -> Option<&Tensor> {
        self.copy.get()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::DType;
    use hub_kernels::{Side, few};

    use super::{
        super::{Arithmetic, FrozenLinear, input_gradient, product},
        *,
    };

    const DIMS: (usize, usize) = (70, 48);

    fn numbers(count: usize, seed: f32) -> Vec<f32> {
        (0..count).map(|i| (seed * (i as f32 + 1.0)).sin()).collect()
    }

    /// A layer on a file of halves, behind bytes of something else, and one on the same numbers in single precision.
    fn layers(dtype: DType, stored: Dtype, arithmetic: Arithmetic) -> [FrozenLinear; 2] {
        let (out, inputs) = DIMS;
        let weight = Tensor::from_vec(numbers(out * inputs, 0.7), DIMS, &Device::Cpu).expect("a tensor");
        let halves = weight.to_dtype(dtype).expect("rounds");
        let bits: Vec<u8> = if dtype == DType::F16 {
            let all = halves.flatten_all().and_then(|all| all.to_vec1::<half::f16>()).expect("halves");
            all.iter().flat_map(|number| number.to_le_bytes()).collect()
        } else {
            let all = halves.flatten_all().and_then(|all| all.to_vec1::<half::bf16>()).expect("halves");
            all.iter().flat_map(|number| number.to_le_bytes()).collect()
        };
        let file: SharedBytes = Arc::new([vec![7; 3], bits].concat());
        let bytes = 3..3 + (2 * out * inputs) as u64;
        let half = HalfMatrix::new(&file, bytes, stored, DIMS).expect("halves");
        let bias = Tensor::from_vec(numbers(out, 0.3), out, &Device::Cpu).expect("a tensor");
        let dense = FrozenLinear::new(halves.to_dtype(DType::F32).expect("widens"), Some(bias.clone()));
        [FrozenLinear::half(half, Some(bias)), dense]
            .map(|layer| layer.and_then(|layer| layer.computing_in(arithmetic)).expect("a layer"))
    }

    #[test]
    fn products_are_those_of_the_same_numbers_in_single_precision_to_the_last_bit() {
        let (out, inputs) = DIMS;
        for (dtype, stored) in [(DType::F16, Dtype::F16), (DType::BF16, Dtype::BF16)] {
            for arithmetic in [Arithmetic::Exact, Arithmetic::Bf16] {
                let [half, dense] = layers(dtype, stored, arithmetic);
                for rows in [1, few::MOST, 9, 300] {
                    let (x, g) = (numbers(rows * inputs, 1.3), numbers(rows * out, 2.1));
                    let found = [product(&half, &x, rows), input_gradient(&half, &g)];
                    let expected = [product(&dense, &x, rows), input_gradient(&dense, &g)];
                    for ((found, expected), side) in
                        found.into_iter().zip(expected).zip([Side::Forward, Side::Backward])
                    {
                        let bits = |all: Result<Vec<f32>>| {
                            all.expect("multiplies").into_iter().map(f32::to_bits).collect::<Vec<_>>()
                        };
                        assert_eq!(
                            bits(found),
                            bits(expected),
                            "{dtype:?}, {arithmetic:?}, {rows}, {side:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn rows_and_the_whole_are_those_numbers() {
        let [half, dense] = layers(DType::BF16, Dtype::BF16, Arithmetic::Exact);
        let wanted = Tensor::new(&[69_u32, 0, 5], &Device::Cpu).expect("a tensor");
        let values = |tensor: Result<Tensor>| tensor.and_then(|t| t.to_vec2::<f32>()).expect("numbers");
        assert_eq!(values(half.rows(&wanted)), values(dense.rows(&wanted)));
        let beyond = Tensor::new(&[70_u32], &Device::Cpu).expect("a tensor");
        assert!(half.rows(&beyond).is_err());
        assert_eq!(values(half.weight()), values(dense.weight()));
        assert_eq!(half.dims().expect("dimensions"), DIMS);
    }

    #[test]
    fn what_is_not_there_or_of_another_type_is_none() {
        let file: SharedBytes = Arc::new(vec![0_u8; 12]);
        assert!(HalfMatrix::new(&file, 0..12, Dtype::F16, (2, 3)).is_some());
        for (bytes, dtype, dims) in
            [(0..12, Dtype::F32, (2, 3)), (0..12, Dtype::F16, (2, 4)), (4..16, Dtype::BF16, (2, 3))]
        {
            assert!(HalfMatrix::new(&file, bytes.clone(), dtype, dims).is_none(), "{bytes:?} {dtype:?}");
        }
    }
}
