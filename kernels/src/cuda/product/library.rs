//! What cuBLASLt does beyond cuBLAS: a bias is added where the sums are still in registers, and factors are read on the GPU.

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    ffi::c_void,
    mem::size_of_val,
};

use candle_core::cuda_backend::cudarc::{
    cublaslt::{
        result::{self, CublasError},
        sys,
    },
    driver::{DevicePtr as _, DevicePtrMut as _},
};

use super::*;

/// Bytes that an algorithm may use beside its operands.
const WORKSPACE: usize = 32 << 20;

/// One product as the library is asked for it: `scale · a · b + beta · out`, and a bias.
pub(in crate::cuda) struct Call {
    /// Rows and columns of the result, and what is summed over.
    pub(in crate::cuda) sizes: [usize; 3],
    pub(in crate::cuda) a: Side,
    pub(in crate::cuda) b: Side,
    /// Where as many numbers as the result has columns are, for every row of it.
    pub(in crate::cuda) bias: Option<u64>,
    pub(in crate::cuda) scalars: Scalars,
    /// Where the result goes, in single precision.
    pub(in crate::cuda) out: u64,
}

/// One side: where it lies, whether its transpose is meant, and how many elements there are between rows as they are stored.
#[derive(Debug, Clone, Copy)]
pub(in crate::cuda) struct Side {
    pub(in crate::cuda) at: u64,
    pub(in crate::cuda) transposed: bool,
    pub(in crate::cuda) pitch: usize,
}

impl Side {
    /// Rows as they are stored, so many elements apart.
    pub(in crate::cuda) const fn of(at: u64, pitch: usize) -> Self {
        Self { at, transposed: false, pitch }
    }

    pub(in crate::cuda) const fn transposed(self) -> Self {
        Self { transposed: true, ..self }
    }
}

/// What products are multiplied by.
#[derive(Debug, Clone, Copy)]
pub(in crate::cuda) enum Scalars {
    /// A factor; what was there is written over.
    Here(f32),
    /// Where the factor lies on the GPU; the result is added to what is there, or written over it.
    There { scale: u64, adds: bool },
}

/// What an algorithm was chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    sizes: [usize; 3],
    transposed: [bool; 2],
    pitches: [usize; 2],
    numbers: &'static str,
    has_bias: bool,
    scale_is_there: bool,
    /// To how many bytes the sides and the result are aligned: parts of something larger begin anywhere.
    alignments: [u32; 3],
}

/// The most that an algorithm asks for.
const ALIGNED: u32 = 256;

const fn alignment(at: u64) -> u32 {
    let shift = at.trailing_zeros();
    if shift < ALIGNED.trailing_zeros() { 1 << shift } else { ALIGNED }
}

impl Call {
    const fn kind<T: Number>(&self) -> Kind {
        Kind {
            sizes: self.sizes,
            transposed: [self.a.transposed, self.b.transposed],
            pitches: [self.a.pitch, self.b.pitch],
            numbers: T::NAME,
            has_bias: self.bias.is_some(),
            scale_is_there: matches!(self.scalars, Scalars::There { .. }),
            alignments: [alignment(self.a.at), alignment(self.b.at), alignment(self.out)],
        }
    }
}

/// How products of a kind are computed.
struct Plan {
    product: Descriptor,
    a: MatrixLayout,
    b: MatrixLayout,
    out: MatrixLayout,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

/// The library on one GPU, as one thread uses it, and the plans that it has made. Where it has no algorithm there is none.
struct Library {
    handle: sys::cublasLtHandle_t,
    workspace: CudaSlice<u8>,
    /// Zero and one.
    betas: CudaSlice<f32>,
    plans: HashMap<Kind, Option<Plan>>,
}

struct Descriptor(sys::cublasLtMatmulDesc_t);
struct MatrixLayout(sys::cublasLtMatrixLayout_t);
struct Preference(sys::cublasLtMatmulPreference_t);

/// Queues the product of operands in `T`; false where there is no algorithm for it.
///
/// # Safety
///
/// What the call names lies on the GPU, is as large as its sizes and pitches say, and lives until the call has run.
pub(in crate::cuda) unsafe fn queue<T: Number>(device: &CudaDevice, call: &Call) -> Result<bool> {
    thread_local! {
        static LIBRARIES: RefCell<HashMap<DeviceId, Library>> = RefCell::default();
    }
    LIBRARIES.with_borrow_mut(|libraries| {
        let library = match libraries.entry(device.id()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Library::open(device)?),
        };
        // SAFETY: as the caller says.
        unsafe { library.queue::<T>(device, call) }
    })
}

impl Library {
    fn open(device: &CudaDevice) -> Result<Self> {
        device.cuda_stream().context().bind_to_thread().w()?;
        let workspace = room::<u8>(device, WORKSPACE)?;
        let betas = device.clone_htod(&[0.0_f32, 1.0])?;
        let handle = result::create_handle().map_err(candle_core::Error::wrap)?;
        Ok(Self { handle, workspace, betas, plans: HashMap::new() })
    }

