//! Where a frozen weight lies: in a tensor, in its file in either precision, in blocks of a few bits, and packed.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use candle_core::{DType, Device, Result, Tensor};
use hub_formats::checkpoint::Blocks;
use hub_kernels::{Side, bf16, mapped::Mapped, single};

use super::{
    super::{element::Element, with_slice},
    half::HalfMatrix,
};

/// Rows up to which a product with a packed weight is faster than one that packs it.
const FEW_ROWS: usize = 256;

/// The numbers `[out, in]`, or blocks of few bits that stand for them.
#[derive(Debug, Clone)]
pub(super) enum Weight {
    Dense(Numbers, Arc<Packs>),
    /// And the precision that they are restored in, and in which products of many rows are computed.
    Blocks(Arc<Blocks>, DType, Arithmetic),
}

impl Weight {
    /// Outputs and inputs.
    pub(super) fn dims(&self) -> Result<(usize, usize)> {
        match self {
            Self::Dense(numbers, _) => numbers.dims(),
            Self::Blocks(blocks, ..) => Ok(blocks.dims()),
        }
    }

    /// All numbers.
    pub(super) fn tensor(&self) -> Result<Tensor> {
        match self {
            Self::Dense(numbers, _) => numbers.tensor(),
            Self::Blocks(blocks, dtype, _) => {
                Tensor::from_vec(blocks.to_vec(), blocks.dims(), &Device::Cpu)?.to_dtype(*dtype)
            }
        }
    }

    /// Some rows by number, `[n, in]`.
    pub(super) fn rows(&self, numbers: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(Numbers::Tensor(weight), _) => weight.index_select(numbers, 0),
            Self::Dense(Numbers::Rounded { there, .. }, _) => {
                there.index_select(numbers, 0)?.to_dtype(DType::F32)
            }
            #[cfg(feature = "cuda")]
            Self::Dense(Numbers::Split(halves), _) => halves.rows(numbers),
            Self::Dense(Numbers::Mapped(mapped), _) => {
                let (all, columns) = (mapped.singles(), mapped.dims.1);
                copied(numbers, mapped.dims, |row, out| out.copy_from_slice(&all[row * columns..][..columns]))
            }
            Self::Dense(Numbers::Half(half), _) => {
                copied(numbers, half.blocks().dims(), |row, out| half.blocks().rows(row, out))
            }
            Self::Blocks(blocks, dtype, _) => {
                copied(numbers, blocks.dims(), |row, out| blocks.rows(row, out))?.to_dtype(*dtype)
            }
        }
    }
}

/// Rows by number, each written by `write`.
fn copied(
    numbers: &Tensor,
    (rows, columns): (usize, usize),
    write: impl Fn(usize, &mut [f32]),
) -> Result<Tensor> {
    let numbers: Vec<u32> = numbers.to_vec1()?;
    let mut all = vec![0.0; numbers.len() * columns];
    for (&number, out) in numbers.iter().zip(all.chunks_exact_mut(columns.max(1))) {
        if number as usize >= rows {
            candle_core::bail!("there is no row {number} among {rows}");
        }
        write(number as usize, out);
    }
    Tensor::from_vec(all, (numbers.len(), columns), &Device::Cpu)
}

/// A matrix whose numbers can be read.
#[derive(Debug, Clone)]
pub(super) enum Numbers {
    Tensor(Tensor),
    /// Rounded to bf16 on a GPU. Where that changed anything, what was rounded is on the CPU: what is trained starts
    /// from it, and norms of the weight are its.
    Rounded {
        there: Tensor,
        exact: Option<Tensor>,
    },
    /// In halves on a GPU, for products in single precision.
    #[cfg(feature = "cuda")]
    Split(Halves),
    Mapped(Arc<MappedMatrix>),
    Half(Arc<HalfMatrix>),
}

