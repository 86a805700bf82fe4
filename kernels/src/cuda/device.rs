//! A GPU and its memory.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use candle_core::{
    Device,
    cuda_backend::cudarc::driver::{result, sys},
};

use super::*;

/// The GPU with this number; the same whenever it is asked for.
///
/// Everything there happens on one stream, one thing after the other, whichever thread asks: nothing has to be tracked.
/// What is freed stays with the process, for what is allocated next: a step of training allocates the same again.
pub fn open(number: usize) -> Result<Device> {
    static OPENED: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = opened.get(&number) {
        return Ok(device.clone());
    }
    let device = Device::new_cuda_with_stream(number)?;
    let context = device.as_cuda_device()?.cuda_stream().context().clone();
    context.bind_to_thread().w()?;
    let mut pool = std::ptr::null_mut();
    let mut most = u64::MAX;
    // SAFETY: no other stream of this context is ever used, so that work on memory is in the order of the calls. The
    // context is bound; `pool` is written before it is read, and the attribute is a u64.
    unsafe {
        context.disable_event_tracking();
        sys::cuDeviceGetDefaultMemPool(&raw mut pool, context.cu_device()).result().w()?;
        let attribute = sys::CUmemPool_attribute_enum::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut most).cast()).result().w()?;
    }
    opened.insert(number, device.clone());
    Ok(device)
}

/// Bytes of a GPU's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Not taken by any process.
    pub free: usize,
    /// In all.
    pub total: usize,
}

/// The memory of a GPU.
pub fn memory(device: &CudaDevice) -> Result<Memory> {
    device.cuda_stream().context().bind_to_thread().w()?;
    let (free, total) = result::mem_get_info().w()?;
    Ok(Memory { free, total })
}

/// What the GPU is called.
pub fn name(device: &CudaDevice) -> Result<String> {
    device.cuda_stream().context().name().w()
}
