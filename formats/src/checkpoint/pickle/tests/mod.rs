//! `reads`: what PyTorch saved comes out as PyTorch would load it. `hostile`: whatever
//! else is in the file, the answer is an error that names it. `folders`: adapters whose
//! weights are pickled. `build`: files by hand.

mod build;
mod folders;
mod hostile;
mod reads;

use std::path::{Path, PathBuf};

use crate::checkpoint::{CheckpointError, SlotData, TensorFile};

/// Files that `tests/fixtures/pickle/make.py` made with PyTorch.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/pickle").join(name)
}

fn open(path: &Path) -> TensorFile {
    TensorFile::open(path).unwrap_or_else(|e| panic!("{e}"))
}

fn read(file: &TensorFile, name: &str) -> SlotData {
    file.read(&file.header.tensors[name]).expect("reads")
}

/// Opens `bytes` as a file of PyTorch's.
fn open_bytes(bytes: &[u8]) -> Result<TensorFile, CheckpointError> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("pytorch_adapter.bin");
    std::fs::write(&path, bytes).expect("writes");
    TensorFile::open(&path)
}

/// Why `bytes` are refused, without the path.
fn refusal(bytes: &[u8]) -> String {
    match open_bytes(bytes) {
        Err(CheckpointError::Pickled { source, .. }) => source.to_string(),
        Err(other) => panic!("{other}"),
        Ok(file) => panic!("it holds {} tensors", file.header.tensors.len()),
    }
}
