//! Matrix products by cuBLAS: operands in single precision or bf16, sums in single precision, results in either.

use std::ffi::c_void;

use candle_core::cuda_backend::cudarc::{
    cublas::{result::gemm_strided_batched_ex, sys},
    driver::{DevicePtr as _, DevicePtrMut as _},
};

use super::*;

pub(super) mod library;

use library::{Call, Scalars, Side};

/// One side of a product: matrices of `rows × columns` as they are stored, row by row, each behind the other.
#[derive(Debug)]
pub struct Factor<'a, T> {
    /// All matrices.
    pub data: &'a CudaView<'a, T>,
    /// Whether the transpose is meant.
    pub transposed: bool,
}

/// A batch of products `scale · a · b`, with `a` of `m × k` and `b` of `k × n`.
#[derive(Debug, Clone, Copy)]
pub struct Product {
    /// How many.
    pub batch: usize,
    /// Rows of a result.
    pub m: usize,
    /// Columns of a result.
    pub n: usize,
    /// What is summed over.
    pub k: usize,
    /// A factor of the result.
    pub scale: f32,
}

impl<'a, T> Factor<'a, T> {
    /// The matrix as it is stored.
    pub const fn new(data: &'a CudaView<'a, T>) -> Self {
        Self { data, transposed: false }
    }

    /// The transpose of what is stored.
    pub const fn transposed(data: &'a CudaView<'a, T>) -> Self {
        Self { data, transposed: true }
    }
}

const fn operation(transposed: bool) -> sys::cublasOperation_t {
    if transposed { sys::cublasOperation_t::CUBLAS_OP_T } else { sys::cublasOperation_t::CUBLAS_OP_N }
}

impl Product {
    /// One product.
    pub const fn one(m: usize, n: usize, k: usize) -> Self {
        Self { batch: 1, m, n, k, scale: 1.0 }
    }

    /// Refuses factors of other sizes.
    fn check<T>(self, a: &Factor<'_, T>, b: &Factor<'_, T>) -> Result<()> {
        check("product", &[a.data.len()], self.batch * self.m * self.k)?;
        check("product", &[b.data.len()], self.batch * self.k * self.n)?;
        if self.k == 0 {
            candle_core::bail!("product: a sum over nothing");
        }
        Ok(())
    }

    /// Elements between the rows of the factors as they are stored.
    fn pitches<T>(self, a: &Factor<'_, T>, b: &Factor<'_, T>) -> Result<(i32, i32)> {
        let (of_a, of_b) =
            (if a.transposed { self.m } else { self.k }, if b.transposed { self.k } else { self.n });
        Ok((int(of_a)?, int(of_b)?))
    }
}

/// The products, `batch × m × n`.
pub fn multiply<T: Number, O: Number>(
    device: &CudaDevice,
    of: Product,
    a: &Factor<'_, T>,
    b: &Factor<'_, T>,
) -> Result<CudaSlice<O>> {
    let mut out = room::<O>(device, of.batch * of.m * of.n)?;
    queue(device, of, (a, b), &mut out, 0.0)?;
    Ok(out)
}

/// One product with `bias [n]` added to every row, `m × n`.
pub fn multiply_with_bias<T: Number>(
    device: &CudaDevice,
    of: Product,
    (a, b): (&Factor<'_, T>, &Factor<'_, T>),
    bias: &CudaView<'_, f32>,
) -> Result<CudaSlice<f32>> {
    check("bias", &[bias.len()], of.n)?;
    of.check(a, b)?;
    let mut out = room(device, of.m * of.n)?;
    if of.batch == 1 && queue_with_bias(device, of, (a, b), bias, &mut out)? {
        return Ok(out);
    }
    let mut out = rows::fill_rows(device, bias, of.m)?;
    multiply_add(device, of, a, b, &mut out)?;
    Ok(out)
}

/// False where the library has no algorithm for it. The factors are checked already.
fn queue_with_bias<T: Number>(
    device: &CudaDevice,
    of: Product,
    (a, b): (&Factor<'_, T>, &Factor<'_, T>),
    bias: &CudaView<'_, f32>,
    out: &mut CudaSlice<f32>,
) -> Result<bool> {
    let stream = device.cuda_stream();
    let (of_a, of_b) = of.pitches(a, b)?;
    let (at_a, _reading_a) = a.data.device_ptr(&stream);
    let (at_b, _reading_b) = b.data.device_ptr(&stream);
    let (at_bias, _reading_bias) = bias.device_ptr(&stream);
    let (at_out, _writing) = out.device_ptr_mut(&stream);
    let call = Call {
        sizes: [of.m, of.n, of.k],
        a: Side { at: at_a, transposed: a.transposed, pitch: of_a as usize },
        b: Side { at: at_b, transposed: b.transposed, pitch: of_b as usize },
        bias: Some(at_bias),
        scalars: Scalars::Here(of.scale),
        out: at_out,
    };
    // SAFETY: the slices have the lengths that the sizes ask for, as was checked; they stay alive and, by the guards,
    // unused by other streams until the call is queued.
    unsafe { library::queue::<T>(device, &call) }
}

/// Adds the products to `out`, `batch × m × n`.
pub fn multiply_add<T: Number>(
    device: &CudaDevice,
    of: Product,
    a: &Factor<'_, T>,
    b: &Factor<'_, T>,
    out: &mut CudaSlice<f32>,
) -> Result<()> {
    queue(device, of, (a, b), out, 1.0)
}

/// `out = scale · a · b + beta · out`
fn queue<T: Number, O: Number>(
    device: &CudaDevice,
    of: Product,
    (a, b): (&Factor<'_, T>, &Factor<'_, T>),
    out: &mut CudaSlice<O>,
    beta: f32,
) -> Result<()> {
    let Product { batch, m, n, k, scale } = of;
    of.check(a, b)?;
    check("product", &[out.len()], batch * m * n)?;
    let stream = device.cuda_stream();
    let blas = device.cublas_handle();
    let (of_a, of_b) = of.pitches(a, b)?;
    let (at_a, _reading_a) = a.data.device_ptr(&stream);
    let (at_b, _reading_b) = b.data.device_ptr(&stream);
    let (at_out, _writing) = out.device_ptr_mut(&stream);
    // cuBLAS goes by columns: it is asked for the transpose, b before a.
    // SAFETY: the three slices have the lengths that the sizes ask for, as was checked; they stay alive and, by the
    // guards, unused by other streams until the call is queued; the scalars are read before it returns.
    unsafe {
        gemm_strided_batched_ex(
            *blas.handle(),
            operation(b.transposed),
            operation(a.transposed),
            int(n)?,
            int(m)?,
            int(k)?,
            (&raw const scale).cast::<c_void>(),
            at_b as *const c_void,
            T::BLAS,
            of_b,
            (k * n) as i64,
            at_a as *const c_void,
            T::BLAS,
            of_a,
            (m * k) as i64,
            (&raw const beta).cast::<c_void>(),
            at_out as *mut c_void,
            O::BLAS,
            int(n)?,
            (m * n) as i64,
            int(batch)?,
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT_TENSOR_OP,
        )
    }
    .w()
}
