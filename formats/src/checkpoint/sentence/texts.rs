//! What is done to a text before it is read: where it is cut, whether it is made small, and what is put in front of it.

use std::path::Path;

use hub_schemas::head::{EmbeddingHead, Pooling};
use serde_json::{Map, Value, json};

use super::fields_of;
use crate::checkpoint::{CheckpointError, fields::Fields};

/// How the backbone reads. The library looks for all of them, in this order; in 2020 they were called by architecture.
const TRANSFORMER: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];
/// What the model is, and its prompts.
const MODEL: &str = "config_sentence_transformers.json";
/// Where newer versions note how long a text may be.
const TOKENIZER: &str = "tokenizer_config.json";
/// More tokens than any text has; tokenizers without a limit state 10³⁰.
const ENDLESS: f64 = 1e7;

/// Whether the folder scores pairs of texts instead.
pub(super) fn is_cross_encoder(dir: &Path) -> Result<bool, CheckpointError> {
    let Some(mut fields) = fields_of(&dir.join(MODEL))? else { return Ok(false) };
    Ok(fields.text("model_type")?.as_deref() == Some("CrossEncoder"))
}

/// What the folder says of texts; its pooling means nothing.
pub(super) fn read(dir: &Path) -> Result<EmbeddingHead, CheckpointError> {
    let texts = EmbeddingHead::of(Pooling::Mean);
    let (stated, lower_case) = transformer(dir)?;
    let max_length = match stated {
        Some(length) => Some(length),
        None => tokenizer(dir)?,
    };
    Ok(EmbeddingHead { max_length, lower_case, prompt: prompt(dir)?, ..texts })
}

/// Where texts are cut, if that is stated, and whether they are made small.
fn transformer(dir: &Path) -> Result<(Option<usize>, bool), CheckpointError> {
    let there = TRANSFORMER.iter().map(|name| dir.join(name)).find(|path| path.is_file());
    let Some(mut fields) = there.map_or(Ok(None), |path| fields_of(&path))? else { return Ok((None, false)) };
    let max_length = length(&mut fields, "max_seq_length")?;
    let lower_case = fields.bool_or("do_lower_case", false)?;
    // Only how fast it is.
    fields.ignore(&["unpad_inputs"]);
    fields.only("transformer_task", &json!("feature-extraction"))?;
    fields.only("module_output_name", &json!("token_embeddings"))?;
    fields.only(
        "modality_config",
        &json!({ "text": { "method": "forward", "method_output_name": "last_hidden_state" } }),
    )?;
    fields.finish()?;
    Ok((max_length, lower_case))
}

/// Where the tokenizer cuts texts, if it does.
fn tokenizer(dir: &Path) -> Result<Option<usize>, CheckpointError> {
    match fields_of(&dir.join(TOKENIZER))? {
        Some(mut fields) => length(&mut fields, "model_max_length"),
        None => Ok(None),
    }
}

/// A number of tokens; none where there is no limit.
fn length(fields: &mut Fields, field: &str) -> Result<Option<usize>, CheckpointError> {
    match fields.number(field)? {
        None => Ok(None),
        Some(endless) if endless >= ENDLESS => Ok(None),
        Some(length) if length >= 1.0 && length.fract() == 0.0 => Ok(Some(length as usize)),
        Some(other) => Err(fields.wrong(field, format!("is {other}, not a number of tokens"))),
    }
}

/// What stands in front of every text.
fn prompt(dir: &Path) -> Result<Option<String>, CheckpointError> {
    let Some(mut fields) = fields_of(&dir.join(MODEL))? else { return Ok(None) };
    let (prompts, name) =
        (fields.object("prompts")?.unwrap_or_default(), fields.text("default_prompt_name")?);
    let Some(name) = name else { return Ok(None) };
    let text = |prompts: &Map<String, Value>| Some(prompts.get(&name)?.as_str()?.to_owned());
    match text(&prompts) {
        Some(prompt) => Ok(Some(prompt).filter(|prompt| !prompt.is_empty())),
        None => {
            Err(fields.wrong("default_prompt_name", format!("is {name:?}, and `prompts` has no such text")))
        }
    }
}
