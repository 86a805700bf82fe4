//! What an imported adapter computes in its own library and would not compute here. It is refused
//! rather than run as something else.

use std::collections::BTreeMap;

use hub_formats::checkpoint::{AdapterFolder, SlotData};
use hub_schemas::{
    backbone::{Architecture, LinearSite},
    head::Head,
    layout::{Format, HeadTask},
    manifest::CompositionRules,
    method::Method,
};

use super::ModelError;
use crate::backbones::Backbone;

/// Refuses a member that would compute something else than in the library that wrote it.
pub(super) fn check(backbone: &Backbone, folder: &AdapterFolder) -> Result<(), ModelError> {
    let of_peft = folder.format == Format::Peft && folder.manifest.is_none();
    let has = |wanted: &dyn Fn(&Method) -> bool| folder.method.parts().iter().any(wanted);
    let is_prompt = |part: &Method| matches!(part, Method::Prompt(_) | Method::Prefix(_));
    let is_tokens = |part: &Method| matches!(part, Method::Tokens(_));
    let reason = if of_peft && reads_no_tokens(backbone) && has(&is_prompt) {
        "PEFT can't run it: its prompts and prefixes ask for the ids of tokens (`input_ids`), which a model of recordings or \
         of images is not given"
    } else if of_peft && chooses(backbone) && has_one_output(folder) {
        "the base model chooses among continuations, and nothing in the adapter says whether its classifier does too; \
         give its `task_type`"
    } else if of_peft && lacks_head(backbone, folder) {
        "PEFT wrapped a model with a head that neither the adapter's file nor the base model's checkpoint has; name the \
         head's modules in `modules_to_save`"
    } else if of_peft && has(&is_tokens) && loses_output_bias(backbone) {
        "where the output table is the word embedding, PEFT's trained tokens leave out the bias behind it; adapt the \
         embedding instead"
    } else if lost_bias(backbone, folder) {
        "`adapters` drew a bias for the projection of queries, keys and values, which this base model has none for, and \
         saved it nowhere; train it with `hub train`"
    } else {
        return Ok(());
    };
    Err(ModelError::Imported { folder: folder.path.clone(), reason })
}

/// The tensors of one of several members by slot. Where the file of its head has the whole model, that has to be the one
/// that runs here: the base model's checkpoint, with the other members.
pub(super) fn slots(
    backbone: &Backbone,
    folder: &AdapterFolder,
    members: &[(String, &AdapterFolder)],
) -> Result<BTreeMap<String, SlotData>, ModelError> {
    if !folder.may_hold_model() {
        return Ok(folder.read_slots(&backbone.config().shape)?);
    }
    let others = members.iter().map(|(_, other)| *other).filter(|other| other.path != folder.path);
    Ok(folder.read_slots_on(&backbone.checkpoint()?, &others.collect::<Vec<_>>())?)
}

/// Whether the head of the model that PEFT wrapped is lost: PEFT saves those of some classes by itself only.
fn lacks_head(backbone: &Backbone, folder: &AdapterFolder) -> bool {
    let own = backbone.head().map(|own| &own.head);
    folder.head.is_none()
        && match folder.wrapped_task() {
            Some(HeadTask::SequenceClassification) => !matches!(
                own,
                Some(Head::Classification(_) | Head::MultiLabelClassification(_) | Head::Regression(_))
            ),
            Some(HeadTask::TokenClassification) => !matches!(own, Some(Head::Tagging(_))),
            Some(HeadTask::QuestionAnswering) => !matches!(own, Some(Head::QuestionAnswering(_))),
            _ => false,
        }
}

/// Whether a language model's scores have a bias behind the table of words (`TrainableTokensLayer` of 0.21.2 computes
/// `F.linear` of the table alone).
fn loses_output_bias(backbone: &Backbone) -> bool {
    let head = backbone.head().and_then(|own| own.head.language_model());
    // Behind an encoder the bias is added by the model and not by the layer.
    let is_of_layer = !backbone.config().architecture.is_encoder_decoder();
    is_of_layer && backbone.ties_embeddings() && head.is_some_and(|head| head.bias)
}

/// Whether the library put a fresh bias, never saved, into a projection that has none: its wrapper of fused projections
/// always has one (`LoRAMergedLinear.wrap` of 1.3.0), and its interface wraps them whatever the method.
fn lost_bias(backbone: &Backbone, folder: &AdapterFolder) -> bool {
    let config = backbone.config();
    folder.semantics().composition == Some(CompositionRules::Adapters)
        && folder.method != Method::LastLayer
        && config.architecture == Architecture::ModernBert
        && !config.has_bias(LinearSite::QueryKeyValue)
}

/// Whether what it reads are no tokens (`PeftModel.forward` of 0.21.2 then raises "You have to provide either `input_ids` or
/// `inputs_embeds`").
fn reads_no_tokens(backbone: &Backbone) -> bool {
    let architecture = backbone.config().architecture;
    architecture.reads_audio() || architecture.reads_images()
}

fn chooses(backbone: &Backbone) -> bool {
    backbone.head().is_some_and(|own| matches!(own.head, Head::MultipleChoice(_)))
}

fn has_one_output(folder: &AdapterFolder) -> bool {
    match &folder.head {
        Some(Head::Regression(config)) => config.num_labels == 1,
        Some(Head::Tagging(config)) => config.num_labels == 1,
        _ => false,
    }
}
