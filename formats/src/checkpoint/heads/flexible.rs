//! `config` in the `head_config.json` of a flexible head, by the rules of `adapters`:
//! a missing field has the default of the class that the library builds the head with.

use hub_schemas::{
    head::{
        ClassificationHead, DependencyParsingHead, EmbeddingHead, Head, LanguageModelHead,
        MultipleChoiceHead, Pooling, QuestionAnsweringHead, TaggingHead,
    },
    method::Activation,
};
use serde_json::{Map, Value, json};

use super::labels;
use crate::checkpoint::{CheckpointError, fields::Fields};

/// In front of the type of a head on the mean: a name that `adapters` refuses rather than misreads.
const MEAN: &str = "mean_";
/// What the library's models drop where a head does not say.
const DROPOUT: f64 = 0.1;
/// The types that are read, in the order of their documentation.
const KNOWN: &str = "classification, multilabel_classification, tagging, multiple_choice, \
    question_answering, dependency_parsing, masked_lm, causal_lm, seq2seq_lm, embedding, image_classification";

/// The head with the names of its outputs; `hidden_size` as the file around it states it.
pub(super) fn parse(
    mut fields: Fields,
    hidden_size: Option<usize>,
) -> Result<(Head, Vec<String>), CheckpointError> {
    let kind = fields.text("head_type")?.unwrap_or_default();
    let label2id = fields.object("label2id")?;
    let (base, is_mean) = match kind.strip_prefix(MEAN) {
        Some(base) => (base, true),
        None => (kind.as_str(), false),
    };
    let head = match (base, is_mean) {
        ("classification", _) => {
            let config = classification(&mut fields, is_mean)?;
            // The library tells the two apart by nothing else.
            if config.num_labels == 1 { Head::Regression(config) } else { Head::Classification(config) }
        }
        ("image_classification", _) => {
            let is_multilabel = fields.bool_or("multilabel", false)?;
            let config = classification(&mut fields, is_mean)?;
            match (is_multilabel, config.num_labels) {
                (true, _) => Head::MultiLabelClassification(config),
                (false, 1) => Head::Regression(config),
                (false, _) => Head::Classification(config),
            }
        }
        ("multilabel_classification", _) => {
            Head::MultiLabelClassification(classification(&mut fields, is_mean)?)
        }
        ("multiple_choice", _) => Head::MultipleChoice(multiple_choice(&mut fields, is_mean)?),
        ("tagging", false) => Head::Tagging(tagging(&mut fields)?),
        ("question_answering", false) => Head::QuestionAnswering(question_answering(&mut fields)?),
        ("dependency_parsing", false) => Head::DependencyParsing(DependencyParsingHead {
            num_labels: fields.count("num_labels")?.unwrap_or(2),
            dropout: DROPOUT,
        }),
        ("masked_lm", false) => Head::MaskedLm(masked(&mut fields)?),
        ("causal_lm", false) => Head::CausalLm(causal(&mut fields)?),
        ("seq2seq_lm", false) => Head::Seq2SeqLm(seq2seq(&mut fields, hidden_size)?),
        ("embedding", false) => Head::Embedding(embedding(&mut fields)?),
        _ => {
            return Err(fields.wrong("head_type", format!("is `{kind}`; this version reads {KNOWN}")));
        }
    };
    fields.finish()?;
    let labels = labels(&head, label2id);
    Ok((head, labels))
}

/// The activation: the class's own where the field is missing, none where it is null.
fn activation(fields: &mut Fields, own: Option<Activation>) -> Result<Option<Activation>, CheckpointError> {
    if !fields.has("activation_function") {
        return Ok(own);
    }
    let Some(name) = fields.text("activation_function")? else { return Ok(None) };
    let known = name.to_ascii_lowercase().parse().map(Some);
    known.map_err(|e| fields.wrong("activation_function", format!("can't be used: {e}")))
}

fn dropout(fields: &mut Fields) -> Result<f64, CheckpointError> {
    Ok(fields.number("dropout_prob")?.unwrap_or(DROPOUT))
}

fn pooling(fields: &mut Fields, is_mean: bool) -> Result<Pooling, CheckpointError> {
    Ok(match (is_mean, fields.bool_or("use_pooler", false)?) {
        (true, _) => Pooling::Mean,
        (false, true) => Pooling::Pooler,
        (false, false) => Pooling::First,
    })
}