/// Numbers as sums of two halves that are `2^exponent` times as large: f16 `[rows, 2 · columns]`, the upper ones of a row
/// before the lower ones, or `[rows, columns]` where the upper ones are all.
#[cfg(feature = "cuda")]
#[derive(Debug, Clone)]
pub(in crate::ops) struct Halves {
    pub(in crate::ops) numbers: Tensor,
    pub(in crate::ops) dims: (usize, usize),
    pub(in crate::ops) exponent: u8,
}

#[cfg(feature = "cuda")]
impl Halves {
    /// What they stand for, to 2^-22 of it.
    fn tensor(&self) -> Result<Tensor> {
        self.whole(&self.numbers)
    }

    /// The same of some rows by number.
    fn rows(&self, numbers: &Tensor) -> Result<Tensor> {
        self.whole(&self.numbers.index_select(numbers, 0)?)
    }

    fn whole(&self, halves: &Tensor) -> Result<Tensor> {
        let columns = self.dims.1;
        let singles = halves.to_dtype(DType::F32)?;
        let high = singles.narrow(1, 0, columns)?;
        let sum =
            if singles.dim(1)? > columns { (high + singles.narrow(1, columns, columns)?)? } else { high };
        sum.affine((-f64::from(self.exponent)).exp2(), 0.0)
    }
}

impl Numbers {
    pub(super) fn dims(&self) -> Result<(usize, usize)> {
        match self {
            Self::Tensor(tensor) | Self::Rounded { there: tensor, .. } => tensor.dims2(),
            #[cfg(feature = "cuda")]
            Self::Split(halves) => Ok(halves.dims),
            Self::Mapped(mapped) => Ok(mapped.dims),
            Self::Half(half) => Ok(half.blocks().dims()),
        }
    }

    /// In single precision at least.
    pub(super) fn tensor(&self) -> Result<Tensor> {
        match self {
            Self::Tensor(tensor) => Ok(tensor.clone()),
            Self::Rounded { there, exact: Some(exact) } => exact.to_device(there.device()),
            Self::Rounded { there, exact: None } => there.to_dtype(DType::F32),
            #[cfg(feature = "cuda")]
            Self::Split(halves) => halves.tensor(),
            Self::Mapped(mapped) => mapped.tensor(),
            Self::Half(half) => half.tensor(),
        }
    }

    /// The same, as its products read it where it lies on a GPU: rounded where they are in bf16, else in halves.
    pub(super) fn lying_for(self, arithmetic: Arithmetic) -> Result<Self> {
        let Self::Tensor(tensor) = &self else { return Ok(self) };
        if !tensor.device().is_cuda() || tensor.dtype() != DType::F32 || tensor.elem_count() == 0 {
            return Ok(self);
        }
        match arithmetic {
            Arithmetic::Bf16 => {
                let there = tensor.to_dtype(DType::BF16)?;
                let lost = (there.to_dtype(DType::F32)? - tensor)?.abs()?.flatten_all()?.max(0)?;
                // Most language models are stored in bf16.
                let exact = (lost.to_scalar::<f32>()? != 0.0).then(|| tensor.to_device(&Device::Cpu));
                Ok(Self::Rounded { there, exact: exact.transpose()? })
            }
            #[cfg(feature = "cuda")]
            Arithmetic::Exact => match super::super::cuda::frozen_linear::split(tensor)? {
                Some(halves) => Ok(Self::Split(halves)),
                None => Ok(self),
            },
            #[cfg(not(feature = "cuda"))]
            Arithmetic::Exact => Ok(self),
        }
    }

    /// Calls `take` with the numbers, row-major; those in half precision are converted for as long as that takes.
    pub(super) fn with_slice<T: Element, R>(&self, take: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
        match self {
            Self::Tensor(tensor) => with_slice(tensor, take),
            Self::Rounded { .. } => candle_core::bail!("the weight lies on a GPU, its input does not"),
            #[cfg(feature = "cuda")]
            Self::Split(_) => candle_core::bail!("the weight lies on a GPU, its input does not"),
            Self::Mapped(mapped) => with_singles(mapped.singles(), take),
            Self::Half(half) => match half.kept() {
                Some(tensor) => with_slice(tensor, take),
                None => with_singles(&half.singles(), take),
            },
        }
    }
}

