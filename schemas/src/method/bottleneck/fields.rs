//! The fields of a bottleneck's configuration that are more than a number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// Hidden size divided by bottleneck size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ReductionFactor {
    /// The same in every layer.
    Everywhere(f64),
    /// By layer; `default` for those not named. Keys are layers as text.
    PerLayer(BTreeMap<String, f64>),
}

impl ReductionFactor {
    /// The factor in a layer; `None` when it is neither named nor defaulted.
    pub fn at(&self, layer: usize) -> Option<f64> {
        match self {
            Self::Everywhere(factor) => Some(*factor),
            Self::PerLayer(factors) => {
                factors.get(&layer.to_string()).or_else(|| factors.get("default")).copied()
            }
        }
    }
}

/// Factor on the up-projection's output.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ScalingRepr", into = "ScalingRepr")]
pub enum Scaling {
    /// A constant.
    Fixed(f64),
    /// One learned number, 1 at the start.
    Learned,
    /// One learned number per channel, 1 at the start (Steitz & Roth 2024).
    Channel,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ScalingRepr {
    Number(f64),
    Name(String),
}

impl TryFrom<ScalingRepr> for Scaling {
    type Error = String;
    fn try_from(repr: ScalingRepr) -> Result<Self, String> {
        match repr {
            ScalingRepr::Number(factor) => Ok(Self::Fixed(factor)),
            ScalingRepr::Name(name) if name == "learned" => Ok(Self::Learned),
            ScalingRepr::Name(name) if name == "channel" => Ok(Self::Channel),
            ScalingRepr::Name(name) => {
                Err(format!("scaling is `{name}`; it is a number, \"learned\" or \"channel\""))
            }
        }
    }
}

impl From<Scaling> for ScalingRepr {
    fn from(scaling: Scaling) -> Self {
        match scaling {
            Scaling::Fixed(factor) => Self::Number(factor),
            Scaling::Learned => Self::Name("learned".to_owned()),
            Scaling::Channel => Self::Name("channel".to_owned()),
        }
    }
}

/// An invertible adapter behind the embeddings (NICE, Dinh et al. 2015; Pfeiffer et
/// al., "MAD-X", 2020): what a language adapter has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Invertible {
    /// Inputs of each coupling network divided by its inner width.
    pub reduction_factor: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inner_residual_reads_all_three_spellings() {
        let read = |json: &str| serde_json::from_str::<InnerResidual>(json).map_err(|e| e.to_string());
        assert_eq!(read("true"), Ok(InnerResidual::SubLayerOutput));
        assert_eq!(read("false"), Ok(InnerResidual::AdapterInput));
        assert_eq!(read("\"post_add\""), Ok(InnerResidual::PostAdd));
        assert!(read("\"pre_add\"").is_err());
    }
}
