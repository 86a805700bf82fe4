//! Heads that are part of a `transformers` model class, as PEFT and `adapters` save them.

use std::{collections::BTreeSet, path::Path};

use hub_schemas::{
    backbone::Architecture,
    head::Head,
    layout::{HEAD_WEIGHTS, HeadSizes, HeadTask, ModelClass, TensorSpec, is_buffer},
    method::Activation,
};

use super::labels;
use crate::checkpoint::{CheckpointError, TensorFile, fields::Fields, weights::stored_name};

/// The head of a model class, as it was saved.
pub(super) struct ParsedClass {
    pub(super) head: Head,
    pub(super) labels: Vec<String>,
    pub(super) class: ModelClass,
    /// Canonical names of what else the file has of the backbone.
    pub(super) copies: BTreeSet<String>,
}

/// What `head_config.json` says when `adapters` saved the head of a model class.
pub(super) fn parse(dir: &Path, outer: &mut Fields) -> Result<ParsedClass, CheckpointError> {
    let name = outer.text("model_class")?.unwrap_or_default();
    let class: ModelClass =
        name.parse().map_err(|e| outer.wrong("config", format!("is missing, and {e}")))?;
    let label2id = outer.object("label2id")?;
    let outputs = match (outer.count("num_labels")?, &label2id) {
        (Some(outputs), _) => outputs,
        (None, Some(map)) => map.len(),
        (None, None) => 2,
    };
    let hidden_size = outer.count("hidden_size")?.ok_or_else(|| outer.wrong("hidden_size", "is missing"))?;
    let weights = TensorFile::open(&dir.join(stored_name(dir, HEAD_WEIGHTS)))?;
    let table = weights.header.tensors.get(&class.output_weight());
    let vocab_size = table.and_then(|info| info.shape.first().copied()).unwrap_or_default();
    let embedding_size = table.and_then(|info| info.shape.get(1).copied()).unwrap_or(hidden_size);
    // The library converts every language model's head with GELU.
    let projection = table.and_then(|info| info.shape.get(1).copied());
    // Only the base model says whether its classifier weighs layers.
    let weighs_layers = false;
    let sizes = HeadSizes { outputs, vocab_size, hidden_size, embedding_size, projection, weighs_layers };
    let head = class.head(sizes, Activation::Gelu);
    let head = class.head_with_pooler(head);
    let labels = labels(&head, label2id);
    let is_there = |(_, disk): &(String, String)| weights.header.tensors.contains_key(disk);
    let copies = class.pooler_copies().into_iter().filter(is_there).map(|(canonical, _)| canonical).collect();
    Ok(ParsedClass { head, labels, class, copies })
}

/// The head that PEFT saved beside an adapter. `task_type` is its word for the model
/// class; without it, what is in the file decides.
pub(in crate::checkpoint) fn peft_head(
    weights: &TensorFile,
    architecture: Architecture,
    task_type: Option<&str>,
) -> Option<Head> {
    let is_meant = |task: &HeadTask| {
        task.peft_task_type()
            .is_some_and(|word| task_type.is_none_or(|meant| !is_task(meant) || meant == word))
    };
    HeadTask::ALL.into_iter().filter(is_meant).find_map(|task| {
        let class = Some(ModelClass::new(architecture, task)).filter(|class| class.is_saved_by_peft())?;
        let tensor = |name: &str| {
            let roots = ["base_model.model.", "base_model."];
            roots.iter().find_map(|root| weights.header.tensors.get(&format!("{root}{name}")))
        };
        let &[outputs, hidden_size] = tensor(&class.output_weight())?.shape.as_slice() else { return None };
        let (vocab_size, embedding_size, projection) = (outputs, hidden_size, Some(hidden_size));
        let weighs_layers = false;
        let sizes = HeadSizes { outputs, vocab_size, hidden_size, embedding_size, projection, weighs_layers };
        let head = class.head(sizes, Activation::Gelu);
        // With its own copy of a pooler that the backbone does not have.
        [class.head_with_pooler(head.clone()), head].into_iter().find(|head| {
            let is_there = |spec: &TensorSpec| is_buffer(head, spec) || tensor(&spec.disk).is_some();
            class.tensors(head, hidden_size).iter().all(is_there)
        })
    })
}

/// Whether PEFT's task says which model class was wrapped.
fn is_task(task_type: &str) -> bool {
    HeadTask::ALL.iter().any(|task| task.peft_task_type() == Some(task_type))
}
