//! Weights that are read where they lie in a file: nothing is copied, and what nobody reads takes no memory.
#![expect(unsafe_code, reason = "a file can be changed while it is mapped")]

use std::{fs::File, io, ops::Range};

use memmap2::Mmap;

/// A file in memory, for reading.
pub struct Mapped(Mmap);

impl std::fmt::Debug for Mapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} mapped bytes", self.0.len())
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Mapped {
    /// Maps a whole file. While it is in use nobody may cut it off or write into it: programs that bring a newer file
    /// under its name put it in its place, and the old one stays as it was.
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is private and only ever read, as bytes and as numbers of which every pattern is one. Another
        // process that writes into the file is what every program that maps weights has to rule out by agreement.
        unsafe { Mmap::map(file) }.map(Self)
    }

    /// The single-precision numbers in these bytes of the file; `None` where there are no such bytes, or they do not lie
    /// as this machine keeps numbers.
    pub fn singles(&self, bytes: Range<u64>) -> Option<&[f32]> {
        let range = usize::try_from(bytes.start).ok()?..usize::try_from(bytes.end).ok()?;
        let bytes = self.0.get(range).filter(|_| cfg!(target_endian = "little"))?;
        bytemuck::try_cast_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn numbers_lie_where_the_file_has_them() {
        let mut file = tempfile::tempfile().expect("a file");
        let numbers = [1.5_f32, -2.0, f32::NAN, 0.0];
        file.write_all(&numbers.map(f32::to_le_bytes).concat()).expect("writes");
        let mapped = Mapped::new(&file).expect("maps");
        assert_eq!(mapped.singles(0..8), Some(&numbers[..2]));
        assert!(mapped.singles(8..12).is_some_and(|numbers| numbers[0].is_nan()));
        for wrong in [0..6, 2..6, 12..20, u64::MAX - 3..u64::MAX] {
            assert_eq!(mapped.singles(wrong.clone()), None, "{wrong:?}");
        }
    }
}