    /// # Safety
    ///
    /// That of [`queue`].
    unsafe fn queue<T: Number>(&mut self, device: &CudaDevice, call: &Call) -> Result<bool> {
        let plan = match self.plans.entry(call.kind::<T>()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Plan::new::<T>(self.handle, call).unwrap_or_default()),
        };
        let Some(plan) = plan else { return Ok(false) };
        let stream = device.cuda_stream();
        let (workspace, _working) = self.workspace.device_ptr_mut(&stream);
        let (zero_and_one, _reading) = self.betas.device_ptr(&stream);
        let (here, zero) = match call.scalars {
            Scalars::Here(scale) => (scale, 0.0_f32),
            Scalars::There { .. } => (0.0, 0.0),
        };
        let (scale, beta) = match call.scalars {
            Scalars::Here(_) => ((&raw const here).cast(), (&raw const zero).cast()),
            Scalars::There { scale, adds } => {
                let beta = zero_and_one + if adds { size_of::<f32>() as u64 } else { 0 };
                (scale as *const c_void, beta as *const c_void)
            }
        };
        let done = call.bias.map_or(Ok(()), |bias| {
            plan.product.set(sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)
        });
        // SAFETY: what the call names is as large as the plan was made for and lives, as the caller says; the workspace is
        // used by this stream alone; scalars here are read before it returns, those there lie where the library keeps
        // them or the caller does.
        let done = done.and_then(|()| unsafe {
            result::matmul(
                self.handle,
                plan.product.0,
                scale,
                beta,
                call.b.at as *const c_void,
                plan.b.0,
                call.a.at as *const c_void,
                plan.a.0,
                call.out as *const c_void,
                plan.out.0,
                call.out as *mut c_void,
                plan.out.0,
                &raw const plan.algorithm,
                workspace as *mut c_void,
                WORKSPACE,
                stream.cu_stream().cast(),
            )
        });
        done.map_err(candle_core::Error::wrap)?;
        Ok(true)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        self.plans.clear();
        // SAFETY: it was created with this, and nothing uses it any more. What it fails with concerns nobody.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

impl Plan {
    /// None where the library knows no algorithm.
    fn new<T: Number>(
        handle: sys::cublasLtHandle_t,
        call: &Call,
    ) -> std::result::Result<Option<Self>, CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let product = Descriptor::new()?;
        // It goes by columns: it is asked for the transpose, b before a.
        product.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &(operation(call.b.transposed) as i32))?;
        product.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, &(operation(call.a.transposed) as i32))?;
        if call.bias.is_some() {
            let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS;
            product.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
        }
        if matches!(call.scalars, Scalars::There { .. }) {
            let there = sys::cublasLtPointerMode_t::CUBLASLT_POINTER_MODE_DEVICE;
            product.set(Attribute::CUBLASLT_MATMUL_DESC_POINTER_MODE, &there)?;
        }
        let [m, n, k] = call.sizes;
        let stored = |transposed, rows, columns| if transposed { (rows, columns) } else { (columns, rows) };
        let a_layout = MatrixLayout::new::<T>(stored(call.a.transposed, m, k), call.a.pitch)?;
        let b_layout = MatrixLayout::new::<T>(stored(call.b.transposed, k, n), call.b.pitch)?;
        let out = MatrixLayout::new::<f32>((n, m), n)?;
        let preference = Preference::new(call.kind::<T>().alignments)?;
        // SAFETY: all of them were created above.
        let found = unsafe {
            result::get_matmul_algo_heuristic(
                handle,
                product.0,
                b_layout.0,
                a_layout.0,
                out.0,
                out.0,
                preference.0,
            )
        };
        Ok(found.ok().map(|found| Self { product, a: a_layout, b: b_layout, out, algorithm: found.algo }))
    }
}

impl Descriptor {
    fn new() -> std::result::Result<Self, CublasError> {
        let compute = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        result::create_matmul_desc(compute, sys::cudaDataType_t::CUDA_R_32F).map(Self)
    }

    /// Sets an attribute whose type `value` has.
    fn set<V>(
        &self,
        attribute: sys::cublasLtMatmulDescAttributes_t,
        value: &V,
    ) -> std::result::Result<(), CublasError> {
        // SAFETY: it was not destroyed yet, and as many bytes are read as the value has.
        unsafe {
            result::set_matmul_desc_attribute(
                self.0,
                attribute,
                std::ptr::from_ref(value).cast(),
                size_of_val(value),
            )
        }
    }
}

impl MatrixLayout {
    /// Columns of `rows` elements, `pitch` apart.
    fn new<T: Number>(
        (rows, columns): (usize, usize),
        pitch: usize,
    ) -> std::result::Result<Self, CublasError> {
        let kind = match T::BLAS {
            cudaDataType::CUDA_R_16BF => sys::cudaDataType_t::CUDA_R_16BF,
            cudaDataType::CUDA_R_16F => sys::cudaDataType_t::CUDA_R_16F,
            _ => sys::cudaDataType_t::CUDA_R_32F,
        };
        result::create_matrix_layout(kind, rows as u64, columns as u64, pitch as i64).map(Self)
    }
}

impl Preference {
    fn new([a, b, out]: [u32; 3]) -> std::result::Result<Self, CublasError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = result::create_matmul_pref().map(Self)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE)?;
        // As everywhere, b before a.
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &b)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &a)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &out)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &out)?;
        Ok(preference)
    }

    /// Sets an attribute whose type `value` has.
    fn set<V>(
        &self,
        attribute: sys::cublasLtMatmulPreferenceAttributes_t,
        value: &V,
    ) -> std::result::Result<(), CublasError> {
        // SAFETY: it was not destroyed yet, and as many bytes are read as the value has.
        unsafe {
            result::set_matmul_pref_attribute(
                self.0,
                attribute,
                std::ptr::from_ref(value).cast(),
                size_of_val(value),
            )
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: it was created with this, and nothing uses it any more.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}

impl Drop for MatrixLayout {
    fn drop(&mut self) {
        // SAFETY: it was created with this, and nothing uses it any more.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: it was created with this, and nothing uses it any more.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}
