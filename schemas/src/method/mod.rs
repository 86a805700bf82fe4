//! The typed configuration of every adapter method: one file each.
//!
//! Field names and defaults are those of the Python libraries whose files we
//! read and write: `adapters` for what it alone has, PEFT for the rest. A method
//! is a [`MethodSpec`]: what it is called, whether it fits a backbone, and which
//! tensors it has there. What it computes is in the client library.

mod activation;
mod adalora;
mod beft;
mod boft;
mod bottleneck;
mod c3a;
mod composition;
mod deft;
mod delora;
pub mod fused;
mod fusion;
mod glora;
mod gralora;
mod hadamard;
mod hira;
mod hra;
mod ia3;
mod layers;
mod llama_adapter;
mod loha;
mod lokr;
mod lora;
mod miss;
mod oft;
mod prefix;
mod prompt;
mod randlora;
mod rank_pattern;
mod reft;
mod replace;
mod road;
mod shira;
mod spec;
mod tokens;
mod union;
mod vblora;
mod vera;
mod without_words;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use activation::{Activation, UnknownActivation};
pub use adalora::{AdaLoraConfig, PrunedRank};
pub use beft::BeftConfig;
pub use boft::BoftConfig;
pub use bottleneck::{
    BottleneckConfig, Hooked, HookedAt, HookedNorm, HookedResidual, InitScheme, InnerResidual, Invertible,
    PhmConfig, PhmInit, ReductionFactor, Scaling,
};
pub use c3a::{BlockPattern, C3aConfig};
pub use composition::{ComposedFusion, CompositionConfig, CompositionMember};
pub use deft::{DeftConfig, DeftDecomposition};
pub use delora::DeloraConfig;
pub use fusion::FusionConfig;
pub use glora::{GloraConfig, GloraPath};
pub use gralora::GraloraConfig;
pub use hadamard::{HadamardConfig, HadamardPosition};
pub use hira::HiraConfig;
pub use hra::HraConfig;
pub use ia3::Ia3Config;
pub use llama_adapter::{ImagePrompt, LlamaAdapterConfig, PromptGate, PromptJoin};
pub use loha::LohaConfig;
pub use lokr::{KroneckerFactor, LokrConfig};
pub use lora::{Dora, LoraConfig, LoraInit, LoraPattern, MultiTaskLora};
pub use miss::{MissConfig, MissForm};
pub use oft::{OftBlocks, OftConfig};
pub use prefix::{PrefixConfig, PrefixGroup};
pub use prompt::{PromptConfig, PromptPlace};
pub use randlora::{RandLoraConfig, RandomBases};
pub use rank_pattern::RankPattern;
pub use reft::ReftConfig;
pub use replace::ReplaceConfig;
pub use road::{RoadConfig, RoadVariant};
pub use shira::ShiraConfig;
pub use spec::{MethodError, MethodSpec};
pub use tokens::TokensConfig;
pub use union::UnionConfig;
pub use vblora::VbLoraConfig;
pub use vera::{VeraConfig, VeraScaling};
pub use without_words::{Tie, without_words};

use crate::{backbone::BackboneShape, layout::Slot};

/// An adapter method with its configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Method {
    /// Bottleneck layers after sub-layers (Houlsby et al. 2019, Pfeiffer et al. 2021),
    /// in parallel to them (He et al. 2022), or hypercomplex (Mahabadi et al. 2021).
    Bottleneck(BottleneckConfig),
    /// Low-rank updates of linear layers (Hu et al. 2021).
    Lora(LoraConfig),
    /// Low-rank updates with as many singular values as each layer needs (Zhang et al. 2023).
    #[serde(rename = "adalora")]
    AdaLora(AdaLoraConfig),
    /// Element-wise products of low-rank updates (Hyeon-Woo et al. 2022).
    Loha(LohaConfig),
    /// Kronecker products as updates (Edalati et al. 2022).
    Lokr(LokrConfig),
    /// Rotated inputs of linear layers (Qiu et al. 2023).
    Oft(OftConfig),
    /// Inputs rotated by butterfly factors (Liu et al. 2024).
    Boft(BoftConfig),
    /// Learned factors on outputs or inputs of linear layers (Liu et al. 2022).
    Ia3(Ia3Config),
    /// Learned diagonals around shared random matrices (Kopiczko et al. 2024).
    Vera(VeraConfig),
    /// Biases added to the output of linear layers (Huang et al. 2025).
    Beft(BeftConfig),
    /// Updates made of circulant blocks (Chen et al. 2024).
    #[serde(rename = "c3a")]
    C3a(C3aConfig),
    /// Low-rank updates of bounded norm (Bini et al. 2025).
    Delora(DeloraConfig),
    /// Low-rank updates of blocks of a weight (Jung et al. 2025).
    Gralora(GraloraConfig),
    /// Weights times low-rank matrices, element by element, as updates (Huang et al. 2025).
    Hira(HiraConfig),
    /// Inputs of linear layers behind reflections (Yuan et al. 2024).
    Hra(HraConfig),
    /// One matrix added to every shard of a weight (Kang & Yin 2024).
    Miss(MissConfig),
    /// Combinations of shared random matrices as updates (Albert et al. 2025).
    #[serde(rename = "randlora")]
    RandLora(RandLoraConfig),
    /// Rotated and scaled pairs of outputs (Liao & Monz 2024).
    Road(RoadConfig),
    /// Some elements of a weight (Bhardwaj et al. 2024).
    Shira(ShiraConfig),
    /// Updates put together from shared vectors (Li et al. 2024).
    #[serde(rename = "vblora")]
    VbLora(VbLoraConfig),
    /// Scaled and shifted weights and biases (Chavan et al. 2023).
    Glora(GloraConfig),
    /// Weights projected along learned directions and filled up there (2025).
    Deft(DeftConfig),
    /// Learned keys and values in front of every attention (Li & Liang 2021).
    Prefix(PrefixConfig),
    /// Learned tokens in front of the input (Lester et al. 2021).
    Prompt(PromptConfig),
    /// Learned tokens beside every attention, behind gates (Zhang et al. 2023).
    LlamaAdapter(LlamaAdapterConfig),
    /// Interventions on hidden states (Wu et al. 2024).
    Reft(ReftConfig),
    /// Learned rows of an embedding table.
    Tokens(TokensConfig),
    /// Trained copies of the backbone's own tensors: `BitFit`, tuned norms, full fine-tuning.
    Replace(ReplaceConfig),
    /// A weight and a bias per channel after self-attention (Chen et al. 2023).
    Hadamard(HadamardConfig),
    /// Several methods at once (He et al. 2022, Mao et al. 2022).
    Union(UnionConfig),
    /// Other adapters, as an expression arranges them (Pfeiffer et al. 2021).
    Composition(CompositionConfig),
    /// No adapter: only the prediction head is trained, on the frozen backbone.
    LastLayer,
}

