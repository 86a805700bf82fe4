//! Taking baked adapters out again.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use hub_formats::checkpoint::{BaseFolder, TensorFile};

use super::{
    beside::copy_beside,
    claim,
    record::{BakedAdapter, FileRecord, Record, undo_path},
    rewrite::{Exchange, rewrite},
    weight_names,
};
use crate::merging::MergeError;

/// What was taken out.
#[derive(Debug, Clone, PartialEq)]
pub struct UnbakeReport {
    /// The adapters, as they were called when they were baked in.
    pub adapters: Vec<BakedAdapter>,
    /// How many weights got their bytes back.
    pub tensors: usize,
    /// Files that were not copied, relative to the folder: weights in other containers.
    pub left_out: Vec<PathBuf>,
}

/// Writes the backbone that adapters were baked into, as it was before: every weight
/// file has the very bytes it had, which its digest proves. `out` must be empty or not there.
///
/// Refuses folders that nothing was baked into, and files that were changed since. What is
/// written before a refusal stays: pass a folder that is moved into place when all is well.
pub fn unbake(baked: &BaseFolder, out: &Path) -> Result<UnbakeReport, MergeError> {
    let record = Record::read(baked.path())?;
    let undo = TensorFile::open(&undo_path(baked.path()))?;
    claim(out)?;
    let mut tensors = 0;
    for file in baked.files() {
        tensors += restore(file, &undo, &record, out)?;
    }
    if tensors != undo.header.tensors.len() {
        let reason = format!(
            "it keeps {} tensors, of which the weight files have {tensors}",
            undo.header.tensors.len()
        );
        return Err(MergeError::Record { path: undo.path().to_owned(), reason });
    }
    let left_out = copy_beside(baked.path(), out, &weight_names(baked))?;
    Ok(UnbakeReport { adapters: record.adapters, tensors, left_out })
}

/// One weight file with its original tensors; answers how many it got back.
fn restore(file: &TensorFile, undo: &TensorFile, record: &Record, out: &Path) -> Result<usize, MergeError> {
    let (name, listed) = listed(file, record)?;
    let here: BTreeMap<_, _> =
        file.header.tensors.iter().filter(|(n, _)| undo.header.tensors.contains_key(*n)).collect();
    let mut exchanges = Vec::with_capacity(here.len());
    for (tensor, info) in &here {
        let kept = &undo.header.tensors[*tensor];
        if (kept.dtype, &kept.shape) != (info.dtype, &info.shape) {
            let reason = format!(
                "it keeps `{tensor}` as {:?} {:?}, but `{}` has it as {:?} {:?}",
                kept.dtype,
                kept.shape,
                file.path().display(),
                info.dtype,
                info.shape
            );
            return Err(MergeError::Record { path: undo.path().to_owned(), reason });
        }
        let bytes = Box::new(|_| Ok(undo.read(kept)?.bytes));
        exchanges.push(Exchange { start: info.start, end: info.end, bytes });
    }
    let target = out.join(name);
    let digests = rewrite(file.path(), &target, exchanges)?;
    if digests.target == listed.before {
        return Ok(here.len());
    }
    // A wrong model must not lie around.
    let _ = fs::remove_file(&target);
    let reason = if digests.source == listed.after {
        format!("the original weights in `{}` are damaged", undo.path().display())
    } else {
        format!("it was changed after baking: its digest was {} and is {}", listed.after, digests.source)
    };
    Err(MergeError::NotRestored { path: file.path().to_owned(), reason })
}

/// A weight file's name and what the record says about it.
fn listed<'a>(file: &TensorFile, record: &'a Record) -> Result<(String, &'a FileRecord), MergeError> {
    let name = file.path().file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let found = record.files.iter().find(|f| f.name == name);
    let missing = || MergeError::NotRestored {
        path: file.path().to_owned(),
        reason: "the record of the bake does not list it".to_owned(),
    };
    Ok((name, found.ok_or_else(missing)?))
}
