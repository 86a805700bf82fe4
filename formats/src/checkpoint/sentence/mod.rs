//! Folders that `sentence-transformers` writes: a base model, or an adapter of PEFT, with what makes one vector of a
//! text beside it.
//!
//! `modules.json` lists what a text goes through, each with its class and its folder: `Transformer`, `Pooling`, and
//! often `Normalize`. These are computed here; every other class is refused by name, because vectors without it would
//! be others. Versions 2 to 5 of the library are read; where they differ, as 5.7.0 does.

mod modules;
mod pooling;
mod texts;

#[cfg(test)]
mod tests;

use std::path::Path;

use hub_schemas::{
    backbone::BackboneShape,
    head::{EmbeddingHead, Head},
    layout::SENTENCE_MODULES,
};

use self::modules::Modules;
use super::{CheckpointError, fields::Fields, folder::read_json};

/// The vector that the folder in `dir` states: `None` where `sentence-transformers` has not written it, or has written
/// something there that gives no vectors. Refuses by name what this version does not compute.
pub fn sentence_head(dir: &Path) -> Result<Option<EmbeddingHead>, CheckpointError> {
    let path = dir.join(SENTENCE_MODULES);
    if !path.is_file() || texts::is_cross_encoder(dir)? {
        return Ok(None);
    }
    let modules = Modules::read(&path)?;
    let (pooling, includes_prompt) = pooling::read(&dir.join(modules.pooling.as_str()))?;
    let texts = texts::read(dir)?;
    if let Some(prompt) = texts.prompt.as_ref().filter(|_| !includes_prompt) {
        let reason = format!(
            "is false, and every text stands behind {prompt:?}: leaving that out is not computed here"
        );
        let path = dir.join(modules.pooling.as_str());
        return Err(CheckpointError::Field { path, field: "include_prompt".to_owned(), reason });
    }
    let head = Head::Embedding(EmbeddingHead { pooling, normalize: modules.normalizes, ..texts });
    match (head.validate(&[]), head) {
        (Ok(()), Head::Embedding(head)) => Ok(Some(head)),
        (Ok(()), _) => Ok(None),
        (Err(e), _) => Err(wrong_modules(&path, "vectors", format!("can't be made: {e}"))),
    }
}

/// The same of a base model's folder, whose architecture and tokenizer say more. Behind an encoder with a decoder
/// `sentence-transformers` reads the encoder alone, which is another model than this one.
pub fn base_sentence_head(
    dir: &Path,
    shape: &BackboneShape,
) -> Result<Option<EmbeddingHead>, CheckpointError> {
    let head = sentence_head(dir)?;
    if head.is_some() && shape.decoder_layers.is_some() {
        let reason =
            "makes vectors of an encoder whose decoder is left out, which this version does not compute";
        return Err(wrong_modules(&dir.join(SENTENCE_MODULES), "type", reason));
    }
    Ok(head)
}

/// Whether the folder states vectors, computed here or not.
pub fn is_sentence_folder(dir: &Path) -> Result<bool, CheckpointError> {
    Ok(dir.join(SENTENCE_MODULES).is_file() && !texts::is_cross_encoder(dir)?)
}

/// The fields of a file, none where there is no such file.
fn fields_of(path: &Path) -> Result<Option<Fields>, CheckpointError> {
    if path.is_file() { Ok(Some(Fields::new(path, read_json(path)?))) } else { Ok(None) }
}

fn wrong_modules(path: &Path, field: &str, reason: impl Into<String>) -> CheckpointError {
    CheckpointError::Field { path: path.to_owned(), field: field.to_owned(), reason: reason.into() }
}
