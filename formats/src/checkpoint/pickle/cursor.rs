//! Walking over bytes that nobody vouches for.

use super::PickleError;

/// Longest text of a pickle: names of tensors, storages and devices.
const MAX_TEXT: usize = 4096;

/// A place in a slice; every step is checked.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// What the bytes are, for the error when they end.
    part: &'static str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], part: &'static str) -> Self {
        Self { bytes, at: 0, part }
    }

    /// How many bytes were walked over.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], PickleError> {
        let taken = self.at.checked_add(n).and_then(|end| Some((end, self.bytes.get(self.at..end)?)));
        let (end, taken) = taken.ok_or(PickleError::Truncated(self.part))?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let part = self.part;
        self.take(N)?.first_chunk().copied().ok_or(PickleError::Truncated(part))
    }

    pub(super) fn u8(&mut self) -> Result<u8, PickleError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, PickleError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, PickleError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, PickleError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, PickleError> {
        self.array().map(i32::from_le_bytes)
    }

    /// Text of `n` bytes.
    pub(super) fn text(&mut self, n: u64) -> Result<&'a str, PickleError> {
        if n > MAX_TEXT as u64 {
            return Err(PickleError::TooLarge {
                what: "bytes in one text of its pickle",
                found: n,
                max: MAX_TEXT as u64,
            });
        }
        let bytes = self.take(n as usize)?;
        self.utf8(bytes)
    }

    /// Text up to the end of its line.
    pub(super) fn line(&mut self) -> Result<&'a str, PickleError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().take(MAX_TEXT).position(|byte| *byte == b'\n');
        let bytes = self.take(length.ok_or(PickleError::Truncated(self.part))?)?;
        self.take(1)?;
        self.utf8(bytes)
    }

    fn utf8(&self, bytes: &'a [u8]) -> Result<&'a str, PickleError> {
        std::str::from_utf8(bytes).map_err(|_| self.malformed("its text is not UTF-8"))
    }

    /// An error about what was just read.
    pub(super) fn malformed(&self, reason: impl Into<String>) -> PickleError {
        PickleError::Malformed { at: self.at, reason: reason.into() }
    }
}
