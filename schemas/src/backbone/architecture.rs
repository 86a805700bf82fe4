//! Families of backbones, and what their modules are called in checkpoints.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LinearSite, Module, SubLayer, bert, gpt2, llama, roberta, vit};

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
    /// GPT-2 decoders (`model_type: gpt2`): pre-norm, learned positions, one matrix for queries, keys and values.
    Gpt2,
    /// LLaMA decoders (`model_type: llama`): pre-norm with RMS norms, rotary positions, grouped
    /// queries, a gated feed-forward network.
    Llama,
    /// Mistral decoders (`model_type: mistral`): LLaMA whose tokens see no further back than a window.
    Mistral,
    /// Vision transformers (`model_type: vit`): pre-norm encoders of the patches of an image.
    Vit,
    /// DINOv2 (`model_type: dinov2`): ViT whose sub-layers' outputs are scaled, for images of any size.
    Dinov2,
}

/// Not an architecture this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the architecture `{0}` is not supported; this version knows `bert`, `roberta`, `xlm-roberta`, `gpt2`, `llama`, `mistral`, `vit` and `dinov2`"
)]
pub struct UnknownArchitecture(pub String);

impl Architecture {
    /// Every architecture this version knows.
    pub const ALL: [Self; 8] = [
        Self::Bert,
        Self::Roberta,
        Self::XlmRoberta,
        Self::Gpt2,
        Self::Llama,
        Self::Mistral,
        Self::Vit,
        Self::Dinov2,
    ];

