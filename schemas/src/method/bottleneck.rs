//! Sequential bottleneck adapters: down-projection, non-linearity, up-projection, residual.
//!
//! Houlsby et al., "Parameter-Efficient Transfer Learning for NLP" (2019) puts one
//! after both sub-layers; Pfeiffer et al., "AdapterFusion" (2021) one after the
//! feed-forward network only. The fields are those of `BnConfig` in `adapters`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Activation;
use crate::backbone::{BackboneShape, SubLayer};

/// What the adapter's own residual connection carries (`residual_before_ln`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "InnerResidualRepr", into = "InnerResidualRepr")]
pub enum InnerResidual {
    /// `true`: the sub-layer's output, before residual and norm.
    SubLayerOutput,
    /// `false`: the adapter's own input, after the norm where there is one.
    AdapterInput,
    /// `"post_add"`: the sub-layer's output plus the block's residual, before the norm.
    PostAdd,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum InnerResidualRepr {
    Flag(bool),
    Name(String),
}

impl TryFrom<InnerResidualRepr> for InnerResidual {
    type Error = String;
    fn try_from(repr: InnerResidualRepr) -> Result<Self, String> {
        match repr {
            InnerResidualRepr::Flag(true) => Ok(Self::SubLayerOutput),
            InnerResidualRepr::Flag(false) => Ok(Self::AdapterInput),
            InnerResidualRepr::Name(name) if name == "post_add" => Ok(Self::PostAdd),
            InnerResidualRepr::Name(name) => {
                Err(format!("residual_before_ln is `{name}`; it is true, false or \"post_add\""))
            }
        }
    }
}

impl From<InnerResidual> for InnerResidualRepr {
    fn from(residual: InnerResidual) -> Self {
        match residual {
            InnerResidual::SubLayerOutput => Self::Flag(true),
            InnerResidual::AdapterInput => Self::Flag(false),
            InnerResidual::PostAdd => Self::Name("post_add".to_owned()),
        }
    }
}

/// How fresh weights are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InitScheme {
    /// Weights from N(0, 0.02²), biases zero.
    Bert,
    /// Down-projection Kaiming-uniform (a = √5), everything else zero: the identity at the start.
    MamAdapter,
    /// Weights from N(0, 0.01²) cut at two standard deviations, biases zero.
    Houlsby,
}

/// Configuration of a sequential bottleneck adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of `BnConfig`, as `adapters` writes them")]
pub struct BottleneckConfig {
    /// After attention.
    pub mh_adapter: bool,
    /// After the feed-forward network.
    pub output_adapter: bool,
    /// Hidden size divided by bottleneck size.
    pub reduction_factor: f64,
    /// Between the two projections.
    pub non_linearity: Activation,
    /// The block's norm is applied to the sum with the residual before the adapter.
    #[serde(default)]
    pub original_ln_before: bool,
    /// The block's norm is applied to the sum with the residual after the adapter.
    #[serde(default = "yes")]
    pub original_ln_after: bool,
    /// The adapter has a norm of its own in front.
    #[serde(default)]
    pub ln_before: bool,
    /// The adapter has a norm of its own at its end.
    #[serde(default)]
    pub ln_after: bool,
    /// What the adapter's residual connection carries: `true`, `false` or `"post_add"`.
    #[serde(default = "sublayer_output")]
    #[schema(value_type = serde_json::Value)]
    pub residual_before_ln: InnerResidual,
    /// The adapter's residual is added before `ln_after` rather than after it.
    #[serde(default)]
    pub adapter_residual_before_ln: bool,
    /// How fresh weights are drawn.
    #[serde(default = "bert_init")]
    pub init_weights: InitScheme,
    /// Factor on the up-projection's output.
    #[serde(default = "one")]
    pub scaling: f64,
    /// A learned gate per example scales the adapter's output.
    #[serde(default)]
    pub use_gating: bool,
    /// Probability of dropping an element of the up-projection's output in training.
    #[serde(default)]
    pub dropout: f64,
    /// Layers without an adapter.
    #[serde(default)]
    pub leave_out: Vec<usize>,
}

const fn yes() -> bool {
    true
}
const fn one() -> f64 {
    1.0
}
const fn sublayer_output() -> InnerResidual {
    InnerResidual::SubLayerOutput
}
const fn bert_init() -> InitScheme {
    InitScheme::Bert
}

