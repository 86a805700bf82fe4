//! Kernels for NVIDIA's GPUs, on single-precision numbers in device memory.
//!
//! Only what candle's own operations do in several passes: the sources are in `cuda/`, compiled to PTX when this is
//! built. Everything is queued on the stream of the device that is given, and nothing waits for it.
#![expect(
    unsafe_code,
    reason = "a launch can't check what a kernel reads and writes; each function here does"
)]

mod activation;
mod adamw;
mod cross_entropy;
mod device;
mod dropout;
mod flash;
mod low_rank;
mod norm;
mod product;
mod rotary;
mod rows;
mod softmax;
mod split;
mod sum;

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
};

use candle_core::{
    CudaDevice, Result,
    cuda_backend::{
        DeviceId, WrapErr as _,
        cudarc::{
            cublas::sys::cudaDataType,
            driver::{CudaFunction, CudaSlice, CudaView, DeviceRepr, LaunchConfig},
        },
    },
};
use half::{bf16, f16};

pub use activation::{Function, Inner, gated, gated_backward, map, map_backward};
pub use adamw::{AdamWStep, Parameter, adamw, square_sum};
pub use candle_core::cuda_backend::cudarc::driver::{CudaSlice as Slice, CudaView as View};
pub use cross_entropy::{Labels, cross_entropy, cross_entropy_backward};
pub use device::{Memory, memory, name, open};
pub use dropout::{Site, dropout};
pub use flash::{Attended, FlashInputs, FlashSizes, flash, flash_backward};
pub use low_rank::{Thin, narrow, outer, widen_add};
pub use norm::{NormSizes, norm, norm_backward, norm_products};
pub use product::{Factor, Product, multiply, multiply_add, multiply_with_bias};
pub use rotary::{Rotation, rotate};
pub use rows::{add_rows, column_sums, concatenate, join_heads, select_rows, split_heads, to_bf16};
pub use softmax::{Mask, Scores, softmax, softmax_gradient};
pub use split::{SplitMatrix, SplitRows, split_matrix};
pub use sum::sum;

/// The compiled sources, by the names of their files.
#[expect(unreachable_pub, reason = "as the build script writes them")]
mod ptx {
    include!(concat!(env!("OUT_DIR"), "/ptx.rs"));
}

/// A number type of operands: sums are in single precision.
pub trait Number: DeviceRepr + Copy + 'static {
    /// How the names of kernels on it end.
    const NAME: &str;
    /// What cuBLAS calls it.
    const BLAS: cudaDataType;

    /// The same numbers where they are in single precision.
    fn as_single<'a, 'v>(_: &'v CudaView<'a, Self>) -> Option<&'v CudaView<'a, f32>> {
        None
    }

    /// Numbers in single precision as this type's, where that is the same.
    fn from_single(_: CudaSlice<f32>) -> Option<CudaSlice<Self>> {
        None
    }
}

impl Number for f32 {
    const NAME: &str = "f32";
    const BLAS: cudaDataType = cudaDataType::CUDA_R_32F;

    fn as_single<'a, 'v>(numbers: &'v CudaView<'a, Self>) -> Option<&'v CudaView<'a, f32>> {
        Some(numbers)
    }

    fn from_single(numbers: CudaSlice<f32>) -> Option<CudaSlice<Self>> {
        Some(numbers)
    }
}

impl Number for bf16 {
    const NAME: &str = "bf16";
    const BLAS: cudaDataType = cudaDataType::CUDA_R_16BF;
}

impl Number for f16 {
    const NAME: &str = "f16";
    const BLAS: cudaDataType = cudaDataType::CUDA_R_16F;
}

/// Threads of a block whose work is one element each.
const THREADS: u32 = 256;

/// Enough blocks to fill any GPU; each thread goes on to further elements.
const MOST_BLOCKS: u32 = 8192;

