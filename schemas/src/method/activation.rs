//! Non-linearities by the names `transformers` gives them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An element-wise function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `x · Φ(x)`, with the exact normal distribution function (erf).
    Gelu,
    /// The tanh approximation of GELU.
    GeluNew,
    /// `x · σ(x)`; also called SiLU.
    #[serde(alias = "silu")]
    Swish,
    /// Hyperbolic tangent.
    Tanh,
    /// Logistic function.
    Sigmoid,
    /// `x` where positive, `0.01 · x` elsewhere.
    #[serde(rename = "leakyrelu", alias = "leaky_relu")]
    LeakyRelu,
    /// `x · tanh(ln(1 + eˣ))` (Misra 2019).
    Mish,
    /// `x · σ(1.702 x)`
    QuickGelu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `max(x, 0)²`
    Relu2,
    /// GELU, kept between −10 and 10.
    #[serde(rename = "gelu_10")]
    Gelu10,
    /// `(1 + erf((x − 0.707107) / (0.282095 √2))) / 2` (Ma et al. 2022).
    Laplace,
    /// `x`
    Linear,
    /// `x` where positive, a learned multiple of it elsewhere (He et al. 2015); bottlenecks only.
    Prelu,
}

/// Not a non-linearity this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the non-linearity `{0}` is not supported; these are: relu, gelu, gelu_new, swish, tanh, sigmoid, leakyrelu, mish, quick_gelu, relu6, relu2, gelu_10, laplace, linear"
)]
pub struct UnknownActivation(pub String);

impl Activation {
    /// The name in configuration files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::GeluNew => "gelu_new",
            Self::Swish => "swish",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::LeakyRelu => "leakyrelu",
            Self::Mish => "mish",
            Self::QuickGelu => "quick_gelu",
            Self::Relu6 => "relu6",
            Self::Relu2 => "relu2",
            Self::Gelu10 => "gelu_10",
            Self::Laplace => "laplace",
            Self::Linear => "linear",
            Self::Prelu => "prelu",
        }
    }
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Activation {
    type Err = UnknownActivation;
    fn from_str(text: &str) -> Result<Self, UnknownActivation> {
        Ok(match text {
            "relu" => Self::Relu,
            "gelu" | "gelu_python" => Self::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_fast" | "gelu_accurate" => {
                Self::GeluNew
            }
            "swish" | "silu" => Self::Swish,
            "tanh" => Self::Tanh,
            "sigmoid" => Self::Sigmoid,
            "leakyrelu" | "leaky_relu" => Self::LeakyRelu,
            "mish" => Self::Mish,
            "quick_gelu" => Self::QuickGelu,
            "relu6" => Self::Relu6,
            "relu2" => Self::Relu2,
            "gelu_10" => Self::Gelu10,
            "laplace" => Self::Laplace,
            "linear" => Self::Linear,
            _ => return Err(UnknownActivation(text.to_owned())),
        })
    }
}
