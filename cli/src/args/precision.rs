//! In what the backbone is computed.

use clap::{Args, ValueEnum};
use hub_client::{backbones::Compute, ops::Arithmetic};

/// The precision of a backbone.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct PrecisionArgs {
    /// What products with frozen weights are computed in: bf16 is up to twice as fast on processors that have it and
    /// changes scores in the third digit
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

impl PrecisionArgs {
    /// What products are computed in.
    pub(crate) fn arithmetic(self) -> Arithmetic {
        match self.precision {
            Precision::F32 => Arithmetic::Exact,
            Precision::Bf16 => Arithmetic::Bf16,
        }
    }

    /// Where this version computes, and in what.
    pub(crate) fn compute(self) -> Compute {
        Compute::on_this_thread(self.arithmetic())
    }
}
