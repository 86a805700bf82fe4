//! A head on a particular backbone, with what it is and the names of its outputs.

use std::{borrow::Cow, path::PathBuf};

use hub_formats::checkpoint::AdapterFolder;
use hub_schemas::{
    backbone::{Architecture, Module},
    head::{Head, LanguageModelHead, Pooling},
    layout::{DECODER, DECODER_BIAS, Format, ModelClass, Slot, head_slots},
};

use super::{HeadInput, Prediction, PredictionHead, Tensors, language_model};
use crate::backbones::{Backbone, Linear};

/// Why a head can't stand on a backbone.
#[derive(Debug, thiserror::Error)]
pub enum HeadLoadError {
    /// The head needs a pooler that the checkpoint lacks.
    #[error("the head reads the pooled output, but the base model's checkpoint has no pooler")]
    NoPooler,
    /// A language model's head has another output table than the word embedding it is tied to.
    #[error(
        "the head in `{}` has an output table that is not the base model's word embedding; it belongs to a base model with other weights",
        .0.display()
    )]
    Untied(PathBuf),
    /// A language model's head without a table, on a base model whose own can't be taken.
    #[error(
        "the head in `{}` has no output table of its own; it needs a base model whose word embedding is its output table",
        .0.display()
    )]
    NoTable(PathBuf),
    /// The tensors can't be used.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// A head that is ready to predict.
#[derive(Debug)]
pub struct LoadedHead {
    config: Head,
    labels: Vec<String>,
    head: PredictionHead,
    /// Whether the inverse of an invertible adapter stands before a language model's table.
    inverts: bool,
    /// Whether it is that of the base model's checkpoint.
    is_of_base: bool,
}

impl LoadedHead {
    /// The head that the backbone's checkpoint brings.
    pub fn of_base(backbone: &Backbone) -> Result<Option<Self>, HeadLoadError> {
        let Some(base) = backbone.head() else { return Ok(None) };
        let head = PredictionHead::build(&base.head, &base.tensors, tied_table(&base.head, backbone))?;
        let head = head.computing_in(backbone.arithmetic())?;
        let inverts = inverts_in_class(backbone.config().architecture);
        let (config, labels) = (base.head.clone(), base.labels.clone());
        Ok(Some(Self { config, labels, head, inverts, is_of_base: true }))
    }

    /// The head that an adapter's folder brings, from its tensors by slot.
    pub fn of_folder(
        backbone: &Backbone,
        folder: &AdapterFolder,
        tensors: &Tensors,
    ) -> Result<Option<Self>, HeadLoadError> {
        let Some(config) = &folder.head else { return Ok(None) };
        check_pooler(backbone, config)?;
        // PEFT keeps a trained output layer apart from the embedding, whatever the base does.
        let tied = tied_table(config, backbone).filter(|_| folder.format != Format::Peft);
        match (tied, tensors.get(DECODER)) {
            (Some(words), Some(saved)) if !language_model::is_tied(saved, words)? => {
                return Err(HeadLoadError::Untied(folder.path.clone()));
            }
            (None, None) if config.language_model().is_some() => {
                return Err(HeadLoadError::NoTable(folder.path.clone()));
            }
            _ => {}
        }
        let config = &in_model_class(config, folder, backbone);
        let head = PredictionHead::build(config, &with_buffers(config, backbone, tensors), tied)?;
        let own = backbone.config();
        // Classes with a decoder behind an encoder that were saved with the adapter leave it out too.
        let in_class = own.shape.decoder_layers.is_none() && inverts_in_class(own.architecture);
        let inverts = folder.head_class.is_none() || in_class;
        let (config, labels) = (config.clone(), folder.labels.clone());
        Ok(Some(Self { config, labels, head, inverts, is_of_base: false }))
    }

    /// A head on fresh tensors: those of [`trained_slots`].
    pub fn fresh(backbone: &Backbone, config: &Head, tensors: &Tensors) -> Result<Self, HeadLoadError> {
        check_pooler(backbone, config)?;
        let head = PredictionHead::build(config, tensors, tied_table(config, backbone))?;
        Ok(Self { config: config.clone(), labels: Vec::new(), head, inverts: true, is_of_base: false })
    }

    /// The same with the inverse of an invertible adapter before a language model's table.
    pub(crate) fn inverting(self) -> Self {
        Self { inverts: true, ..self }
    }

    /// What it computes.
    pub fn config(&self) -> &Head {
        &self.config
    }

