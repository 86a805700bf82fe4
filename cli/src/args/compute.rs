//! Where the backbone is computed, and in what.

use clap::{Args, ValueEnum};
use hub_client::{
    backbones::{Compute, DeviceChoice, DeviceError},
    ops::Arithmetic,
};

/// The device and the precision of a backbone.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ComputeArgs {
    /// Where to compute: `cpu`, `cuda`, `cuda:1` and so on, or `auto` for the first GPU of a build with CUDA and the CPU
    /// without one
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: DeviceChoice,
    /// What products with frozen weights are computed in: bf16 is up to twice as fast on processors that have it,
    /// several times on GPUs, and changes scores in the third digit
    #[arg(long, value_name = "PRECISION", value_enum, default_value_t)]
    precision: Precision,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Precision {
    /// Single precision
    #[default]
    F32,
    /// Operands rounded to bf16, sums in single precision
    Bf16,
}

impl ComputeArgs {
    /// What products are computed in.
    pub(crate) fn arithmetic(self) -> Arithmetic {
        match self.precision {
            Precision::F32 => Arithmetic::Exact,
            Precision::Bf16 => Arithmetic::Bf16,
        }
    }

    /// Where this command computes, and in what.
    pub(crate) fn open(self) -> Result<Compute, DeviceError> {
        Compute::open(self.device, self.arithmetic())
    }
}
