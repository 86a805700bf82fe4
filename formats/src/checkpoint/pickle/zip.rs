//! The directory of a zip archive, as far as `torch.save` uses the format.
//!
//! Layouts are those of PKWARE's APPNOTE 6.3.10: 4.3.7 (local header), 4.3.12
//! (directory entry), 4.3.14 to 4.3.16 (its end, with zip64), 4.5.3 (zip64 sizes).

use std::{collections::HashMap, fs::File, ops::Range};

use super::{MAX_PICKLE_BYTES, MAX_TENSORS, PickleError, cursor::Cursor, error::shown, read_up_to};

/// How a local header, and with it the file, begins.
pub(super) const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const LOCAL_HEADER_LEN: u64 = 30;
const ENTRY: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_LEN: u64 = 22;
const END_64: &[u8] = b"PK\x06\x06";
const END_64_LEN: u64 = 56;
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const LOCATOR_64_LEN: u64 = 20;
/// Entries beside one for each tensor: the pickle, the version, the byte order and so on.
const OTHER_ENTRIES: usize = 32;
/// The longest name that `torch.save` makes holds a file name and a number.
const MAX_NAME: u16 = 512;

/// The entries of an archive, none of them compressed.
pub(super) struct Zip {
    entries: HashMap<String, Entry>,
    /// Where the directory starts: all data lies before it.
    data_end: u64,
}

struct Entry {
    /// Where its local header starts.
    header: u64,
    size: u64,
}

fn broken(reason: impl Into<String>) -> PickleError {
    PickleError::Archive(reason.into())
}

impl Zip {
    /// Reads the directory of a file of `len` bytes.
    pub(super) fn open(file: &mut File, len: u64) -> Result<Self, PickleError> {
        let (count, size, start) = find_directory(file, len)?;
        let max = (MAX_TENSORS + OTHER_ENTRIES) as u64;
        if count > max {
            return Err(PickleError::TooLarge { what: "entries in its zip archive", found: count, max });
        }
        if size > MAX_PICKLE_BYTES {
            let what = "bytes in its zip archive's directory";
            return Err(PickleError::TooLarge { what, found: size, max: MAX_PICKLE_BYTES });
        }
        if start.checked_add(size).is_none_or(|end| end > len) {
            return Err(broken(format!(
                "its directory of {size} bytes at {start} goes beyond the file's end"
            )));
        }
        let bytes = read_up_to(file, start, size)?;
        let mut cursor = Cursor::new(&bytes, "zip archive's directory");
        let mut entries = HashMap::new();
        for _ in 0..count {
            let (name, entry) = read_entry(&mut cursor)?;
            if entries.insert(name.to_owned(), entry).is_some() {
                return Err(broken(format!("it has two entries named `{}`", shown(name))));
            }
        }
        Ok(Self { entries, data_end: start })
    }

    /// The names of all entries, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Where the data of an entry lies in the file.
    pub(super) fn locate(&self, file: &mut File, name: &str) -> Result<Range<u64>, PickleError> {
        let entry = self.entries.get(name);
        let entry = entry.ok_or_else(|| broken(format!("it has no entry `{}`", shown(name))))?;
        let bytes = read_up_to(file, entry.header, LOCAL_HEADER_LEN + name.len() as u64)?;
        let mut cursor = Cursor::new(&bytes, "zip archive's data");
        let is_header = cursor.take(4)? == LOCAL_HEADER;
        cursor.take(22)?;
        let (name_len, extra_len) = (cursor.u16()?, cursor.u16()?);
        // A header that disagrees with the directory shows other readers another file.
        if !is_header || cursor.take(name.len())? != name.as_bytes() || usize::from(name_len) != name.len() {
            return Err(broken(format!("the header of its entry `{}` is not one", shown(name))));
        }
        let before = LOCAL_HEADER_LEN + u64::from(name_len) + u64::from(extra_len);
        let start = entry.header.checked_add(before);
        let range = start.and_then(|start| Some(start..start.checked_add(entry.size)?));
        let beyond = || {
            let (name, size, end) = (shown(name), entry.size, self.data_end);
            broken(format!("its entry `{name}` of {size} bytes goes beyond the end of the data at {end}"))
        };
        range.filter(|range| range.end <= self.data_end).ok_or_else(beyond)
    }
}

