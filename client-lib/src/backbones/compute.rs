//! Where a backbone lies, and in what it is computed.

use candle_core::Device;

use crate::ops::Arithmetic;

/// A device, and the arithmetic of products with frozen weights there.
#[derive(Debug, Clone)]
pub struct Compute {
    /// Where the weights lie.
    pub device: Device,
    /// What products with frozen weights are computed in; the rest is in single precision.
    pub arithmetic: Arithmetic,
}

impl Compute {
    /// On the CPU in single precision.
    pub const EXACT: Self = Self { device: Device::Cpu, arithmetic: Arithmetic::Exact };
}

/// Makes the calling thread one of those that share out products: it computes its own part instead of sleeping until
/// others have computed all, which costs more than a product of a few rows. For the thread that runs models, once;
/// where there are threads already nothing changes.
pub fn join_threads() {
    drop(rayon::ThreadPoolBuilder::new().use_current_thread().build_global());
}