    /// The `model_type` of a Hugging Face `config.json`.
    pub const fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
            Self::XlmRoberta => "xlm-roberta",
            Self::Gpt2 => "gpt2",
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Vit => "vit",
            Self::Dinov2 => "dinov2",
        }
    }

    /// The module that holds the backbone inside a model with a head, without a dot.
    pub const fn model_prefix(self) -> &'static str {
        match self {
            Self::Bert => bert::MODEL_PREFIX,
            Self::Roberta | Self::XlmRoberta => roberta::MODEL_PREFIX,
            Self::Gpt2 => gpt2::MODEL_PREFIX,
            Self::Llama | Self::Mistral => llama::MODEL_PREFIX,
            Self::Vit => vit::VIT_PREFIX,
            Self::Dinov2 => vit::DINO_PREFIX,
        }
    }

    /// The module path of a linear layer inside the backbone.
    pub fn linear_path(self, layer: usize, site: LinearSite) -> String {
        self.module_path(Module::Linear { layer, site })
    }

    /// The path of a module inside the backbone; its own name where the architecture has none such.
    pub fn module_path(self, module: Module) -> String {
        self.find(module).unwrap_or_else(|| module.to_string())
    }

    /// The path of a module inside the backbone, if the architecture has it.
    fn find(self, module: Module) -> Option<String> {
        match self {
            Self::Bert | Self::Roberta | Self::XlmRoberta => bert::module_path(module),
            Self::Gpt2 => gpt2::module_path(module),
            Self::Llama | Self::Mistral => llama::module_path(module),
            Self::Vit => vit::vit_path(module),
            Self::Dinov2 => vit::dino_path(module),
        }
    }

    /// Whether backbones of this architecture have a module (or may have it: a pooler).
    pub fn has(self, module: Module) -> bool {
        self.find(module).is_some()
    }

    /// Every module of a backbone with so many blocks, in the order of computation.
    pub fn modules(self, num_layers: usize) -> Vec<Module> {
        Module::in_layers(num_layers).into_iter().filter(|&module| self.has(module)).collect()
    }

    /// The linear layers of each block.
    pub fn linear_sites(self) -> Vec<LinearSite> {
        LinearSite::ALL.into_iter().filter(|&site| self.has(Module::Linear { layer: 0, site })).collect()
    }

    /// Where LoRA goes when nobody says: PEFT's default for the model type.
    pub fn default_targets(self) -> Vec<LinearSite> {
        match self {
            Self::Gpt2 => vec![LinearSite::QueryKeyValue],
            _ => vec![LinearSite::Query, LinearSite::Value],
        }
    }

    /// What `adapters` means by `intermediate_lora` and `output_lora`: in LLaMA and Mistral its names are swapped.
    pub const fn adapters_ffn_sites(self) -> [LinearSite; 2] {
        match self {
            Self::Llama | Self::Mistral => [LinearSite::FfnDown, LinearSite::FfnUp],
            _ => [LinearSite::FfnUp, LinearSite::FfnDown],
        }
    }

    /// Whether checkpoints keep the weights of linear layers as `[in, out]`.
    pub const fn transposes_weights(self) -> bool {
        matches!(self, Self::Gpt2)
    }

    /// Whether a language model's output table is the word embedding where `config.json` is silent.
    pub const fn ties_embeddings(self) -> bool {
        !matches!(self, Self::Llama | Self::Mistral)
    }

    /// Whether it reads the pixels of images and no tokens.
    pub const fn reads_images(self) -> bool {
        matches!(self, Self::Vit | Self::Dinov2)
    }

    /// Whether positions are attended to from behind only.
    pub const fn is_decoder(self) -> bool {
        matches!(self, Self::Gpt2 | Self::Llama | Self::Mistral)
    }

    /// Whether the modules of another architecture have the same paths; with the model's
    /// prefix in front when `prefixed`.
    pub fn shares_modules(self, other: Self, prefixed: bool) -> bool {
        let paths = |a: Self| Module::in_layers(1).into_iter().map(|m| a.find(m)).collect::<Vec<_>>();
        paths(self) == paths(other) && (!prefixed || self.model_prefix() == other.model_prefix())
    }

    /// The path of a block inside the backbone.
    pub fn block_path(self, layer: usize) -> String {
        match self {
            Self::Bert | Self::Roberta | Self::XlmRoberta | Self::Vit | Self::Dinov2 => {
                format!("encoder.layer.{layer}")
            }
            Self::Gpt2 => format!("h.{layer}"),
            Self::Llama | Self::Mistral => format!("layers.{layer}"),
        }
    }

    /// The block that a module path or tensor name belongs to.
    pub fn layer_of(self, path: &str) -> Option<usize> {
        let stem = self.block_path(0);
        let stem = stem.strip_suffix('0')?;
        // `h.` is the end of many words, a whole part of a path only once.
        let starts_part = |at: &usize| *at == 0 || path[..*at].ends_with('.');
        let at = path.match_indices(stem).map(|(at, _)| at).find(starts_part)?;
        path[at + stem.len()..].split('.').next()?.parse().ok()
    }

    /// The path of a block's attention inside the backbone: the module that projects
    /// queries, keys and values.
    pub fn attention_path(self, layer: usize) -> String {
        match self {
            Self::Bert | Self::Roberta | Self::XlmRoberta => {
                format!("{}.attention.self", self.block_path(layer))
            }
            Self::Vit | Self::Dinov2 => format!("{}.attention.attention", self.block_path(layer)),
            Self::Gpt2 => format!("{}.attn", self.block_path(layer)),
            Self::Llama | Self::Mistral => format!("{}.self_attn", self.block_path(layer)),
        }
    }

    /// The module after whose output the residual is added and the norm applied.
    pub fn sublayer_path(self, layer: usize, sublayer: SubLayer) -> String {
        match self {
            Self::Bert | Self::Roberta | Self::XlmRoberta => bert::sublayer_path(layer, sublayer),
            Self::Gpt2 => gpt2::sublayer_path(layer, sublayer),
            Self::Llama | Self::Mistral => llama::sublayer_path(layer, sublayer),
            Self::Vit | Self::Dinov2 => vit::sublayer_path(layer, sublayer),
        }
    }

    /// The module path of the classifier that `transformers`' own sequence
    /// classification model puts on top.
    pub const fn classifier_path(self) -> &'static str {
        match self {
            Self::Bert | Self::Roberta | Self::XlmRoberta => bert::CLASSIFIER,
            Self::Gpt2 | Self::Llama | Self::Mistral => "score",
            Self::Vit | Self::Dinov2 => vit::CLASSIFIER,
        }
    }

    /// `transformers` class with a classification head: of sequences, or of images.
    pub const fn classification_class(self) -> &'static str {
        match self {
            Self::Bert => "BertForSequenceClassification",
            Self::Roberta => "RobertaForSequenceClassification",
            Self::XlmRoberta => "XLMRobertaForSequenceClassification",
            Self::Gpt2 => "GPT2ForSequenceClassification",
            Self::Llama => "LlamaForSequenceClassification",
            Self::Mistral => "MistralForSequenceClassification",
            Self::Vit => "ViTForImageClassification",
            Self::Dinov2 => "Dinov2ForImageClassification",
        }
    }

    /// `adapters` class with flexible heads.
    pub const fn flexible_class(self) -> &'static str {
        match self {
            Self::Bert => "BertAdapterModel",
            Self::Roberta => "RobertaAdapterModel",
            Self::XlmRoberta => "XLMRobertaAdapterModel",
            Self::Gpt2 => "GPT2AdapterModel",
            Self::Llama => "LlamaAdapterModel",
            Self::Mistral => "MistralAdapterModel",
            Self::Vit => "ViTAdapterModel",
            // The library has no class of its own for it, and notes the model's.
            Self::Dinov2 => "Dinov2Model",
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
