//! Reading a GGUF header from a stream that nobody vouches for: nothing is allocated that the
//! file could not fill.

use std::io::Read;

use super::GgufError;

/// Longest string, in bytes: a chat template has some thousand.
const MAX_STRING: u64 = 1 << 20;

/// Counts what was read and what may still be.
pub(super) struct Cursor<R> {
    source: R,
    read: u64,
    limit: u64,
}

impl<R: Read> Cursor<R> {
    pub(super) const fn new(source: R, limit: u64) -> Self {
        Self { source, read: 0, limit }
    }

    /// Bytes read so far.
    pub(super) const fn position(&self) -> u64 {
        self.read
    }

    fn bytes(&mut self, len: u64, what: &'static str) -> Result<Vec<u8>, GgufError> {
        let most = self.limit - self.read;
        if len > most {
            return Err(GgufError::TooLong { what, found: len, most });
        }
        let mut bytes = Vec::new();
        let got = self.source.by_ref().take(len).read_to_end(&mut bytes)? as u64;
        if got < len {
            return Err(GgufError::TooLong { what, found: len, most: got });
        }
        self.read += len;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let most = self.limit - self.read;
        let (what, found) = ("a value", N as u64);
        if found > most {
            return Err(GgufError::TooLong { what, found, most });
        }
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        self.read += found;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A count of things that take at least `least` bytes each.
    pub(super) fn count(&mut self, what: &'static str, least: u64) -> Result<usize, GgufError> {
        let found = self.u64()?;
        let most = (self.limit - self.read) / least.max(1);
        if found > most {
            return Err(GgufError::TooLong { what, found, most });
        }
        usize::try_from(found).map_err(|_| GgufError::TooLong { what, found, most })
    }

    pub(super) fn text(&mut self) -> Result<String, GgufError> {
        let what = "the length of a string";
        let len = self.u64()?;
        if len > MAX_STRING {
            return Err(GgufError::TooLong { what, found: len, most: MAX_STRING });
        }
        let bytes = self.bytes(len, what)?;
        String::from_utf8(bytes).map_err(|_| GgufError::Malformed("a string is not UTF-8".to_owned()))
    }
}
