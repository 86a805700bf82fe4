//! GGUF files (`ggml`'s container, versions 2 and 3): a backbone in 4 to 8 bits per weight with its
//! configuration and tokenizer in one file.
//!
//! What is read becomes what a Hugging Face folder would have said: names of `transformers`, a
//! `config.json`, a `tokenizer.json`. To everything but the backbone's linear layers the weights
//! look like the single-precision numbers that they stand for, so that a file and its dequantised
//! copy have one digest; linear layers keep the [`Blocks`].

mod blocks;
mod config;
mod cursor;
mod error;
mod header;
mod metadata;
mod names;
#[cfg(test)]
mod tests;
mod tokenizer;

use std::{
    collections::BTreeMap,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use hub_schemas::layout::{Dtype, TensorHeader, TensorInfo};
use serde_json::{Map, Value};

pub(super) use self::blocks::Stored;
pub use self::{
    blocks::{BlockKind, Blocks, SharedBytes},
    error::GgufError,
};
use self::{header::Header, metadata::Metadata};

/// What a file's name ends with.
const EXTENSION: &str = "gguf";

/// The GGUF file that `path` names: itself, or the only one in a folder that is no backbone otherwise.
pub fn gguf_at(path: &Path) -> Option<PathBuf> {
    let is_gguf = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(EXTENSION));
    if path.is_file() {
        return is_gguf(path).then(|| path.to_owned());
    }
    if path.join("config.json").is_file() {
        return None;
    }
    let mut found = std::fs::read_dir(path).ok()?.flatten().map(|item| item.path()).filter(|p| is_gguf(p));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// A `tokenizer.json` made of what a GGUF file says.
pub fn gguf_tokenizer(path: &Path) -> Result<Vec<u8>, GgufError> {
    let json = tokenizer::json(&read_header(path)?.metadata)?;
    serde_json::to_vec(&json).map_err(|e| GgufError::Malformed(e.to_string()))
}

/// The chat template that a GGUF file brings.
pub fn gguf_chat_template(path: &Path) -> Result<Option<String>, GgufError> {
    let metadata = read_header(path)?.metadata;
    Ok(metadata.get("tokenizer.chat_template").and_then(metadata::Meta::text).map(ToOwned::to_owned))
}

/// The table of contents under the names of `transformers`.
pub(super) struct Opened {
    pub(super) header: TensorHeader,
    /// Tensors that are not what they look like, by their first byte.
    pub(super) stored: BTreeMap<u64, Stored>,
    /// The `config.json`.
    pub(super) config: Map<String, Value>,
}

/// Reads everything but the weights.
pub(super) fn open(path: &Path) -> Result<Opened, GgufError> {
    let Header { metadata, tensors: entries, .. } = read_header(path)?;
    let naming = names::Naming::of(&metadata)?;
    let mut tensors = BTreeMap::new();
    let mut stored = BTreeMap::new();
    for entry in entries {
        let named = naming.name(&entry.name)?;
        let (start, end) = (entry.start, entry.end);
        let shape = entry.shape.clone();
        let dtype = match (entry.kind, named.turned_heads) {
            (BlockKind::F32, None) => Dtype::F32,
            (BlockKind::F16, None) => Dtype::F16,
            (BlockKind::Bf16, None) => Dtype::BF16,
            (kind, turned_heads) => {
                stored.insert(start, Stored::new(kind, &shape, turned_heads, &entry.name)?);
                Dtype::F32
            }
        };
        tensors.insert(named.name, TensorInfo { dtype, shape, start, end });
    }
    let config = config::json(&metadata, &tensors)?;
    Ok(Opened { header: TensorHeader { tensors, metadata: BTreeMap::new() }, stored, config })
}

fn read_header(path: &Path) -> Result<Header, GgufError> {
    let file = File::open(path)?;
    let file_len = file.metadata()?.len();
    Header::read(BufReader::new(file), file_len)
}

/// A key that must be there.
fn required<'m>(metadata: &'m Metadata, key: &str) -> Result<&'m metadata::Meta, GgufError> {
    metadata.get(key).ok_or_else(|| GgufError::Missing(key.to_owned()))
}
