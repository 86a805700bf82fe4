//! Reading tensors out of the files that `torch.save` writes, without unpickling them.
//!
//! A pickle is a program for a small stack machine that can call any Python
//! function. The machine here (`machine`) knows the instructions that a state dict
//! is written with and no others, and the names it can call (`Global`) are a
//! closed list that describes tensors. Calling one makes an entry in a table;
//! whatever else is asked for is refused by its name. Nothing is ever run.
//!
//! Two containers exist: the zip archive of PyTorch 1.6 and later (`archive`) and
//! the stream of pickles before it (`legacy`). Both end in the same table (`table`),
//! where every offset, stride and size is checked against the file.
//!
//! The zip reader is our own. `torch.save` stores its entries uncompressed, so all
//! that is needed is the directory at the end of the file: fewer lines than a
//! dependency's configuration, free of decompression, and strict where general
//! readers must be lenient (comments, duplicate names, headers that disagree).
//! Checksums are not compared: PyTorch does not either, and may write none.

mod archive;
mod calls;
mod cursor;
mod error;
mod global;
mod heap;
mod legacy;
mod machine;
mod opcode;
mod table;
mod view;
mod zip;

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

pub use error::PickleError;
pub(super) use table::Table;
pub(super) use view::View;

/// Largest file that is opened. Every offset is checked against the file's true
/// length; this only says where an adapter ends and a mistake begins.
const MAX_FILE_BYTES: u64 = 16 << 30;
/// Largest pickle, and largest zip directory. A tensor takes some 200 bytes of each.
const MAX_PICKLE_BYTES: u64 = 32 << 20;
/// Most tensors. The largest adapters have some thousands.
const MAX_TENSORS: usize = 100_000;

/// Reads the table of contents of a file that `torch.save` wrote.
pub(super) fn open(path: &Path) -> Result<Table, PickleError> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    if len > MAX_FILE_BYTES {
        return Err(PickleError::TooLarge { what: "bytes", found: len, max: MAX_FILE_BYTES });
    }
    let first = read_up_to(&mut file, 0, legacy::MAGIC.len() as u64)?;
    match first.as_slice() {
        first if first.starts_with(zip::LOCAL_HEADER) => archive::open(&mut file, len),
        first if first == legacy::MAGIC => legacy::open(&mut file, len),
        _ => Err(PickleError::NotPyTorch),
    }
}

/// At most `max` bytes from `start` on; fewer where the file ends.
fn read_up_to(file: &mut File, start: u64, max: u64) -> Result<Vec<u8>, PickleError> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
