//! The files of a backbone's folder that are not its weights.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use super::{record, rewrite::io_error};
use crate::merging::MergeError;

/// Weights in other containers: they would contradict the weights that are written.
const WEIGHTS: [&str; 13] = [
    "bin",
    "ckpt",
    "gguf",
    "h5",
    "msgpack",
    "npz",
    "onnx",
    "ot",
    "pkl",
    "pt",
    "pth",
    "safetensors",
    "tflite",
];
/// Modules of sentence-transformers lie one folder down; nothing lies deeper than this.
const MAX_DEPTH: usize = 4;

/// Copies configuration, tokenizer and whatever else lies in `from`, the files in
/// `weights` and hidden files excepted. Answers what was left out, relative to `from`.
pub(super) fn copy_beside(
    from: &Path,
    into: &Path,
    weights: &BTreeSet<OsString>,
) -> Result<Vec<PathBuf>, MergeError> {
    let mut left_out = Vec::new();
    copy(from, into, Path::new(""), weights, &mut left_out)?;
    left_out.sort();
    Ok(left_out)
}

fn copy(
    from: &Path,
    into: &Path,
    below: &Path,
    weights: &BTreeSet<OsString>,
    left_out: &mut Vec<PathBuf>,
) -> Result<(), MergeError> {
    let folder = from.join(below);
    let reading = |e| io_error("read", &folder, e);
    for item in fs::read_dir(&folder).map_err(reading)? {
        let item = item.map_err(reading)?;
        let (name, relative) = (item.file_name(), below.join(item.file_name()));
        let is_top = below.as_os_str().is_empty();
        let is_ours = is_top && (weights.contains(&name) || name == record::FOLDER);
        if is_ours || name.to_string_lossy().starts_with('.') {
            continue;
        }
        let kind = item.file_type().map_err(reading)?;
        // Files in a Hugging Face cache are links to their content; a linked folder could be a circle.
        if kind.is_dir() && below.components().count() < MAX_DEPTH {
            copy(from, into, &relative, weights, left_out)?;
        } else if kind.is_dir() || holds_weights(&relative) || !item.path().is_file() {
            left_out.push(relative);
        } else {
            let target = into.join(&relative);
            let writing = |e| io_error("write", &target, e);
            fs::create_dir_all(into.join(below)).map_err(writing)?;
            fs::copy(item.path(), &target).map_err(writing)?;
        }
    }
    Ok(())
}

fn holds_weights(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|e| WEIGHTS.contains(&e.as_str()))
}
