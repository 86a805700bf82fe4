//! Families of backbones, and what their modules are called in checkpoints.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    LinearSite, Module, SubLayer, Variant, albert, bart, bert, deberta_v2, distilbert, electra, gpt2, llama,
    modernbert,
    names::{DecoderNames, Names, ON_THE_BLOCK},
    roberta, t5, vit, whisper,
};

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
    /// Qwen2 decoders (`model_type: qwen2`): LLaMA with biases on queries, keys and values.
    Qwen2,
    /// Qwen3 decoders (`model_type: qwen3`): LLaMA with norms on the queries and keys of every head.
    Qwen3,
    /// Gemma decoders (`model_type: gemma`): LLaMA with scaled embeddings and gains counted from one.
    Gemma,
    /// Gemma 2 decoders (`model_type: gemma2`): Gemma with norms behind the sub-layers too and bounded scores.
    Gemma2,
    /// ELECTRA encoders (`model_type: electra`): BERT without a pooler, its tables often narrower.
    Electra,
    /// `DistilBERT` encoders (`model_type: distilbert`): BERT without segments.
    #[serde(rename = "distilbert")]
    DistilBert,
    /// ALBERT encoders (`model_type: albert`): BERT whose tables are narrower and whose layers share weights.
    Albert,
    /// DeBERTa-v2 and -v3 encoders (`model_type: deberta-v2`): contents and relative positions attended to apart.
    DebertaV2,
    /// `ModernBERT` encoders (`model_type: modernbert`): pre-norm, rotary positions, local and global attention.
    #[serde(rename = "modernbert")]
    ModernBert,
    /// Vision transformers (`model_type: vit`): pre-norm encoders of the patches of an image.
    Vit,
    /// DINOv2 (`model_type: dinov2`): ViT whose sub-layers' outputs are scaled, for images of any size.
    Dinov2,
    /// Whisper (`model_type: whisper`): a pre-norm encoder of the log-mel spectrogram of a recording, alone or with
    /// the decoder behind it that writes what was said.
    Whisper,
    /// T5 and Flan-T5 (`model_type: t5`): pre-norm encoder and decoder with RMS norms and a bias for
    /// every distance.
    T5,
    /// mT5 (`model_type: mt5`): T5 v1.1 with another vocabulary.
    Mt5,
    /// BART (`model_type: bart`): post-norm encoder and decoder with learned positions.
    Bart,
    /// mBART (`model_type: mbart`): BART with the norms in front, and one more behind each stack.
    #[serde(rename = "mbart")]
    MBart,
}

/// Not an architecture this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the architecture `{0}` is not supported; this version knows `bert`, `roberta`, `xlm-roberta`, `gpt2`, `llama`, `mistral`, `qwen2`, `qwen3`, `gemma`, `gemma2`, `electra`, `distilbert`, `albert`, `deberta-v2`, `modernbert`, `vit`, `dinov2`, `whisper`, `t5`, `mt5`, `bart` and `mbart`"
)]
pub struct UnknownArchitecture(pub String);