fn classification(fields: &mut Fields, is_mean: bool) -> Result<ClassificationHead, CheckpointError> {
    Ok(ClassificationHead {
        width: None,
        num_labels: fields.count("num_labels")?.unwrap_or(2),
        layers: fields.count("layers")?.unwrap_or(2),
        activation: activation(fields, Some(Activation::Tanh))?,
        pooling: pooling(fields, is_mean)?,
        dropout: dropout(fields)?,
        bias: fields.bool_or("bias", true)?,
    })
}

fn multiple_choice(fields: &mut Fields, is_mean: bool) -> Result<MultipleChoiceHead, CheckpointError> {
    fields.only("bias", &json!(true))?;
    Ok(MultipleChoiceHead {
        num_choices: fields.count("num_choices")?.unwrap_or(2),
        layers: fields.count("layers")?.unwrap_or(2),
        activation: activation(fields, Some(Activation::Tanh))?,
        pooling: pooling(fields, is_mean)?,
        dropout: dropout(fields)?,
    })
}

fn tagging(fields: &mut Fields) -> Result<TaggingHead, CheckpointError> {
    fields.only("bias", &json!(true))?;
    Ok(TaggingHead {
        num_labels: fields.count("num_labels")?.unwrap_or(2),
        layers: fields.count("layers")?.unwrap_or(1),
        activation: activation(fields, Some(Activation::Tanh))?,
        dropout: dropout(fields)?,
        behind_pooler: false,
    })
}

fn question_answering(fields: &mut Fields) -> Result<QuestionAnsweringHead, CheckpointError> {
    fields.only("bias", &json!(true))?;
    // The library computes with nothing else: a start and an end.
    fields.only("num_labels", &json!(2))?;
    Ok(QuestionAnsweringHead {
        scaled_as_words: false,
        behind_pooler: false,
        layers: fields.count("layers")?.unwrap_or(1),
        activation: activation(fields, Some(Activation::Tanh))?,
        dropout: dropout(fields)?,
    })
}

fn sizes(fields: &mut Fields) -> Result<(usize, usize), CheckpointError> {
    // Language models have no dropout of their own, whatever the field says.
    fields.ignore(&["dropout_prob"]);
    let mut size = |field| fields.count(field)?.ok_or_else(|| fields.wrong(field, "is missing"));
    Ok((size("vocab_size")?, size("embedding_size")?))
}

fn masked(fields: &mut Fields) -> Result<LanguageModelHead, CheckpointError> {
    let (vocab_size, embedding_size) = sizes(fields)?;
    Ok(LanguageModelHead {
        vocab_size,
        embedding_size,
        layers: fields.count("layers")?.unwrap_or(2),
        activation: activation(fields, Some(Activation::Gelu))?,
        layer_norm: fields.bool_or("layer_norm", true)?,
        bias: fields.bool_or("bias", true)?,
        shift_labels: fields.bool_or("shift_labels", false)?,
    })
}

fn causal(fields: &mut Fields) -> Result<LanguageModelHead, CheckpointError> {
    let sizes = sizes(fields)?;
    table(fields, sizes, true)
}

/// Its table is as wide as the model, which the head itself does not say.
fn seq2seq(fields: &mut Fields, hidden_size: Option<usize>) -> Result<LanguageModelHead, CheckpointError> {
    let missing = |fields: &Fields, field| fields.wrong(field, "is missing");
    let vocab_size = fields.count("vocab_size")?.ok_or_else(|| missing(fields, "vocab_size"))?;
    let embedding_size = hidden_size.ok_or_else(|| missing(fields, "hidden_size"))?;
    table(fields, (vocab_size, embedding_size), false)
}

/// A head that is a table and nothing else, unless the file says more.
fn table(
    fields: &mut Fields,
    (vocab_size, embedding_size): (usize, usize),
    shifts_labels: bool,
) -> Result<LanguageModelHead, CheckpointError> {
    Ok(LanguageModelHead {
        vocab_size,
        embedding_size,
        layers: fields.count("layers")?.unwrap_or(1),
        activation: activation(fields, None)?,
        layer_norm: fields.bool_or("layer_norm", false)?,
        bias: fields.bool_or("bias", false)?,
        shift_labels: fields.bool_or("shift_labels", shifts_labels)?,
    })
}

fn embedding(fields: &mut Fields) -> Result<EmbeddingHead, CheckpointError> {
    let pooling = match fields.text("pooling")?.as_deref() {
        Some("first") => Pooling::First,
        Some("pooler") => Pooling::Pooler,
        Some("mean") => Pooling::Mean,
        Some("last") => Pooling::Last,
        Some("max") => Pooling::Max,
        Some("mean_sqrt_len") => Pooling::MeanSqrtLen,
        Some("weighted_mean") => Pooling::WeightedMean,
        _ => {
            let known =
                "must be `first`, `pooler`, `mean`, `last`, `max`, `mean_sqrt_len` or `weighted_mean`";
            return Err(fields.wrong("pooling", known));
        }
    };
    Ok(EmbeddingHead {
        pooling,
        normalize: fields.bool_or("normalize", true)?,
        max_length: fields.count("max_length")?,
        lower_case: fields.bool_or("lower_case", false)?,
        prompt: fields.text("prompt")?,
    })
}