/// Number of entries, size and start of the directory.
fn find_directory(file: &mut File, len: u64) -> Result<(u64, u64, u64), PickleError> {
    let Some(end) = len.checked_sub(END_LEN) else {
        return Err(PickleError::Truncated("zip archive"));
    };
    let bytes = read_up_to(file, end, END_LEN)?;
    let mut cursor = Cursor::new(&bytes, "zip archive's end");
    // `torch.save` writes no comment, so the record is the file's last bytes.
    if cursor.take(4)? != END {
        return Err(broken("the file does not end as one does: it may be truncated"));
    }
    let (disk, first_disk) = (cursor.u16()?, cursor.u16()?);
    let (_, count) = (cursor.u16()?, cursor.u16()?);
    let (size, start) = (cursor.u32()?, cursor.u32()?);
    if disk != 0 || first_disk != 0 {
        return Err(broken("it is split over several files"));
    }
    let small = (count.into(), size.into(), start.into());
    let Some(locator) = end.checked_sub(LOCATOR_64_LEN) else { return Ok(small) };
    let bytes = read_up_to(file, locator, LOCATOR_64_LEN)?;
    let mut cursor = Cursor::new(&bytes, "zip archive's end");
    if cursor.take(4)? != LOCATOR_64 {
        return Ok(small);
    }
    cursor.take(4)?;
    let bytes = read_up_to(file, cursor.u64()?, END_64_LEN)?;
    let mut cursor = Cursor::new(&bytes, "zip archive's end");
    if cursor.take(4)? != END_64 {
        return Err(broken("its zip64 record is not where the archive says"));
    }
    cursor.take(28)?;
    Ok((cursor.u64()?, cursor.u64()?, cursor.u64()?))
}

fn read_entry<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a str, Entry), PickleError> {
    if cursor.take(4)? != ENTRY {
        return Err(broken("its directory holds something else than entries"));
    }
    cursor.take(4)?;
    let (flags, method) = (cursor.u16()?, cursor.u16()?);
    cursor.take(8)?;
    let (compressed, size) = (cursor.u32()?, cursor.u32()?);
    let (name_len, extra_len, comment_len) = (cursor.u16()?, cursor.u16()?, cursor.u16()?);
    cursor.take(8)?;
    let header = cursor.u32()?;
    let name = cursor.take(name_len.into())?;
    let extra = cursor.take(extra_len.into())?;
    cursor.take(comment_len.into())?;
    let name = std::str::from_utf8(name).map_err(|_| broken("the name of an entry is not UTF-8"))?;
    let (compressed, size, header) = zip64_sizes(extra, compressed, size, header)?;
    if name_len > MAX_NAME || !is_plain(name) {
        return Err(broken(format!("it has an entry named `{}`, which is no path inside it", shown(name))));
    }
    if method != 0 || compressed != size || flags & 1 != 0 {
        return Err(broken(format!("its entry `{}` is compressed or encrypted", shown(name))));
    }
    Ok((name, Entry { header, size }))
}

/// Nothing is ever extracted; a name that would matter if it were is a lie all the same.
fn is_plain(name: &str) -> bool {
    !name.contains(['\\', '\0']) && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Numbers that do not fit 32 bits stand in an extra field, in this order.
fn zip64_sizes(
    extra: &[u8],
    compressed: u32,
    size: u32,
    header: u32,
) -> Result<(u64, u64, u64), PickleError> {
    let mut cursor = Cursor::new(extra, "zip archive's directory");
    let mut wide = Cursor::new(&[], "zip archive's directory");
    while extra.len() - cursor.at() >= 4 {
        let (tag, length) = (cursor.u16()?, cursor.u16()?);
        let field = cursor.take(length.into())?;
        if tag == 1 {
            wide = Cursor::new(field, "zip archive's directory");
            break;
        }
    }
    let mut widened = |number: u32| if number == u32::MAX { wide.u64() } else { Ok(number.into()) };
    let size = widened(size)?;
    let compressed = widened(compressed)?;
    Ok((compressed, size, widened(header)?))
}