impl Architecture {
    /// Every architecture this version knows.
    pub const ALL: [Self; 22] = [
        Self::Bert,
        Self::Roberta,
        Self::XlmRoberta,
        Self::Gpt2,
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
        Self::Gemma,
        Self::Gemma2,
        Self::Electra,
        Self::DistilBert,
        Self::Albert,
        Self::DebertaV2,
        Self::ModernBert,
        Self::Vit,
        Self::Dinov2,
        Self::T5,
        Self::Mt5,
        Self::Bart,
        Self::MBart,
        // Behind BART, whose names it shares: of architectures that explain a file equally well the first is meant.
        Self::Whisper,
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
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma => "gemma",
            Self::Gemma2 => "gemma2",
            Self::Electra => "electra",
            Self::DistilBert => "distilbert",
            Self::Albert => "albert",
            Self::DebertaV2 => "deberta-v2",
            Self::ModernBert => "modernbert",
            Self::Vit => "vit",
            Self::Dinov2 => "dinov2",
            Self::Whisper => "whisper",
            Self::T5 => "t5",
            Self::Mt5 => "mt5",
            Self::Bart => "bart",
            Self::MBart => "mbart",
        }
    }

    /// What its modules are called, or those in front of a decoder.
    const fn names(self, variant: Variant) -> Names {
        match self {
            Self::Bert => bert::NAMES,
            Self::Roberta | Self::XlmRoberta => roberta::NAMES,
            Self::Gpt2 => gpt2::NAMES,
            Self::Llama | Self::Mistral | Self::Qwen2 | Self::Gemma => llama::NAMES,
            Self::Qwen3 => llama::QWEN3,
            Self::Gemma2 => llama::GEMMA2,
            Self::Electra => electra::NAMES,
            Self::DistilBert => distilbert::NAMES,
            Self::Albert => albert::NAMES,
            Self::DebertaV2 => deberta_v2::NAMES,
            Self::ModernBert => modernbert::NAMES,
            Self::Vit => vit::VIT,
            Self::Dinov2 if variant.has_ffn_gate => vit::GATED_DINOV2,
            Self::Dinov2 => vit::DINOV2,
            Self::Whisper if variant.decoder_from.is_some() => whisper::WHOLE,
            Self::Whisper => whisper::NAMES,
            Self::T5 | Self::Mt5 if variant.has_ffn_gate => t5::GATED,
            Self::T5 | Self::Mt5 => t5::NAMES,
            Self::Bart => bart::NAMES,
            Self::MBart => bart::MBART,
        }
    }

    /// What the modules of a decoder behind an encoder are called.
    const fn decoder_names(self, variant: Variant) -> Option<DecoderNames> {
        match self {
            Self::T5 | Self::Mt5 if variant.has_ffn_gate => Some(t5::GATED_DECODER),
            Self::T5 | Self::Mt5 => Some(t5::DECODER),
            Self::Bart | Self::MBart => Some(bart::DECODER),
            Self::Whisper => Some(whisper::DECODER),
            _ => None,
        }
    }

    /// The names of the stack that a block stands in, and its number there.
    fn stack(self, layer: usize, variant: Variant) -> (Names, usize) {
        match (variant.decoder_from, self.decoder_names(variant)) {
            (Some(first), Some(decoder)) if layer >= first => (decoder.own, layer - first),
            _ => (self.names(variant), layer),
        }
    }

    /// Whether it has a decoder behind its encoder, unless a checkpoint leaves that out or only the encoder is meant.
    pub const fn is_encoder_decoder(self) -> bool {
        self.has_distances() || self.is_bart() || matches!(self, Self::Whisper)
    }

    /// Whether more than the architecture decides what its modules are called.
    pub const fn has_variants(self) -> bool {
        self.is_encoder_decoder() || matches!(self, Self::Dinov2)
    }

    /// Whether it is T5 or one of its descendants: attention knows distances, not positions.
    pub const fn has_distances(self) -> bool {
        matches!(self, Self::T5 | Self::Mt5)
    }

    /// Whether it is BART or one of its descendants.
    pub const fn is_bart(self) -> bool {
        matches!(self, Self::Bart | Self::MBart)
    }

    /// Whether encoder and decoder read one table of words, each by a name of its own.
    pub const fn shares_words(self) -> bool {
        self.has_distances() || self.is_bart()
    }

    /// Whether its classes of `transformers`, and the classifiers of `adapters`, read the decoder where the text ends.
    pub const fn classifies_ends_of_texts(self) -> bool {
        self.has_distances() || self.is_bart()
    }

    /// Whether the encoder of a checkpoint with a decoder is a backbone of its own: one that predicts.
    pub const fn has_encoder_alone(self) -> bool {
        matches!(self, Self::Whisper)
    }

    /// The module that holds the backbone inside a model with a head, without a dot.
    pub const fn model_prefix(self, variant: Variant) -> &'static str {
        self.names(variant).model_prefix
    }

    /// The path of a module inside the backbone; its own name where the architecture has none such.
    pub fn module_path(self, module: Module, variant: Variant) -> String {
        self.find(module, variant).unwrap_or_else(|| module.to_string())
    }

    /// The path of a module inside the backbone, if this variant of the architecture has it.
    pub(super) fn find(self, module: Module, variant: Variant) -> Option<String> {
        if module.is_of_decoder() && variant.decoder_from.is_none() {
            return None;
        }
        let Some(layer) = module.layer() else { return self.names(variant).module(module) };
        let (names, layer) = self.stack(layer, variant);
        names.module(module.at_layer(layer))
    }

    /// The path of a module in a model with a head when `prefixed`, in the bare backbone otherwise.
    pub fn path_in_model(self, module: Module, prefixed: bool, variant: Variant) -> String {
        let path = self.module_path(module, variant);
        let is_inside = match module {
            Module::Pooler => !self.pools_outside(),
            module => !module.is_in_head(),
        };
        if prefixed && is_inside { format!("{}.{path}", self.model_prefix(variant)) } else { path }
    }

    /// Whether the pooler belongs to the model classes with a head and not to the backbone.
    pub const fn pools_outside(self) -> bool {
        matches!(self, Self::DistilBert | Self::DebertaV2 | Self::ModernBert)
    }

    /// Whether backbones of this architecture have a module (or may have it: a pooler).
    pub fn has(self, module: Module) -> bool {
        // Of encoder and decoder with a gate, whatever is in one of them.
        let variants = [(None, false), (Some(0), false), (Some(usize::MAX), true), (Some(0), true)];
        let has = |(decoder_from, has_ffn_gate)| {
            self.find(module, Variant { decoder_from, has_ffn_gate }).is_some()
        };
        variants.into_iter().any(has)
    }

    /// Every module of a backbone with so many blocks, in the order of computation.
    pub fn modules(self, num_layers: usize, variant: Variant) -> Vec<Module> {
        let modules = Module::in_layers(num_layers).into_iter();
        modules.filter(|&module| self.find(module, variant).is_some()).collect()
    }

    /// The linear layers of each block.
    pub fn linear_sites(self) -> Vec<LinearSite> {
        LinearSite::ALL.into_iter().filter(|&site| self.has(Module::Linear { layer: 0, site })).collect()
    }

    /// Where LoRA goes when nobody says: PEFT's default for the model type.
    pub fn default_targets(self) -> Vec<LinearSite> {
        match self {
            Self::Gpt2 | Self::ModernBert => vec![LinearSite::QueryKeyValue],
            _ => vec![LinearSite::Query, LinearSite::Value],
        }
    }

    /// Whether checkpoints keep the weights of linear layers as `[in, out]`.
    pub const fn transposes_weights(self) -> bool {
        matches!(self, Self::Gpt2)
    }

    /// Whether a language model's output table is the word embedding where `config.json` is silent.
    pub const fn ties_embeddings(self) -> bool {
        !matches!(self, Self::Llama | Self::Mistral | Self::Qwen2 | Self::Qwen3 | Self::Mt5)
    }

    /// Whether it reads the pixels of images and no tokens.
    pub const fn reads_images(self) -> bool {
        matches!(self, Self::Vit | Self::Dinov2)
    }

    /// Whether it reads recordings of sound and no tokens.
    pub const fn reads_audio(self) -> bool {
        matches!(self, Self::Whisper)
    }

    /// What its inputs are, for many of them.
    pub const fn inputs(self) -> &'static str {
        match self {
            images if images.reads_images() => "images",
            audio if audio.reads_audio() => "recordings",
            _ => "texts",
        }
    }

    /// What stands for an input on a command line.
    pub const fn example_input(self) -> &'static str {
        match self {
            images if images.reads_images() => "image.png",
            audio if audio.reads_audio() => "recording.wav",
            _ => "\"some text\"",
        }
    }

    /// Whether positions are attended to from behind only.
    pub const fn is_decoder(self) -> bool {
        matches!(
            self,
            Self::Gpt2 | Self::Llama | Self::Mistral | Self::Qwen2 | Self::Qwen3 | Self::Gemma | Self::Gemma2
        )
    }

    /// Whether the modules that another architecture has too have the same paths; with the model's
    /// prefix in front when `prefixed`.
    pub fn shares_modules(self, other: Self, prefixed: bool) -> bool {
        let variant = Variant::default();
        let find = |architecture: Self, module| architecture.find(module, variant);
        let mut shared =
            Module::in_layers(1).into_iter().filter_map(|m| Some((find(self, m)?, find(other, m)?)));
        shared.all(|(own, other)| own == other)
            && (!prefixed || self.model_prefix(variant) == other.model_prefix(variant))
    }

    /// The path of a block inside the backbone.
    pub fn block_path(self, layer: usize, variant: Variant) -> String {
        let (names, layer) = self.stack(layer, variant);
        names.block(layer)
    }

    /// What stands in front of a block's number, in an encoder and in a decoder behind it.
    pub fn blocks(self, variant: Variant) -> Vec<&'static str> {
        let decoder = self.decoder_names(variant).map(|decoder| decoder.own.blocks);
        [self.names(variant).blocks].into_iter().chain(decoder).collect()
    }

    /// How many blocks a file of an adapter tells of, by the names of its tensors, and which variant
    /// of the architecture. What it does not mention is missing: a base model knows better.
    pub fn told_by<'a>(self, names: &(impl Iterator<Item = &'a str> + Clone)) -> (usize, Variant) {
        let count = |stem: &str| {
            let last = names.clone().filter_map(|name| number_behind(name, stem)).max();
            last.map_or(0, |last| last + 1)
        };
        let gated = [".wi_0.", ".wi_1.", ".weights_in.", ".weights_out."];
        let has_ffn_gate = names.clone().any(|name| gated.iter().any(|part| name.contains(part)));
        let behind = Variant { decoder_from: Some(0), has_ffn_gate };
        // Where an encoder alone has other names than one in front of a decoder, its blocks tell too.
        let is_in_front = || {
            let stem = format!("{}.{}", self.model_prefix(behind), self.names(behind).blocks);
            self.has_encoder_alone() && names.clone().any(|name| number_behind(name, &stem).is_some())
        };
        // A table or a norm of the decoder's may be all that there is.
        let names_decoder = || {
            let is_of_decoder = |name: &str| name.split('.').any(|part| part == "decoder");
            self.has_encoder_alone() && names.clone().any(is_of_decoder)
        };
        match self.blocks(behind).as_slice() {
            [encoder, decoder] if count(decoder) > 0 || is_in_front() || names_decoder() => {
                let encoder = count(encoder);
                (encoder + count(decoder), Variant { decoder_from: Some(encoder), has_ffn_gate })
            }
            _ => {
                let alone = Variant { decoder_from: None, has_ffn_gate };
                (count(self.names(alone).blocks), alone)
            }
        }
    }

    /// The path of a block's attention inside the backbone: the module that projects
    /// queries, keys and values.
    pub fn attention_path(self, layer: usize, variant: Variant) -> String {
        format!("{}.{}", self.block_path(layer, variant), self.names(variant).attention)
    }

    /// The path of the attention of a decoder's block to what an encoder gives; `None` for other blocks.
    pub fn cross_attention_path(self, layer: usize, variant: Variant) -> Option<String> {
        let decoder = self.decoder_names(variant).filter(|_| variant.is_decoder(layer))?;
        Some(format!("{}.{}", self.block_path(layer, variant), decoder.cross_attention))
    }

    /// The module after whose output the residual is added and the norm applied.
    pub fn sublayer_path(self, layer: usize, sublayer: SubLayer, variant: Variant) -> String {
        let (names, layer) = self.stack(layer, variant);
        let cross = self.decoder_names(variant).map_or("", |decoder| decoder.cross_sublayer);
        names.sublayer(layer, sublayer, cross)
    }

    /// Where `adapters` puts what its plug-in interface hangs on the end of a sub-layer.
    pub fn hooked_path(self, layer: usize, sublayer: SubLayer, variant: Variant) -> String {
        let [attention, ffn] = ON_THE_BLOCK;
        let at = if sublayer == SubLayer::Ffn { ffn } else { attention };
        format!("{}.{at}", self.block_path(layer, variant))
    }

    /// How the names of its classes begin in `transformers` and in `adapters`.
    pub const fn class_prefix(self) -> &'static str {
        match self {
            Self::Bert => "Bert",
            Self::Roberta => "Roberta",
            Self::XlmRoberta => "XLMRoberta",
            Self::Gpt2 => "GPT2",
            Self::Llama => "Llama",
            Self::Mistral => "Mistral",
            Self::Qwen2 => "Qwen2",
            Self::Qwen3 => "Qwen3",
            Self::Gemma => "Gemma",
            Self::Gemma2 => "Gemma2",
            Self::Electra => "Electra",
            Self::DistilBert => "DistilBert",
            Self::Albert => "Albert",
            Self::DebertaV2 => "DebertaV2",
            Self::ModernBert => "ModernBert",
            Self::Vit => "ViT",
            Self::Dinov2 => "Dinov2",
            Self::Whisper => "Whisper",
            Self::T5 => "T5",
            Self::Mt5 => "MT5",
            Self::Bart => "Bart",
            Self::MBart => "MBart",
        }
    }

    /// `adapters` class with flexible heads.
    pub fn flexible_class(self) -> String {
        // The library has no class of its own for DINOv2, and notes the model's.
        let kind = if self == Self::Dinov2 { "Model" } else { "AdapterModel" };
        format!("{}{kind}", self.class_prefix())
    }
}

/// The number that follows `stem` in a path.
fn number_behind(path: &str, stem: &str) -> Option<usize> {
    // `h.` is the end of many words, a whole part of a path only once.
    let starts_part = |at: &usize| *at == 0 || path[..*at].ends_with('.');
    let at = path.match_indices(stem).map(|(at, _)| at).find(starts_part)?;
    path[at + stem.len()..].split('.').next()?.parse().ok()
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