/// What is not stated is left out, as in the files of older versions.
fn embedding_json(config: &EmbeddingHead) -> Value {
    let mut json = json!({
        "head_type": "embedding",
        "normalize": config.normalize,
        "pooling": config.pooling,
    });
    if let Some(length) = config.max_length {
        json["max_length"] = json!(length);
    }
    if config.lower_case {
        json["lower_case"] = json!(true);
    }
    if let Some(prompt) = &config.prompt {
        json["prompt"] = json!(prompt);
    }
    json
}

/// [`render`] for models of images, whose classifiers have another type with the kind as a field.
pub(in crate::checkpoint) fn render_for_images(head: &Head, labels: &[String]) -> Value {
    let mut json = render(head, labels);
    let kind = json["head_type"].as_str().unwrap_or_default().to_owned();
    let (mean, kind) = kind.strip_prefix(MEAN).map_or(("", kind.as_str()), |kind| (MEAN, kind));
    if let "classification" | "multilabel_classification" = kind {
        json["multilabel"] = json!(kind == "multilabel_classification");
        json["head_type"] = json!(format!("{mean}image_classification"));
    }
    json
}

/// `config` as the library writes it, with exactly the fields that its class takes.
pub(in crate::checkpoint) fn render(head: &Head, labels: &[String]) -> Value {
    let label2id = labels.iter().enumerate().map(|(id, label)| (label.clone(), json!(id)));
    let label2id: Map<String, Value> = label2id.collect();
    let label2id = if label2id.is_empty() { Value::Null } else { Value::Object(label2id) };
    let kind = |name: &str, pooling| {
        if pooling == Pooling::Mean { format!("{MEAN}{name}") } else { name.to_owned() }
    };
    match head {
        Head::Classification(config) | Head::Regression(config) => {
            classifier(config, &kind("classification", config.pooling), &label2id)
        }
        Head::MultiLabelClassification(config) => {
            classifier(config, &kind("multilabel_classification", config.pooling), &label2id)
        }
        Head::MultipleChoice(config) => json!({
            "activation_function": config.activation,
            "dropout_prob": config.dropout,
            "head_type": kind("multiple_choice", config.pooling),
            "label2id": label2id,
            "layers": config.layers,
            "num_choices": config.num_choices,
            "use_pooler": config.pooling == Pooling::Pooler,
        }),
        Head::Tagging(config) => json!({
            "activation_function": config.activation,
            "dropout_prob": config.dropout,
            "head_type": "tagging",
            "label2id": label2id,
            "layers": config.layers,
            "num_labels": config.num_labels,
        }),
        Head::QuestionAnswering(config) => json!({
            "activation_function": config.activation,
            "dropout_prob": config.dropout,
            "head_type": "question_answering",
            "label2id": label2id,
            "layers": config.layers,
            "num_labels": 2,
        }),
        Head::DependencyParsing(config) => json!({
            "head_type": "dependency_parsing",
            "label2id": label2id,
            "num_labels": config.num_labels,
        }),
        Head::MaskedLm(config) => language_model(config, "masked_lm"),
        Head::CausalLm(config) => language_model(config, "causal_lm"),
        Head::Seq2SeqLm(config) => {
            let mut json = language_model(config, "seq2seq_lm");
            json.as_object_mut().and_then(|fields| fields.remove("embedding_size"));
            json
        }
        Head::Embedding(config) => embedding_json(config),
    }
}

fn classifier(config: &ClassificationHead, kind: &str, label2id: &Value) -> Value {
    json!({
        "activation_function": config.activation,
        "bias": config.bias,
        "dropout_prob": config.dropout,
        "head_type": kind,
        "label2id": label2id,
        "layers": config.layers,
        "num_labels": config.num_labels,
        "use_pooler": config.pooling == Pooling::Pooler,
    })
}

fn language_model(config: &LanguageModelHead, kind: &str) -> Value {
    json!({
        "activation_function": config.activation,
        "bias": config.bias,
        "embedding_size": config.embedding_size,
        "head_type": kind,
        "label2id": null,
        "layer_norm": config.layer_norm,
        "layers": config.layers,
        "shift_labels": config.shift_labels,
        "vocab_size": config.vocab_size,
    })
}
