//! Families of backbones, and what their modules are called in checkpoints.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LinearSite, Module, SubLayer, bert, roberta};

/// A family of backbones that share one computation and one naming of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// BERT encoders (`model_type: bert`): post-norm, learned positions, exact GELU.
    Bert,
    /// RoBERTa encoders (`model_type: roberta`): BERT with positions counted from behind the padding id.
    Roberta,
    /// XLM-RoBERTa encoders (`model_type: xlm-roberta`): RoBERTa with another vocabulary.
    XlmRoberta,
}

/// Not an architecture this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the architecture `{0}` is not supported; this version knows `bert`, `roberta` and `xlm-roberta`")]
pub struct UnknownArchitecture(pub String);

impl Architecture {
    /// Every architecture this version knows.
    pub const ALL: [Self; 3] = [Self::Bert, Self::Roberta, Self::XlmRoberta];

    /// The `model_type` of a Hugging Face `config.json`.
    pub const fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
            Self::XlmRoberta => "xlm-roberta",
        }
    }

    /// The module that holds the backbone inside a model with a head, without a dot.
    pub const fn model_prefix(self) -> &'static str {
        match self {
            Self::Bert => bert::MODEL_PREFIX,
            Self::Roberta | Self::XlmRoberta => roberta::MODEL_PREFIX,
        }
    }

    /// The module path of a linear layer inside the backbone.
    pub fn linear_path(self, layer: usize, site: LinearSite) -> String {
        self.module_path(Module::Linear { layer, site })
    }

    /// The path of a module inside the backbone.
    pub fn module_path(self, module: Module) -> String {
        match self {
            Self::Bert | Self::Roberta | Self::XlmRoberta => bert::module_path(module),
        }
    }

    /// Whether the modules of another architecture have the same paths; with the model's
    /// prefix in front when `prefixed`.
    pub fn shares_modules(self, other: Self, prefixed: bool) -> bool {
        let paths = |a: Self| Module::in_layers(1).into_iter().map(|m| a.module_path(m)).collect::<Vec<_>>();
        paths(self) == paths(other) && (!prefixed || self.model_prefix() == other.model_prefix())
    }

    /// The path of a block inside the backbone.
    pub fn block_path(self, layer: usize) -> String {
        match self {
            Self::Bert | Self::Roberta | Self::XlmRoberta => format!("encoder.layer.{layer}"),
        }
    }

    /// The block that a module path or tensor name belongs to.
    pub fn layer_of(self, path: &str) -> Option<usize> {
        let stem = self.block_path(0);
        let stem = stem.strip_suffix('0')?;
        let rest = &path[path.find(stem)? + stem.len()..];
        rest.split('.').next()?.parse().ok()
    }

    /// The path of a block's attention inside the backbone: the module that projects
    /// queries, keys and values.
    pub fn attention_path(self, layer: usize) -> String {
        match self {
            Self::Bert | Self::Roberta | Self::XlmRoberta => {
                format!("{}.attention.self", self.block_path(layer))
            }
        }
    }

    /// The module after whose output the residual is added and the norm applied.
    pub fn sublayer_path(self, layer: usize, sublayer: SubLayer) -> String {
        match self {
            Self::Bert | Self::Roberta | Self::XlmRoberta => bert::sublayer_path(layer, sublayer),
        }
    }

    /// The module path of the classifier that `transformers`' own sequence
    /// classification model puts on top.
    pub const fn classifier_path(self) -> &'static str {
        match self {
            Self::Bert | Self::Roberta | Self::XlmRoberta => bert::CLASSIFIER,
        }
    }

    /// `transformers` class with a sequence classification head.
    pub const fn classification_class(self) -> &'static str {
        match self {
            Self::Bert => "BertForSequenceClassification",
            Self::Roberta => "RobertaForSequenceClassification",
            Self::XlmRoberta => "XLMRobertaForSequenceClassification",
        }
    }

    /// `adapters` class with flexible heads.
    pub const fn flexible_class(self) -> &'static str {
        match self {
            Self::Bert => "BertAdapterModel",
            Self::Roberta => "RobertaAdapterModel",
            Self::XlmRoberta => "XLMRobertaAdapterModel",
        }
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.model_type())
    }
}

impl std::str::FromStr for Architecture {
    type Err = UnknownArchitecture;
    fn from_str(text: &str) -> Result<Self, UnknownArchitecture> {
        Self::ALL
            .into_iter()
            .find(|a| a.model_type() == text)
            .ok_or_else(|| UnknownArchitecture(text.to_owned()))
    }
}
