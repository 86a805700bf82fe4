//! What a baked folder remembers: `bake/record.json` and `bake/undo.safetensors`.
//!
//! They lie in a folder of their own, because some programs load every
//! `*.safetensors` beside a `config.json`, and would load the original weights over
//! the baked ones.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use hub_formats::checkpoint::read_bounded;
use hub_schemas::{
    Digest,
    layout::{Dtype, TensorInfo},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::rewrite::io_error;
use crate::merging::MergeError;

/// The folder of both files.
pub(super) const FOLDER: &str = "bake";
const RECORD: &str = "record.json";
const UNDO: &str = "undo.safetensors";
const VERSION: u32 = 1;
/// A record lists adapters and weight files; a kilobyte each is plenty.
const MAX_RECORD_BYTES: u64 = 4 << 20;

/// Which adapters were baked in, and the weight files before and after.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Of this file format.
    version: u32,
    /// What was baked in.
    pub(super) adapters: Vec<BakedAdapter>,
    /// Every weight file.
    pub(super) files: Vec<FileRecord>,
}

/// An adapter inside a backbone's weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BakedAdapter {
    /// What the person called it, such as `ada/sentiment@1.2.0`.
    pub name: String,
    /// Digest of its manifest, or of its weights file where it has none.
    pub digest: Digest,
    /// What its update was multiplied with.
    pub weight: f64,
}

/// One weight file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FileRecord {
    /// Its name in the folder.
    pub(super) name: String,
    /// Its digest before baking.
    pub(super) before: Digest,
    /// Its digest after.
    pub(super) after: Digest,
}

impl Record {
    pub(super) fn new(adapters: &[BakedAdapter]) -> Self {
        Self { version: VERSION, adapters: adapters.to_vec(), files: Vec::new() }
    }

    /// Whether something was baked into this folder.
    pub(super) fn is_in(folder: &Path) -> bool {
        folder.join(FOLDER).join(RECORD).exists()
    }

    pub(super) fn read(folder: &Path) -> Result<Self, MergeError> {
        if !Self::is_in(folder) {
            return Err(MergeError::NotBaked(folder.to_owned()));
        }
        let path = folder.join(FOLDER).join(RECORD);
        let bytes = read_bounded(&path, MAX_RECORD_BYTES)?;
        let wrong = |reason: String| MergeError::Record { path: path.clone(), reason };
        let record: Self = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        if record.version == VERSION {
            Ok(record)
        } else {
            Err(wrong(format!("it has version {}; this program knows {VERSION}", record.version)))
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), MergeError> {
        let path = folder.join(FOLDER).join(RECORD);
        let json = json!(self);
        fs::write(&path, format!("{json:#}\n")).map_err(|e| io_error("write", &path, e))
    }
}

/// Where a baked folder keeps the original tensors.
pub(super) fn undo_path(folder: &Path) -> PathBuf {
    folder.join(FOLDER).join(UNDO)
}

/// Writes the original tensors one after the other, as a safetensors file.
///
/// The very bytes are kept, not a difference: floating-point sums can't be undone by
/// subtraction (`(w + d) - d` is not `w`), `-0.0 + 0.0` is `0.0`, and a NaN keeps
/// its payload in no sum. A difference of bits would be as large, and worthless once
/// one bit of the baked file changes.
pub(super) struct UndoWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl UndoWriter {
    /// Writes the header: the tensors will come in this order.
    pub(super) fn create(folder: &Path, tensors: &[(&str, &TensorInfo)]) -> Result<Self, MergeError> {
        let path = undo_path(folder);
        fs::create_dir_all(folder.join(FOLDER)).map_err(|e| io_error("write", &path, e))?;
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
        let mut at = 0;
        for (name, info) in tensors {
            let end = at + (info.end - info.start);
            header.insert((*name).to_owned(), entry(info.dtype, &info.shape, at, end));
            at = end;
        }
        let mut json = Value::Object(header).to_string();
        // The format wants the data to begin at a multiple of eight.
        while !json.len().is_multiple_of(8) {
            json.push(' ');
        }
        let create = || {
            let mut file = BufWriter::new(File::create(&path)?);
            file.write_all(&(json.len() as u64).to_le_bytes())?;
            file.write_all(json.as_bytes())?;
            Ok(file)
        };
        let file = create().map_err(|e| io_error("write", &path, e))?;
        Ok(Self { path, file })
    }

    /// The next tensor.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), MergeError> {
        self.file.write_all(bytes).map_err(|e| io_error("write", &self.path, e))
    }

    /// Flushes to disk.
    pub(super) fn finish(mut self) -> Result<(), MergeError> {
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        flushed.map_err(|e| io_error("write", &self.path, e))
    }
}

fn entry(dtype: Dtype, shape: &[usize], start: u64, end: u64) -> Value {
    json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]})
}
