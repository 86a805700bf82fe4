//! Updates inside a backbone's weights: `W' = W + ΔW`, and back to the very bytes.
//!
//! A baked backbone needs no adapter and no more time than the plain one, and every
//! program can load it. Configuration, tokenizer and every byte of the weight files
//! that is not an updated weight stay as they are; only headers are read, tensors are
//! updated one at a time. The original bytes of what was updated are kept beside the
//! weights, so that [`unbake`] gives back the original files.

mod apply;
mod beside;
mod delta;
mod record;
mod rewrite;
mod undo;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use hub_formats::checkpoint::{BaseFolder, SlotData, TensorFile};
use hub_schemas::layout::TensorInfo;

pub use delta::{Delta, Deltas};
pub use record::BakedAdapter;
pub use undo::{UnbakeReport, unbake};

use self::{
    apply::applied,
    beside::copy_beside,
    record::{FileRecord, Record, UndoWriter},
    rewrite::{Exchange, io_error, rewrite},
};
use super::MergeError;

/// What was baked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BakeReport {
    /// How many weights were updated.
    pub tensors: usize,
    /// Files that were not copied, relative to the folder: weights in other containers.
    pub left_out: Vec<PathBuf>,
}

/// A weight to update: its name in its file, where it lies there, and its update.
struct Place<'a> {
    name: &'a str,
    info: &'a TensorInfo,
    delta: &'a Delta,
}

/// Writes `base` with `deltas` added into `out`, which must be empty or not there.
/// `adapters` is for the record. Each weight keeps its type:
/// added in double precision and rounded once.
///
/// Refuses updates of tensors that the backbone does not have or that have another
/// shape, sums that the type can't hold, and a backbone that holds baked adapters
/// already. What is written before a refusal stays: pass a folder that is moved into
/// place when all is well.
pub fn bake(
    base: &BaseFolder,
    deltas: &Deltas,
    adapters: &[BakedAdapter],
    out: &Path,
) -> Result<BakeReport, MergeError> {
    if base.is_quantised() {
        return Err(MergeError::Quantised(base.path().to_owned()));
    }
    if let Some(file) = base.files().iter().find(|file| !file.is_plain()) {
        return Err(MergeError::Pickled(file.path().to_owned()));
    }
    if Record::is_in(base.path()) {
        return Err(MergeError::AlreadyBaked(base.path().to_owned()));
    }
    if deltas.is_empty() {
        return Err(MergeError::Empty);
    }
    let places = places(base, deltas)?;
    claim(out)?;
    let order: Vec<(&str, &TensorInfo)> = places.values().flatten().map(|p| (p.name, p.info)).collect();
    let undo = RefCell::new(UndoWriter::create(out, &order)?);
    let mut record = Record::new(adapters);
    for (index, file) in base.files().iter().enumerate() {
        let here = places.get(&index).map(Vec::as_slice).unwrap_or_default();
        record.files.push(bake_file(file, here, &undo, out)?);
    }
    undo.into_inner().finish()?;
    let left_out = copy_beside(base.path(), out, &weight_names(base))?;
    // Last: a folder with a record is complete.
    record.write(out)?;
    Ok(BakeReport { tensors: order.len(), left_out })
}

/// The weights to update by file, in the order in which they lie there.
fn places<'a>(
    base: &'a BaseFolder,
    deltas: &'a Deltas,
) -> Result<BTreeMap<usize, Vec<Place<'a>>>, MergeError> {
    let mut places: BTreeMap<usize, Vec<Place<'a>>> = BTreeMap::new();
    for (canonical, delta) in deltas {
        let missing = || MergeError::NoTensor { folder: base.path().to_owned(), tensor: canonical.clone() };
        let (file, info) = base.tensor(canonical).ok_or_else(missing)?;
        let mut names = base.files()[file].header.tensors.iter();
        let (name, info) = names.find(|(_, other)| *other == info).ok_or_else(missing)?;
        places.entry(file).or_default().push(Place { name, info, delta });
    }
    for here in places.values_mut() {
        here.sort_by_key(|place| place.info.start);
    }
    Ok(places)
}

fn bake_file(
    file: &TensorFile,
    places: &[Place<'_>],
    undo: &RefCell<UndoWriter>,
    out: &Path,
) -> Result<FileRecord, MergeError> {
    let mut exchanges = Vec::with_capacity(places.len());
    for Place { name, info, delta } in places {
        let bytes = Box::new(|bytes: Vec<u8>| {
            undo.borrow_mut().push(&bytes)?;
            let original = SlotData { dtype: info.dtype, shape: info.shape.clone(), bytes };
            Ok(applied(&original, delta, name)?.bytes)
        });
        exchanges.push(Exchange { start: info.start, end: info.end, bytes });
    }
    let name = file.path().file_name().unwrap_or_default();
    let digests = rewrite(file.path(), &out.join(name), exchanges)?;
    Ok(FileRecord {
        name: name.to_string_lossy().into_owned(),
        before: digests.source,
        after: digests.target,
    })
}

/// Creates the folder to write into; refuses one that holds something.
fn claim(out: &Path) -> Result<(), MergeError> {
    if fs::read_dir(out).is_ok_and(|mut items| items.next().is_some()) {
        return Err(MergeError::NotEmpty(out.to_owned()));
    }
    fs::create_dir_all(out).map_err(|e| io_error("write", out, e))
}

/// The names of the files that hold the weights.
fn weight_names(folder: &BaseFolder) -> BTreeSet<OsString> {
    folder.files().iter().filter_map(|file| Some(file.path().file_name()?.to_owned())).collect()
}