fn with_singles<T: Element, R>(numbers: &[f32], take: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    match T::of_single(numbers) {
        Some(numbers) => take(numbers),
        None => candle_core::bail!("the weight is in single precision, its input is {:?}", T::DTYPE),
    }
}

/// A matrix in single precision that is read where it lies in its file.
#[derive(Debug)]
pub struct MappedMatrix {
    file: Arc<Mapped>,
    bytes: Range<u64>,
    dims: (usize, usize),
    /// A copy, from when something asks for a tensor on.
    copy: OnceLock<Tensor>,
}

impl MappedMatrix {
    /// `None` where the file holds no such numbers there.
    pub fn new(file: Arc<Mapped>, bytes: Range<u64>, dims: (usize, usize)) -> Option<Self> {
        let is_whole = file.singles(bytes.clone())?.len() == dims.0 * dims.1;
        is_whole.then(|| Self { file, bytes, dims, copy: OnceLock::new() })
    }

    fn singles(&self) -> &[f32] {
        // `new` has seen them.
        self.file.singles(self.bytes.clone()).unwrap_or_default()
    }

    fn tensor(&self) -> Result<Tensor> {
        if let Some(copy) = self.copy.get() {
            return Ok(copy.clone());
        }
        let copy = Tensor::from_slice(self.singles(), self.dims, &Device::Cpu)?;
        Ok(self.copy.get_or_init(|| copy).clone())
    }
}

/// What products with frozen weights are computed in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// The precision of the tensors.
    #[default]
    Exact,
    /// Single-precision operands rounded to bf16, sums in single precision. Double precision stays exact.
    Bf16,
}

/// A weight in the order of the inner loops, from when it is first needed there.
#[derive(Debug, Default)]
pub(super) struct Packs {
    pub(super) arithmetic: Arithmetic,
    single: [OnceLock<single::Packed>; 2],
    half: [OnceLock<bf16::Packed>; 2],
}

impl Packs {
    pub(super) fn new(arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..Self::default() }
    }

    /// The product of `x` and `weight` where there is a packed kernel for it. Which one is
    /// a function of the sizes only, so that a run that goes on computes what it would have computed.
    pub(super) fn product<T: Element>(
        &self,
        weight: &Numbers,
        side: Side,
        x: &[T],
        bias: Option<&Tensor>,
    ) -> Result<Option<Vec<T>>> {
        let Some(x) = T::as_single(x) else { return Ok(None) };
        let dims = weight.dims()?;
        let inputs = if side == Side::Forward { dims.1 } else { dims.0 };
        let is_exact = self.arithmetic == Arithmetic::Exact;
        if inputs == 0 || x.is_empty() || is_exact && x.len() / inputs > FEW_ROWS {
            return Ok(None);
        }
        let bias = bias.map(Tensor::to_vec1::<f32>).transpose()?;
        let y = if is_exact {
            let kept = &self.single[side as usize];
            packed(kept, weight, |w| single::Packed::new(w, dims, side))?.product(x, bias.as_deref())
        } else {
            self.half(weight, side)?.product(x, bias.as_deref())
        };
        Ok(T::from_singles(y))
    }

    /// The weight in bf16, packed.
    pub(super) fn half(&self, weight: &Numbers, side: Side) -> Result<&bf16::Packed> {
        let dims = weight.dims()?;
        packed(&self.half[side as usize], weight, |w| bf16::Packed::new(w, dims, side))
    }
}

/// What is kept, or from now on what `pack` makes of the numbers: nobody needs them after that.
fn packed<'a, P>(kept: &'a OnceLock<P>, weight: &Numbers, pack: impl FnOnce(&[f32]) -> P) -> Result<&'a P> {
    match kept.get() {
        Some(pack) => Ok(pack),
        None => weight.with_slice::<f32, _>(|w| Ok(kept.get_or_init(|| pack(w)))),
    }
}
