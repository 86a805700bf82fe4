//! Prediction heads on disk: the flexible heads of `adapters` (`flexible.rs`) and the
//! heads that are part of a `transformers` model class, in base checkpoints, beside
//! PEFT adapters and in `adapters` folders (`base.rs`, `model_class.rs`).

mod base;
mod flexible;
mod model_class;

use std::{collections::BTreeSet, path::Path};

use hub_schemas::{
    backbone::Architecture,
    head::{Head, Pooling, QuestionAnsweringHead},
    layout::{Format, HEAD_CONFIG, ModelClass},
    method::{Method, ReplaceConfig},
};
use serde_json::{Map, Value, json};

use super::{
    CheckpointError,
    adapters_config::Common,
    fields::Fields,
    folder::{Parsed, read_json},
    sentence::sentence_head,
};

pub use base::{FoundHead, base_head};
pub(super) use flexible::{render, render_for_images};
pub(super) use model_class::peft_head;

/// The name of a head that is part of a model class: such a head has none.
const UNNAMED: &str = "head";

/// What `head_config.json` says.
pub(super) struct ParsedHead {
    pub(super) head: Head,
    pub(super) labels: Vec<String>,
    /// Its name inside tensor names, where it has one.
    pub(super) name: Option<String>,
    /// The model class that it is part of, when it is not a flexible head.
    pub(super) class: Option<ModelClass>,
    /// Canonical names of what else the file of such a class has of the backbone.
    copies: BTreeSet<String>,
    architecture: Architecture,
    base_hint: Option<String>,
}

/// Reads `head_config.json` in `dir`.
pub(super) fn parse(dir: &Path) -> Result<ParsedHead, CheckpointError> {
    let path = dir.join(HEAD_CONFIG);
    let mut json = read_json(&path)?;
    let is_flexible = json.get("config").is_some_and(Value::is_object);
    if !is_flexible && json.get("name").is_none_or(Value::is_null) {
        json.insert("name".to_owned(), json!(UNNAMED));
    }
    let mut outer = Fields::new(&path, json);
    let common = Common::take(&mut outer)?;
    let mut copies = BTreeSet::new();
    let (head, labels, class) = if is_flexible {
        let config = outer.object("config")?.unwrap_or_default();
        let (head, labels) = flexible::parse(Fields::new(&path, config), outer.count("hidden_size")?)?;
        let head = as_on(common.architecture, head);
        (head, labels, None)
    } else {
        let parsed = model_class::parse(dir, &mut outer)?;
        copies = parsed.copies;
        (parsed.head, parsed.labels, Some(parsed.class))
    };
    head.validate(&labels).map_err(|e| outer.wrong("config", format!("can't be used: {e}")))?;
    let name = class.is_none().then_some(common.name);
    Ok(ParsedHead {
        head,
        labels,
        name,
        class,
        copies,
        architecture: common.architecture,
        base_hint: common.base_hint,
    })
}

impl ParsedHead {
    /// A method with what the head's file has of the backbone besides.
    pub(super) fn with_copies(&self, method: Method) -> Method {
        if self.copies.is_empty() {
            return method;
        }
        method.beside(ReplaceConfig::modules(self.copies.clone()))
    }
}

/// A flexible head as `adapters` 1.3.0 computes it on a backbone, which its configuration does not tell.
fn as_on(architecture: Architecture, head: Head) -> Head {
    match (head, architecture) {
        (Head::QuestionAnswering(config), _) if architecture.has_distances() => {
            Head::QuestionAnswering(QuestionAnsweringHead { scaled_as_words: true, ..config })
        }
        (head, _) if head.pooling() != Some(Pooling::First) => head,
        (head, _) if architecture.classifies_ends_of_texts() => head.with_pooling(Pooling::EndOfText),
        (head, _) if architecture.is_decoder() => head.with_pooling(Pooling::LastCounted),
        (head, _) => head,
    }
}

/// A folder that holds only a head: the frozen backbone with a trained last layer.
pub(super) fn parse_head_only(dir: &Path) -> Result<Parsed, CheckpointError> {
    let parsed = parse(dir)?;
    Ok(Parsed {
        format: Format::Adapters,
        method: parsed.with_copies(Method::LastLayer),
        head: Some(parsed.head),
        labels: parsed.labels,
        name: parsed.name.unwrap_or_else(|| UNNAMED.to_owned()),
        head_class: parsed.class,
        library: None,
        drops_segments: false,
        is_flexible: false,
        task: None,
        prefixed: true,
        base_hint: parsed.base_hint,
        architecture: parsed.architecture,
    })
}

/// The head beside a PEFT adapter that PEFT itself has no place for: one without weights, in a file of ours or in those
/// of `sentence-transformers`.
pub(super) fn beside_peft(dir: &Path) -> Result<Option<Head>, CheckpointError> {
    if !dir.join(HEAD_CONFIG).is_file() {
        return Ok(sentence_head(dir)?.map(Head::Embedding));
    }
    match parse(dir)?.head {
        head @ Head::Embedding(_) => Ok(Some(head)),
        other => {
            let reason = format!("describes a `{}` head; PEFT keeps that in its own file", other.kind());
            Err(Fields::new(&dir.join(HEAD_CONFIG), Map::new()).wrong("config", reason))
        }
    }
}

/// Equal up to what only training uses, and up to what the format can't say: PEFT does
/// not note which loss a classifier was trained with.
pub(super) fn same_in_inference(format: Format, a: &Head, b: &Head) -> bool {
    let on_sequences = |head: &Head| {
        matches!(head, Head::Classification(_) | Head::MultiLabelClassification(_) | Head::Regression(_))
    };
    let same_kind = a.kind() == b.kind() || (format == Format::Peft && on_sequences(a) && on_sequences(b));
    same_kind
        && a.num_labels() == b.num_labels()
        && same_token(format, a.pooling(), b.pooling())
        && scales_words(a) == scales_words(b)
        && a.is_behind_pooler() == b.is_behind_pooler()
        && match (a.linear_stack(), b.linear_stack()) {
            (Some(a), Some(b)) => a.same_in_inference(&b),
            _ => matches!(a, Head::DependencyParsing(_)) || a == b,
        }
}

/// The libraries' word for a decoder's last token does not tell how it is found.
fn same_token(format: Format, a: Option<Pooling>, b: Option<Pooling>) -> bool {
    let is_last = |pooling| match format {
        Format::Adapters => matches!(pooling, Some(Pooling::Last | Pooling::LastCounted)),
        Format::Peft => matches!(pooling, Some(Pooling::Last | Pooling::LastPosition)),
        Format::Hub => false,
    };
    a == b || is_last(a) && is_last(b)
}

fn scales_words(head: &Head) -> bool {
    matches!(head, Head::QuestionAnswering(config) if config.scaled_as_words)
}

/// The names of a head's outputs: those of `label2id`, and the libraries' own for the rest.
fn labels(head: &Head, label2id: Option<Map<String, Value>>) -> Vec<String> {
    let defaults: Vec<String> = (0..head.num_labels().min(100_000)).map(|i| format!("LABEL_{i}")).collect();
    let mut labels = defaults.clone();
    for (label, id) in label2id.into_iter().flatten() {
        if let Some(place) = id.as_u64().and_then(|i| labels.get_mut(i as usize)) {
            *place = label;
        }
    }
    // Names that nobody has given are none, where none are needed.
    if labels == defaults { head.default_labels() } else { labels }
}
