//! Copying a file with some byte ranges exchanged, and hashing both sides.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::Path,
};

use hub_schemas::{Digest, DigestHasher};

use crate::merging::MergeError;

/// A range of a file that gets other bytes of the same length.
pub(super) struct Exchange<'a> {
    /// First byte.
    pub(super) start: u64,
    /// One past the last byte.
    pub(super) end: u64,
    /// Makes the new bytes when their turn comes: one tensor is in memory at a time.
    pub(super) bytes: NewBytes<'a>,
}

/// From the old bytes of a range to the new ones.
pub(super) type NewBytes<'a> = Box<dyn FnOnce(Vec<u8>) -> Result<Vec<u8>, MergeError> + 'a>;

/// Digests of a file before and after.
pub(super) struct Digests {
    /// Of the file that was read.
    pub(super) source: Digest,
    /// Of the file that was written.
    pub(super) target: Digest,
}

/// Copies `source` to `target` with `exchanges`, which do not overlap.
pub(super) fn rewrite(
    source: &Path,
    target: &Path,
    mut exchanges: Vec<Exchange<'_>>,
) -> Result<Digests, MergeError> {
    let reading = |e| io_error("read", source, e);
    let writing = |e| io_error("write", target, e);
    exchanges.sort_by_key(|exchange| exchange.start);
    let mut from = File::open(source).map_err(reading)?;
    let mut into = BufWriter::new(File::create(target).map_err(writing)?);
    let (mut before, mut after) = (DigestHasher::default(), DigestHasher::default());
    let mut at = 0;
    for exchange in exchanges {
        copy(&mut from, Some(exchange.start - at), |piece| {
            before.update(piece);
            after.update(piece);
            into.write_all(piece)
        })
        .map_err(|failure| failure.at(source, target))?;
        let mut old = Vec::with_capacity((exchange.end - exchange.start) as usize);
        Read::by_ref(&mut from).take(exchange.end - exchange.start).read_to_end(&mut old).map_err(reading)?;
        before.update(&old);
        let new = (exchange.bytes)(old)?;
        after.update(&new);
        into.write_all(&new).map_err(writing)?;
        at = exchange.end;
    }
    copy(&mut from, None, |piece| {
        before.update(piece);
        after.update(piece);
        into.write_all(piece)
    })
    .map_err(|failure| failure.at(source, target))?;
    into.flush().and_then(|()| into.get_ref().sync_all()).map_err(writing)?;
    Ok(Digests { source: before.finish(), target: after.finish() })
}

/// Which side of a copy failed.
enum Failure {
    Read(io::Error),
    Write(io::Error),
}

impl Failure {
    fn at(self, source: &Path, target: &Path) -> MergeError {
        match self {
            Self::Read(e) => io_error("read", source, e),
            Self::Write(e) => io_error("write", target, e),
        }
    }
}

/// Hands over the next `length` bytes, or all that is left, in pieces.
fn copy(
    from: &mut File,
    length: Option<u64>,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut left = from.take(length.unwrap_or(u64::MAX));
    let mut buffer = vec![0; 1 << 20];
    loop {
        match left.read(&mut buffer).map_err(Failure::Read)? {
            0 => return Ok(()),
            n => take(&buffer[..n]).map_err(Failure::Write)?,
        }
    }
}

pub(super) fn io_error(action: &'static str, path: &Path, source: io::Error) -> MergeError {
    MergeError::Io { action, path: path.to_owned(), source }
}
