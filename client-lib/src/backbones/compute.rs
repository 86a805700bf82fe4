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
