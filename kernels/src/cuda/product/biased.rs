//! Products whose bias is added where the sums are still in registers: cuBLASLt's.

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

/// What an algorithm was chosen for: sizes, and which factors are transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    sizes: [usize; 3],
    transposed: [bool; 2],
    /// Whether the factors are in bf16.
    half: bool,
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
    plans: HashMap<Kind, Option<Plan>>,
}

struct Descriptor(sys::cublasLtMatmulDesc_t);
struct MatrixLayout(sys::cublasLtMatrixLayout_t);
struct Preference(sys::cublasLtMatmulPreference_t);

/// `out = a · b + bias`, or nothing where there is no algorithm for it. The factors are checked already.
pub(super) fn queue<T: Number>(
    device: &CudaDevice,
    of: Product,
    (a, b): (&Factor<'_, T>, &Factor<'_, T>),
    bias: &CudaView<'_, f32>,
    out: &mut CudaSlice<f32>,
) -> Result<bool> {
    thread_local! {
        static LIBRARIES: RefCell<HashMap<DeviceId, Library>> = RefCell::default();
    }
    LIBRARIES.with_borrow_mut(|libraries| {
        let library = match libraries.entry(device.id()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Library::open(device)?),
        };
        library.queue(device, of, (a, b), bias, out)
    })
}

impl Library {
    fn open(device: &CudaDevice) -> Result<Self> {
        device.cuda_stream().context().bind_to_thread().w()?;
        let workspace = room::<u8>(device, WORKSPACE)?;
        let handle = result::create_handle().map_err(candle_core::Error::wrap)?;
        Ok(Self { handle, workspace, plans: HashMap::new() })
    }

    fn queue<T: Number>(
        &mut self,
        device: &CudaDevice,
        of: Product,
        (a, b): (&Factor<'_, T>, &Factor<'_, T>),
        bias: &CudaView<'_, f32>,
        out: &mut CudaSlice<f32>,
    ) -> Result<bool> {
        let kind = Kind {
            sizes: [of.m, of.n, of.k],
            transposed: [a.transposed, b.transposed],
            half: T::NAME == bf16::NAME,
        };
        let pitches = of.pitches(a, b)?;
        let plan = match self.plans.entry(kind) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                entry.insert(Plan::new::<T>(self.handle, of, (a, b), pitches).unwrap_or_default())
            }
        };
        let Some(plan) = plan else { return Ok(false) };
        let stream = device.cuda_stream();
        let (at_a, _reading_a) = a.data.device_ptr(&stream);
        let (at_b, _reading_b) = b.data.device_ptr(&stream);
        let (at_bias, _reading_bias) = bias.device_ptr(&stream);
        let (workspace, _working) = self.workspace.device_ptr_mut(&stream);
        let (at_out, _writing) = out.device_ptr_mut(&stream);
        let (one, zero) = (of.scale, 0.0_f32);
        let done = plan
            .product
            .set(sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &at_bias);
        // SAFETY: the slices have the lengths that the plan was made for; they stay alive and, by the guards, unused by
        // other streams until the call is queued; the workspace is used by this stream alone; scalars are read before
        // it returns.
        let done = done.and_then(|()| unsafe {
            result::matmul(
                self.handle,
                plan.product.0,
                (&raw const one).cast(),
                (&raw const zero).cast(),
                at_b as *const c_void,
                plan.b.0,
                at_a as *const c_void,
                plan.a.0,
                at_out as *const c_void,
                plan.out.0,
                at_out as *mut c_void,
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
        of: Product,
        (a, b): (&Factor<'_, T>, &Factor<'_, T>),
        (of_a, of_b): (i32, i32),
    ) -> std::result::Result<Option<Self>, CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let product = Descriptor::new()?;
        // It goes by columns: it is asked for the transpose, b before a.
        product.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &(b.operation() as i32))?;
        product.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, &(a.operation() as i32))?;
        product.set(
            Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE,
            &sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS,
        )?;
        let stored = |transposed, rows, columns| if transposed { (rows, columns) } else { (columns, rows) };
        let a_layout = MatrixLayout::new::<T>(stored(a.transposed, of.m, of.k), of_a)?;
        let b_layout = MatrixLayout::new::<T>(stored(b.transposed, of.k, of.n), of_b)?;
        let out = MatrixLayout::new::<f32>((of.n, of.m), of.n as i32)?;
        let preference = Preference::new()?;
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
    fn new<T: Number>((rows, columns): (usize, usize), pitch: i32) -> std::result::Result<Self, CublasError> {
        let kind = match T::BLAS {
            cudaDataType::CUDA_R_16BF => sys::cudaDataType_t::CUDA_R_16BF,
            _ => sys::cudaDataType_t::CUDA_R_32F,
        };
        result::create_matrix_layout(kind, rows as u64, columns as u64, i64::from(pitch)).map(Self)
    }
}

impl Preference {
    fn new() -> std::result::Result<Self, CublasError> {
        let preference = result::create_matmul_pref().map(Self)?;
        let most = WORKSPACE;
        // SAFETY: it was not destroyed yet, and as many bytes are read as the number has.
        unsafe {
            result::set_matmul_pref_attribute(
                preference.0,
                sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                (&raw const most).cast(),
                size_of_val(&most),
            )?;
        }
        Ok(preference)
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
