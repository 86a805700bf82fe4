//! What the tensors of a class's head are called on disk.

use super::{
    super::{DECODER, Slot, TensorSpec, head_slots, spec},
    HeadTask, ModelClass, pooler_outside,
};
use crate::{
    backbone::{Architecture, BackboneShape, Module, Variant},
    head::Head,
    method::{MethodSpec as _, ReplaceConfig},
};

impl ModelClass {
    /// The tensors of `head`, which must be this class's own, by their names in a checkpoint.
    ///
    /// An alias is another name under which a checkpoint may hold the tensor instead.
    pub fn tensors(self, head: &Head, hidden_size: usize) -> Vec<TensorSpec> {
        let slots = head_slots(head, hidden_size);
        // The pooler as the first of two layers.
        let layers = head.linear_stack().map_or(0, |stack| stack.layers);
        let is_outside = pooler_outside(self.architecture).is_some() && layers == 2;
        let pooler = |rest: &str| is_outside.then(|| format!("{}.{rest}", self.pooler_path()));
        let named = slots.iter().map(|slot| {
            let part = slot.name.trim_start_matches("head.");
            let (disk, alias) = match part.strip_prefix("0.").and_then(&pooler) {
                Some(disk) => (disk, None),
                None => self.names(part),
            };
            let mut spec = spec(disk, slot);
            if self.task == HeadTask::Seq2SeqLm && part == "decoder.bias" {
                spec = spec.shaped(&[1, slot.len()]);
            }
            spec.aliases.extend(alias);
            spec
        });
        named.collect()
    }

    /// What a file of this class's head holds of the pooler besides, where the backbone has that as a part of its own:
    /// canonical names, and those on disk.
    pub fn pooler_copies(self) -> Vec<(String, String)> {
        let writes = matches!(self.task, HeadTask::MaskedLm | HeadTask::CausalLm);
        if self.architecture != Architecture::ModernBert || writes {
            return Vec::new();
        }
        let modules = [Module::Pooler, Module::LmNorm].into_iter();
        let path = |module| self.architecture.module_path(module, Variant::default());
        let both = |module: Module| ["weight", "bias"].map(|part| (module, part));
        let named = |(module, part)| (format!("{module}.{part}"), format!("{}.{part}", path(module)));
        modules.flat_map(both).map(named).collect()
    }

    /// The same as tensors of a file, those that `copies` has.
    pub fn copied_tensors(self, copies: &ReplaceConfig, shape: &BackboneShape) -> Vec<TensorSpec> {
        let named = self.pooler_copies();
        let slots = copies.slots(shape);
        let disk = |slot: &Slot| {
            let canonical = slot.name.replace(".replaced.", ".");
            named.iter().find(|(name, _)| *name == canonical).map(|(_, disk)| disk.clone())
        };
        slots.iter().filter_map(|slot| Some(spec(disk(slot)?, slot))).collect()
    }

    /// The name of a part of the head, and an older one.
    pub(super) fn names(self, part: &str) -> (String, Option<String>) {
        let (module, rest) = part.split_once('.').unwrap_or((part, ""));
        let plain = |path: &str| (format!("{path}.{rest}"), None);
        let (task, architecture) = (self.task, self.architecture);
        match (task, architecture, module) {
            (HeadTask::CausalLm, ..) if self.is_decoder() => plain("lm_head"),
            (HeadTask::Seq2SeqLm, ..) if rest == "bias" => ("final_logits_bias".to_owned(), None),
            (HeadTask::Seq2SeqLm, Architecture::Whisper, _) => plain("proj_out"),
            (HeadTask::Seq2SeqLm, ..) => plain("lm_head"),
            (HeadTask::SequenceClassification, ..) if self.is_decoder() => plain("score"),
            (HeadTask::TokenClassification, architecture, _)
                if self.is_decoder() && architecture != Architecture::Gpt2 =>
            {
                plain("score")
            }
            (HeadTask::MaskedLm | HeadTask::CausalLm, ..) => language_model_names(self.architecture, part),
            (HeadTask::QuestionAnswering, ..) if !self.pools_every_token() => plain("qa_outputs"),
            (
                HeadTask::SequenceClassification,
                Architecture::Roberta | Architecture::XlmRoberta | Architecture::Electra,
                "0",
            ) => plain("classifier.dense"),
            (
                HeadTask::SequenceClassification,
                Architecture::Roberta | Architecture::XlmRoberta | Architecture::Electra,
                _,
            ) => plain("classifier.out_proj"),
            (HeadTask::SequenceClassification, Architecture::Whisper, "0") => plain("projector"),
            (HeadTask::SequenceClassification, _, "0") if self.architecture.classifies_ends_of_texts() => {
                plain("classification_head.dense")
            }
            (HeadTask::SequenceClassification, ..) if self.architecture.classifies_ends_of_texts() => {
                plain("classification_head.out_proj")
            }
            _ => plain("classifier"),
        }
    }
}

/// The bias exists twice as an object and once as a tensor; norms converted from
/// TensorFlow are called `gamma` and `beta`.
fn language_model_names(architecture: Architecture, part: &str) -> (String, Option<String>) {
    let (root, transform, norm) = match architecture {
        Architecture::Bert | Architecture::DebertaV2 => {
            ("cls.predictions", "cls.predictions.transform", "LayerNorm")
        }
        Architecture::Albert => ("predictions", "predictions", "LayerNorm"),
        Architecture::DistilBert | Architecture::Electra | Architecture::ModernBert => {
            return plain_language_model_names(architecture, part);
        }
        _ => ("lm_head", "lm_head", "layer_norm"),
    };
    match part {
        "decoder.bias" => (format!("{root}.bias"), Some(format!("{root}.decoder.bias"))),
        "0.norm.weight" => (format!("{transform}.{norm}.weight"), Some(format!("{transform}.{norm}.gamma"))),
        "0.norm.bias" => (format!("{transform}.{norm}.bias"), Some(format!("{transform}.{norm}.beta"))),
        _ if format!("head.{part}") == DECODER => (format!("{root}.decoder.weight"), None),
        _ => (format!("{transform}.dense.{}", part.trim_start_matches("0.")), None),
    }
}

/// Where the table is a linear layer of its own.
fn plain_language_model_names(architecture: Architecture, part: &str) -> (String, Option<String>) {
    let [table, dense, norm] = match architecture {
        Architecture::DistilBert => ["vocab_projector", "vocab_transform", "vocab_layer_norm"],
        Architecture::ModernBert => ["decoder", "head.dense", "head.norm"],
        _ => ["generator_lm_head", "generator_predictions.dense", "generator_predictions.LayerNorm"],
    };
    let (module, rest) = match part.split_once('.') {
        Some(("decoder", rest)) => (table, rest),
        Some((_, rest)) => rest.strip_prefix("norm.").map_or((dense, rest), |rest| (norm, rest)),
        None => (dense, part),
    };
    (format!("{module}.{rest}"), None)
}