impl Method {
    /// Every value that [`kind`](MethodSpec::kind) can have.
    pub const KINDS: [&'static str; 32] = [
        "bottleneck",
        "lora",
        "adalora",
        "loha",
        "lokr",
        "oft",
        "boft",
        "ia3",
        "vera",
        "beft",
        "c3a",
        "delora",
        "gralora",
        "hira",
        "hra",
        "miss",
        "randlora",
        "road",
        "shira",
        "vblora",
        "glora",
        "deft",
        "prefix",
        "prompt",
        "llama-adapter",
        "reft",
        "tokens",
        "replace",
        "hadamard",
        "union",
        "composition",
        "last-layer",
    ];

    /// The method's own configuration.
    fn spec(&self) -> &dyn MethodSpec {
        match self {
            Self::Bottleneck(config) => config,
            Self::Lora(config) => config,
            Self::AdaLora(config) => config,
            Self::Loha(config) => config,
            Self::Lokr(config) => config,
            Self::Oft(config) => config,
            Self::Boft(config) => config,
            Self::Ia3(config) => config,
            Self::Vera(config) => config,
            Self::Beft(config) => config,
            Self::C3a(config) => config,
            Self::Delora(config) => config,
            Self::Gralora(config) => config,
            Self::Hira(config) => config,
            Self::Hra(config) => config,
            Self::Miss(config) => config,
            Self::RandLora(config) => config,
            Self::Road(config) => config,
            Self::Shira(config) => config,
            Self::VbLora(config) => config,
            Self::Glora(config) => config,
            Self::Deft(config) => config,
            Self::Prefix(config) => config,
            Self::Prompt(config) => config,
            Self::LlamaAdapter(config) => config,
            Self::Reft(config) => config,
            Self::Tokens(config) => config,
            Self::Replace(config) => config,
            Self::Hadamard(config) => config,
            Self::Union(config) => config,
            Self::Composition(config) => config,
            Self::LastLayer => &LastLayer,
        }
    }

    /// The parts of a union, or the method itself.
    pub fn parts(&self) -> &[Self] {
        match self {
            Self::Union(union) => &union.parts,
            single => std::slice::from_ref(single),
        }
    }

    /// How many of the positions that a backbone counts its learned tokens take, in front of the input's.
    pub fn positions_in_front(&self) -> usize {
        let of_part = |part: &Self| match part {
            Self::Prompt(config) if config.place == PromptPlace::Words => config.prompt_length,
            Self::Prefix(config) if config.shifts_positions => config.prefix_length,
            _ => 0,
        };
        self.parts().iter().map(of_part).sum()
    }

    /// The method together with trained copies of the backbone's tensors.
    #[must_use]
    pub fn beside(self, copies: ReplaceConfig) -> Self {
        let copies = Self::Replace(copies);
        let mut parts = match self {
            Self::LastLayer => return copies,
            Self::Union(union) => union.parts,
            single => vec![single],
        };
        parts.push(copies);
        Self::Union(UnionConfig { parts })
    }

    /// The kind of method, as search filters and listings name it.
    pub fn kind(&self) -> &'static str {
        self.spec().kind()
    }

    /// The method and the numbers that set its size, for people: `lora r8 query,value`.
    pub fn summary(&self) -> String {
        self.spec().summary()
    }

    /// Refuses a configuration that does not fit the backbone or itself.
    pub fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        self.spec().validate(shape)
    }

    /// Its tensors on a backbone of this shape, in the order of computation.
    pub fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        self.spec().slots(shape)
    }
}

/// The method without an adapter.
struct LastLayer;

impl MethodSpec for LastLayer {
    fn kind(&self) -> &'static str {
        "last-layer"
    }

    fn summary(&self) -> String {
        "last layer".to_owned()
    }

    fn validate(&self, _shape: &BackboneShape) -> Result<(), MethodError> {
        Ok(())
    }

    fn slots(&self, _shape: &BackboneShape) -> Vec<Slot> {
        Vec::new()
    }
}
