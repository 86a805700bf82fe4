//! The configurations that have names, with the defaults of `adapters`.

use super::{BottleneckConfig, InitScheme, InnerResidual, Invertible, PhmConfig, ReductionFactor, Scaling};
use crate::method::Activation;

impl BottleneckConfig {
    /// One adapter after the feed-forward network (`seq_bn`, alias `pfeiffer`).
    pub fn pfeiffer(reduction_factor: f64) -> Self {
        Self {
            mh_adapter: false,
            output_adapter: true,
            cross_adapter: false,
            reduction_factor: ReductionFactor::Everywhere(reduction_factor),
            non_linearity: Activation::Relu,
            original_ln_before: true,
            original_ln_after: true,
            ln_before: false,
            ln_after: false,
            residual_before_ln: InnerResidual::SubLayerOutput,
            adapter_residual_before_ln: false,
            init_weights: InitScheme::Bert,
            is_parallel: false,
            scaling: Scaling::Fixed(1.0),
            use_gating: false,
            dropout: 0.0,
            stochastic_depth: 0.0,
            leave_out: Vec::new(),
            invertible: None,
            phm: None,
            hooked: None,
        }
    }

    /// One adapter after each sub-layer (`double_seq_bn`, alias `houlsby`).
    pub fn houlsby(reduction_factor: f64) -> Self {
        Self {
            mh_adapter: true,
            non_linearity: Activation::Swish,
            original_ln_before: false,
            ..Self::pfeiffer(reduction_factor)
        }
    }

    /// One adapter beside the feed-forward network (`par_bn`, alias `parallel`).
    pub fn parallel(reduction_factor: f64) -> Self {
        Self {
            original_ln_before: false,
            init_weights: InitScheme::MamAdapter,
            is_parallel: true,
            scaling: Scaling::Fixed(4.0),
            ..Self::pfeiffer(reduction_factor)
        }
    }

    /// Scaled by channel, without the block's norm behind it (`AdapterPlus`).
    pub fn adapter_plus(reduction_factor: f64) -> Self {
        Self {
            non_linearity: Activation::Gelu,
            original_ln_after: false,
            residual_before_ln: InnerResidual::AdapterInput,
            init_weights: InitScheme::Houlsby,
            scaling: Scaling::Channel,
            stochastic_depth: 0.1,
            ..Self::pfeiffer(reduction_factor)
        }
    }

    /// Hypercomplex adapters after both sub-layers (`compacter`).
    pub fn compacter(reduction_factor: f64) -> Self {
        Self {
            non_linearity: Activation::Gelu,
            phm: Some(PhmConfig::default()),
            ..Self::houlsby(reduction_factor)
        }
    }

    /// Hypercomplex adapters after the feed-forward network (`compacter++`).
    pub fn compacter_plus_plus(reduction_factor: f64) -> Self {
        Self {
            non_linearity: Activation::Gelu,
            phm: Some(PhmConfig::default()),
            ..Self::pfeiffer(reduction_factor)
        }
    }

    /// The same with an invertible adapter behind the embeddings (`…_inv`).
    #[must_use]
    pub fn invertible(self, reduction_factor: f64) -> Self {
        Self { invertible: Some(Invertible { reduction_factor }), ..self }
    }
}
