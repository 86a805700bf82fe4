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

    /// On the CPU, for the thread that runs models: from now on it computes its own part of a product instead of
    /// sleeping until others have computed all, which costs more than a product of a few rows. Where products were
    /// shared out before, who shares them stays as it is.
    pub fn on_this_thread(arithmetic: Arithmetic) -> Self {
        drop(rayon::ThreadPoolBuilder::new().use_current_thread().build_global());
        Self { device: Device::Cpu, arithmetic }
    }
}