    /// Whether an adapter can change this layer of it: of classifiers only those of the base model's checkpoint are meant.
    pub fn has(&self, module: Module, architecture: Architecture) -> bool {
        let is_behind_pooler = |head: &Head| {
            architecture == Architecture::ModernBert
                && (head.is_behind_pooler() || head.pooling() == Some(Pooling::Pooler))
        };
        match (module, &self.config) {
            (module, _) if module.is_in_classifier() && !self.is_of_base => false,
            (Module::QaOutputs, Head::QuestionAnswering(config)) => config.layers == 1,
            (Module::LmTransform, Head::MaskedLm(config) | Head::CausalLm(config)) => config.layers == 2,
            (Module::Classifier, head) => head.classifier_layers() == Some(1),
            (Module::ClassifierDense | Module::ClassifierOutput, head) => head.classifier_layers() == Some(2),
            // ModernBERT's classes have one norm for this and behind the pooler.
            (Module::LmNorm, head) if is_behind_pooler(head) => true,
            (Module::LmNorm, Head::MaskedLm(config) | Head::CausalLm(config)) => config.layer_norm,
            (Module::Output, head) => head.language_model().is_some(),
            _ => false,
        }
    }

    /// Names of its outputs, in order.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The layers.
    pub fn layers(&self) -> &PredictionHead {
        &self.head
    }

    /// Predictions from the last hidden state.
    pub fn forward(&self, input: &HeadInput<'_>) -> candle_core::Result<Prediction> {
        if self.inverts {
            return self.head.forward(input);
        }
        self.head.forward(&HeadInput { invert: &Ok, ..*input })
    }
}

/// Whether `adapters` puts the inverse of an invertible adapter into `transformers`' own classes: only through its plug-in
/// interface, where it has no classes itself.
const fn inverts_in_class(architecture: Architecture) -> bool {
    matches!(
        architecture,
        Architecture::Gemma
            | Architecture::Gemma2
            | Architecture::ModernBert
            | Architecture::Qwen2
            | Architecture::Qwen3
    )
}

/// The tensors of `head` that training changes on this backbone: not a table that is tied
/// to the frozen word embedding.
pub fn trained_slots(head: &Head, backbone: &Backbone) -> Vec<Slot> {
    let is_tied = tied_table(head, backbone).is_some();
    let mut slots = head_slots(head, backbone.config().shape.hidden_size);
    slots.retain(|slot| !is_tied || slot.name != DECODER);
    slots
}

/// The backbone's word embedding, where it is the head's output table; `None` for other heads, and where the
/// checkpoint keeps the two apart. A folder of a library holds this tensor too; what is trained here does not.
pub fn tied_table<'b>(head: &Head, backbone: &'b Backbone) -> Option<&'b Linear> {
    (head.language_model().is_some() && backbone.ties_embeddings()).then(|| backbone.word_embeddings())
}

fn check_pooler(backbone: &Backbone, head: &Head) -> Result<(), HeadLoadError> {
    let needed = head.pooling() == Some(Pooling::Pooler);
    if needed && !backbone.has_pooler() { Err(HeadLoadError::NoPooler) } else { Ok(()) }
}

/// The tensors of a head, with what PEFT leaves in the base model of an output layer behind an encoder: the bias beside it.
fn with_buffers<'t>(head: &Head, backbone: &Backbone, tensors: &'t Tensors) -> Cow<'t, Tensors> {
    let lacks = matches!(head, Head::Seq2SeqLm(config) if config.bias) && !tensors.contains_key(DECODER_BIAS);
    let own = backbone.head().and_then(|own| own.tensors.get(DECODER_BIAS)).filter(|_| lacks);
    match own {
        None => Cow::Borrowed(tensors),
        Some(bias) => {
            let mut all = tensors.clone();
            all.insert(DECODER_BIAS.to_owned(), bias.clone());
            Cow::Owned(all)
        }
    }
}

/// What no file of a head says that belongs to a model class of `transformers`: a language model's may have the
/// backbone's own activation, and a classifier may read the sum of all layers, whose weights are the checkpoint's.
fn in_model_class(config: &Head, folder: &AdapterFolder, backbone: &Backbone) -> Head {
    let is_of_class = folder.format == Format::Peft || folder.head_class.is_some();
    match config {
        head if is_of_class && backbone.weighs_layers() && head.pooling() == Some(Pooling::Mean) => {
            head.clone().with_pooling(Pooling::LayerMean)
        }
        // `adapters` finds the base's own head before an adapter's, which then reads the first position.
        head if backbone.config().architecture == Architecture::MBart
            && folder.format == Format::Adapters
            && folder.head_class.is_none()
            && head.pooling() == Some(Pooling::EndOfText)
            && backbone.head().is_some_and(|own| own.head.pooling() != Some(Pooling::EndOfText)) =>
        {
            head.clone().with_pooling(Pooling::First)
        }
        Head::MaskedLm(lm) if folder.head_class.is_some_and(ModelClass::uses_hidden_act) => {
            let activation = Some(backbone.config().activation);
            Head::MaskedLm(LanguageModelHead { activation, ..lm.clone() })
        }
        _ => config.clone(),
    }
}
