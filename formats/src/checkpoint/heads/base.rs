//! The head that a base checkpoint brings: that of the class in its `config.json`.

use hub_schemas::{
    backbone::Architecture,
    head::{Head, LanguageModelHead},
    layout::{DECODER, DECODER_BIAS, HeadSizes, HeadTask, ModelClass, TensorSpec},
};
use serde_json::Value;

use super::labels;
use crate::checkpoint::BaseFolder;

/// The head of a base checkpoint, and where its tensors lie.
#[derive(Debug)]
pub struct FoundHead {
    /// What it computes.
    pub head: Head,
    /// Names of its outputs.
    pub labels: Vec<String>,
    /// Slot and name of each tensor.
    pub names: Vec<(String, String)>,
    /// Whether the output table is the word embedding.
    pub is_tied: bool,
}

/// The head of the class that `config.json` names, when the checkpoint holds every tensor of it.
pub fn base_head(folder: &BaseFolder) -> Option<FoundHead> {
    let class = folder.model_class()?;
    let config = folder.config();
    let (vocab_size, hidden_size) = (config.shape.vocab_size, config.shape.hidden_size);
    // An encoder alone writes nothing, whatever the whole checkpoint does.
    if class.task() == HeadTask::Seq2SeqLm && config.shape.decoder_layers.is_none() {
        return None;
    }
    let embedding_size = config.shape.table_width();
    let label_names = folder.labels();
    let outputs = match class.task() {
        // Every choice is scored alone: their number is nowhere in the weights.
        HeadTask::MultipleChoice => label_names.as_ref().map_or(2, Vec::len),
        HeadTask::MaskedLm | HeadTask::CausalLm | HeadTask::Seq2SeqLm => vocab_size,
        _ => folder.extra_tensor(&class.output_weight())?.1.shape.first().copied()?,
    };
    let (projection, weighs_layers) = (config.encoder.head_projection, config.encoder.weighs_layers);
    let sizes = HeadSizes { outputs, vocab_size, hidden_size, embedding_size, projection, weighs_layers };
    let activation = match config.architecture {
        Architecture::ModernBert => config.encoder.pooler_activation,
        _ => config.activation,
    };
    let head = class.head(sizes, activation);
    let head = as_trained(head, folder.problem_type());
    let head = without_missing_bias(head, class, folder);
    let is_tied = folder.ties_embeddings() && head.language_model().is_some();
    let mut names = Vec::new();
    for spec in class.tensors(&head, hidden_size) {
        if is_tied && spec.slot == DECODER {
            continue;
        }
        let fits = |name: &&String| {
            folder.extra_tensor(name).is_some_and(|(_, info)| info.shape == spec.shape && info.is_float())
        };
        let is_optional = config.architecture == Architecture::ModernBert && is_inner_bias(&spec.slot);
        if is_optional && folder.extra_tensor(&spec.disk).is_none() {
            continue;
        }
        let name = std::iter::once(&spec.disk).chain(&spec.aliases).find(fits)?.clone();
        names.push((spec.slot, name));
    }
    let named = label_names.filter(|names| names.len() == head.num_labels());
    let label2id = named.map(|names| names.into_iter().zip((0_usize..).map(Value::from)).collect());
    let labels = labels(&head, label2id);
    Some(FoundHead { head, labels, names, is_tied })
}

/// A masked language model of ModernBERT has a bias behind its table where its configuration says so.
fn without_missing_bias(head: Head, class: ModelClass, folder: &BaseFolder) -> Head {
    if folder.config().architecture != Architecture::ModernBert {
        return head;
    }
    let is_there = |spec: &TensorSpec| {
        std::iter::once(&spec.disk).chain(&spec.aliases).any(|name| folder.extra_tensor(name).is_some())
    };
    let specs = class.tensors(&head, folder.config().shape.hidden_size);
    let has_bias = specs.iter().any(|spec| spec.slot == DECODER_BIAS && is_there(spec));
    match head {
        Head::MaskedLm(config) => {
            Head::MaskedLm(LanguageModelHead { bias: config.bias && has_bias, ..config })
        }
        other => other,
    }
}

/// Whether it is a bias in front of a language model's table: ModernBERT has them where its configuration says so.
fn is_inner_bias(slot: &str) -> bool {
    ["head.0.bias", "head.0.norm.bias"].contains(&slot)
}

/// `problem_type` of a `config.json`: the loss, which the class and the weights don't tell.
fn as_trained(head: Head, problem_type: Option<&str>) -> Head {
    match (head, problem_type) {
        (Head::Classification(config) | Head::Regression(config), Some("multi_label_classification")) => {
            Head::MultiLabelClassification(config)
        }
        (Head::Classification(config), Some("regression")) => Head::Regression(config),
        (head, _) => head,
    }
}