/// A bottleneck configuration that can't be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BottleneckError {
    /// Zero, negative, not a number, or wider than the field allows.
    #[error("`reduction_factor` is {0}; it must be a number from 0.01 to 65536")]
    ReductionFactor(f64),
    /// Outside 0..1.
    #[error("`dropout` is {0}; it must lie in 0 ≤ p < 1")]
    Dropout(f64),
    /// Not a number.
    #[error("`scaling` is {0}; it must be a finite number")]
    Scaling(f64),
    /// Neither after attention nor after the feed-forward network.
    #[error("`mh_adapter` and `output_adapter` are both false: the adapter would be nowhere")]
    Nowhere,
    /// A layer that the backbone does not have, or every layer.
    #[error("`leave_out` names layer {layer}, but the backbone has layers 0 to {last}")]
    LeaveOut {
        /// The layer that does not exist.
        layer: usize,
        /// The last layer that does.
        last: usize,
    },
}

impl BottleneckConfig {
    /// One adapter after the feed-forward network (`seq_bn`, alias `pfeiffer`).
    pub fn pfeiffer(reduction_factor: f64) -> Self {
        Self {
            mh_adapter: false,
            output_adapter: true,
            reduction_factor,
            non_linearity: Activation::Relu,
            original_ln_before: true,
            original_ln_after: true,
            ln_before: false,
            ln_after: false,
            residual_before_ln: InnerResidual::SubLayerOutput,
            adapter_residual_before_ln: false,
            init_weights: InitScheme::Bert,
            scaling: 1.0,
            use_gating: false,
            dropout: 0.0,
            leave_out: Vec::new(),
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

    /// Width of the bottleneck: `⌊hidden / reduction factor⌋`, at least one.
    pub fn bottleneck_size(&self, hidden_size: usize) -> usize {
        ((hidden_size as f64 / self.reduction_factor).floor() as usize).max(1)
    }

    /// Whether there is an adapter after this sub-layer of this layer.
    pub fn is_at(&self, layer: usize, sublayer: SubLayer) -> bool {
        let placed = match sublayer {
            SubLayer::Attention => self.mh_adapter,
            SubLayer::Ffn => self.output_adapter,
        };
        placed && !self.leave_out.contains(&layer)
    }

    pub(super) fn summary(&self) -> String {
        let name = match (self.mh_adapter, self.output_adapter) {
            (true, true) => "houlsby",
            (false, _) => "pfeiffer",
            (true, false) => "bottleneck after attention",
        };
        format!("{name} rf{} {}", self.reduction_factor, self.non_linearity)
    }

    pub(super) fn validate(&self, shape: &BackboneShape) -> Result<(), BottleneckError> {
        if !(0.01..=65536.0).contains(&self.reduction_factor) {
            return Err(BottleneckError::ReductionFactor(self.reduction_factor));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(BottleneckError::Dropout(self.dropout));
        }
        if !self.scaling.is_finite() {
            return Err(BottleneckError::Scaling(self.scaling));
        }
        if !self.mh_adapter && !self.output_adapter {
            return Err(BottleneckError::Nowhere);
        }
        match self.leave_out.iter().find(|&&layer| layer >= shape.num_layers) {
            Some(&layer) => Err(BottleneckError::LeaveOut { layer, last: shape.num_layers - 1 }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottleneck_is_rounded_down_and_never_empty() {
        assert_eq!(BottleneckConfig::pfeiffer(16.0).bottleneck_size(384), 24);
        assert_eq!(BottleneckConfig::pfeiffer(7.0).bottleneck_size(384), 54);
        assert_eq!(BottleneckConfig::pfeiffer(1000.0).bottleneck_size(384), 1);
    }

    #[test]
    fn the_inner_residual_reads_all_three_spellings() {
        let read = |json: &str| serde_json::from_str::<InnerResidual>(json).map_err(|e| e.to_string());
        assert_eq!(read("true"), Ok(InnerResidual::SubLayerOutput));
        assert_eq!(read("false"), Ok(InnerResidual::AdapterInput));
        assert_eq!(read("\"post_add\""), Ok(InnerResidual::PostAdd));
        assert!(read("\"pre_add\"").is_err());
    }
}