/// A kernel of one of the sources, looked up once: asking the driver costs as much as a launch.
fn kernel(device: &CudaDevice, source: &str, ptx: &str, name: &str) -> Result<CudaFunction> {
    thread_local! {
        static FOUND: RefCell<HashMap<(DeviceId, String), CudaFunction>> = RefCell::default();
    }
    FOUND.with_borrow_mut(|found| match found.entry((device.id(), name.to_owned())) {
        Entry::Occupied(entry) => Ok(entry.get().clone()),
        Entry::Vacant(entry) => {
            let function = device.get_or_load_custom_func(name, source, ptx)?.into_cuda_function();
            Ok(entry.insert(function).clone())
        }
    })
}

/// Room that a kernel fills.
fn room<T: DeviceRepr>(device: &CudaDevice, len: usize) -> Result<CudaSlice<T>> {
    if len == 0 {
        candle_core::bail!("a GPU has no room for nothing: an operation on an empty tensor");
    }
    // SAFETY: every function here hands it to a kernel that writes all of it before anything reads it; kernels on one
    // stream run one after the other.
    unsafe { device.alloc::<T>(len) }
}

/// Where numbers lie, or zero: what kernels take for numbers that need not be there. Everything is on one stream, so that
/// nothing has to be waited for.
fn address(device: &CudaDevice, numbers: Option<&CudaView<'_, f32>>) -> u64 {
    use candle_core::cuda_backend::cudarc::driver::DevicePtr as _;
    numbers.map_or(0, |numbers| numbers.device_ptr(&device.cuda_stream()).0)
}

/// A launch of a thread for every element.
fn elements(n: usize) -> LaunchConfig {
    let blocks = u32::try_from(n.div_ceil(THREADS as usize)).unwrap_or(MOST_BLOCKS).clamp(1, MOST_BLOCKS);
    config((blocks, 1), THREADS)
}

/// A launch of a block for every row of `width` elements.
fn blocks(rows: usize, width: usize) -> Result<LaunchConfig> {
    let threads = (width.div_ceil(4).next_multiple_of(32) as u32).clamp(32, 1024);
    Ok(config((grid(rows)?, 1), threads))
}

/// A launch of a warp for every row.
fn warps(rows: usize) -> Result<LaunchConfig> {
    const WARP: usize = 32;
    Ok(config((grid(rows.div_ceil(THREADS as usize / WARP))?, 1), THREADS))
}

/// A number of blocks, as far as a grid has room for them.
fn grid(blocks: usize) -> Result<u32> {
    match i32::try_from(blocks) {
        Ok(blocks) => Ok(blocks as u32),
        Err(_) => candle_core::bail!("{blocks} blocks are more than a launch can have"),
    }
}

/// Blocks that a grid has room for in its second dimension.
const MOST_LAYERS: usize = 65_535;

/// A number of blocks in the second dimension of a grid.
fn layers(blocks: usize) -> Result<u32> {
    if blocks > MOST_LAYERS {
        candle_core::bail!(
            "{blocks} layers of blocks are more than a launch can have: at most {MOST_LAYERS}"
        );
    }
    grid(blocks)
}

/// So many blocks, each of so many threads.
fn config((x, y): (u32, u32), threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (x, y, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

/// A size as kernels take it.
fn int(size: usize) -> Result<i32> {
    match i32::try_from(size) {
        Ok(size) => Ok(size),
        Err(_) => candle_core::bail!("{size} elements in one dimension are more than a kernel counts"),
    }
}

/// Refuses sizes that do not belong together: a kernel would read or write outside.
fn check(what: &str, given: &[usize], expected: usize) -> Result<()> {
    match given.iter().find(|&&len| len != expected) {
        None => Ok(()),
        Some(len) => candle_core::bail!("{what}: {len} elements where {expected} belong"),
    }
}

/// Adds arguments to a launch and queues it.
macro_rules! launch {
    ($device:expr, $kernel:expr, $config:expr, $($argument:expr),+ $(,)?) => {{
        use candle_core::cuda_backend::cudarc::driver::PushKernelArg as _;
        let (stream, kernel, config) = ($device.cuda_stream(), $kernel, $config);
        let mut launch = stream.launch_builder(&kernel);
        $(launch.arg($argument);)+
        // SAFETY: the function around this has checked that every slice has the length that the kernel reads or
        // writes, and passes arguments in the order and of the types that the kernel declares.
        unsafe { launch.launch(config) }.w()?;
    }};
}
use launch;
