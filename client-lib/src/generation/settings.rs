//! What a backbone's folder says of conversations: the chat template, in one of several files.

use std::path::{Path, PathBuf};

use hub_formats::checkpoint::{BaseFolder, gguf_chat_template};
use serde_json::{Map, Value};

use super::{ChatTemplate, DialogueError, GenerateError};
use crate::text::TextEncoder;

/// No settings are larger than this, in bytes: tokenizers list every special token.
const MAX_FILE: u64 = 1 << 26;

/// `chat_template.jinja`, or else `chat_template` of `tokenizer_config.json`, or else a GGUF file's own.
pub(super) fn chat_template(
    base: &BaseFolder,
    encoder: &TextEncoder,
) -> Result<Option<ChatTemplate>, GenerateError> {
    let jinja = folder(base).join("chat_template.jinja");
    let settings = object(&folder(base).join("tokenizer_config.json"))?;
    let text = match bytes(&jinja)? {
        Some(text) => Some(String::from_utf8_lossy(&text).into_owned()),
        None => match settings.as_ref().and_then(|json| json.get("chat_template")).and_then(named_default) {
            Some(text) => Some(text),
            None if base.is_quantised() => {
                gguf_chat_template(base.path()).map_err(|e| wrong(base.path(), e.to_string()))?
            }
            None => None,
        },
    };
    let Some(text) = text else { return Ok(None) };
    let token = |key: &str| {
        let id = base.json().get(key).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        id.and_then(|id| encoder.token(id)).unwrap_or_default()
    };
    let template = ChatTemplate::new(text, token("bos_token_id"), token("eos_token_id"));
    Ok(Some(template.map_err(DialogueError::from)?))
}

/// One template, or that of several which is called `default`.
fn named_default(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(all) => {
            let is_default = |one: &&Value| one.get("name").and_then(Value::as_str) == Some("default");
            all.iter().find(is_default)?.get("template")?.as_str().map(ToOwned::to_owned)
        }
        _ => None,
    }
}

/// The folder, or that of a GGUF file.
pub(super) fn folder(base: &BaseFolder) -> PathBuf {
    let path = base.path();
    if path.is_file() { path.parent().unwrap_or(Path::new("")).to_owned() } else { path.to_owned() }
}

/// An error about this file.
pub(super) fn wrong(path: &Path, reason: String) -> GenerateError {
    GenerateError::Settings { path: path.to_owned(), reason }
}

/// A file's content; `None` where there is none.
fn bytes(path: &Path) -> Result<Option<Vec<u8>>, GenerateError> {
    match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(wrong(path, e.to_string())),
        Ok(found) if found.len() > MAX_FILE => Err(wrong(path, format!("it has {} bytes", found.len()))),
        Ok(_) => std::fs::read(path).map(Some).map_err(|e| wrong(path, e.to_string())),
    }
}

/// A file's JSON object; `None` where there is none.
pub(super) fn object(path: &Path) -> Result<Option<Map<String, Value>>, GenerateError> {
    let parse = |bytes: Vec<u8>| serde_json::from_slice(&bytes).map_err(|e| wrong(path, e.to_string()));
    bytes(path)?.map(parse).transpose()
}
