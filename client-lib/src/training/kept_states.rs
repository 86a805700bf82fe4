//! Hidden states of a data set, kept between epochs: the first part in memory, the rest in a file.
//!
//! The file has no name in its folder, so that nothing is left of it when the process ends, however it ends.
//! Reading it again is mostly reading the operating system's cache of it.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    ops::Range,
    path::Path,
};

/// Bytes that are kept in memory.
const IN_MEMORY: u64 = 256 << 20;

/// Size of one number.
const NUMBER: u64 = size_of::<f32>() as u64;

/// A state `[t, h]` in single precision for every row of a data set, without padding.
#[derive(Debug)]
pub(super) struct KeptStates {
    width: usize,
    /// Where the state of every row begins, and last where all end; in numbers.
    bounds: Vec<u64>,
    /// The first numbers: whole rows.
    memory: Vec<f32>,
    /// The other numbers.
    file: Option<File>,
}

impl KeptStates {
    /// How many bytes the states of rows of so many tokens take.
    pub(super) fn bytes(lengths: &[usize], width: usize) -> u64 {
        lengths.iter().map(|&length| length as u64).sum::<u64>() * width as u64 * NUMBER
    }

    /// Room for the states of rows of so many tokens, what does not fit into memory on the disk of `folder`.
    pub(super) fn reserve(lengths: &[usize], width: usize, folder: &Path) -> io::Result<Self> {
        Self::within(lengths, width, folder, IN_MEMORY)
    }

    fn within(lengths: &[usize], width: usize, folder: &Path, in_memory: u64) -> io::Result<Self> {
        let mut bounds = vec![0];
        let mut end = 0;
        for &length in lengths {
            end += (length * width) as u64;
            bounds.push(end);
        }
        let fits = |&&bound: &&u64| bound * NUMBER <= in_memory;
        let memory = bounds.iter().take_while(fits).last().map_or(0, |&bound| bound as usize);
        let file = (end > memory as u64).then(|| tempfile::tempfile_in(folder)).transpose()?;
        Ok(Self { width, bounds, memory: vec![0.0; memory], file })
    }

    /// Keeps the state of a row, row-major.
    pub(super) fn put(&mut self, row: usize, state: &[f32]) -> io::Result<()> {
        let Range { start, end } = self.place(row)?;
        if state.len() as u64 != end - start {
            return Err(wrong_size(state.len(), end - start));
        }
        if let Some(place) = self.memory.get_mut(start as usize..end as usize) {
            place.copy_from_slice(state);
            return Ok(());
        }
        let bytes: Vec<u8> = state.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut file = self.seek(start)?;
        file.write_all(&bytes)
    }

    /// The states of some rows, one below the other, each with zeros behind it up to the longest: `[rows, t, h]`,
    /// and `t`.
    pub(super) fn batch(&self, rows: &[usize]) -> io::Result<(Vec<f32>, usize)> {
        let places = rows.iter().map(|&row| self.place(row)).collect::<io::Result<Vec<_>>>()?;
        let longest = places.iter().map(|place| (place.end - place.start) as usize).max().unwrap_or(0);
        let mut all = vec![0.0; rows.len() * longest];
        let mut bytes = Vec::new();
        for (state, Range { start, end }) in all.chunks_mut(longest.max(1)).zip(places) {
            let state = &mut state[..(end - start) as usize];
            if let Some(kept) = self.memory.get(start as usize..end as usize) {
                state.copy_from_slice(kept);
                continue;
            }
            bytes.resize(size_of_val(state), 0);
            self.seek(start)?.read_exact(&mut bytes)?;
            let numbers = bytes.chunks_exact(NUMBER as usize).filter_map(|four| four.try_into().ok());
            state.iter_mut().zip(numbers.map(f32::from_le_bytes)).for_each(|(to, from)| *to = from);
        }
        Ok((all, longest / self.width.max(1)))
    }

    fn place(&self, row: usize) -> io::Result<Range<u64>> {
        match self.bounds.get(row..row + 2) {
            Some(&[start, end]) => Ok(start..end),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("there is no row {row}"))),
        }
    }

    fn seek(&self, start: u64) -> io::Result<&File> {
        let Some(mut file) = self.file.as_ref() else { return Err(wrong_size(self.memory.len(), start)) };
        file.seek(SeekFrom::Start((start - self.memory.len() as u64) * NUMBER))?;
        Ok(file)
    }
}

fn wrong_size(found: usize, expected: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{found} numbers where {expected} belong"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_file_give_back_what_was_put_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let lengths = [3, 1, 4, 2, 5];
        let state = |row: usize| (0..lengths[row] * 2).map(|i| (100 * row + i) as f32).collect::<Vec<_>>();
        for in_memory in [0, 33, 1 << 20] {
            let mut kept = KeptStates::within(&lengths, 2, folder.path(), in_memory).expect("room");
            for row in [4, 0, 2, 3, 1] {
                kept.put(row, &state(row)).expect("it fits");
            }
            let (batch, tokens) = kept.batch(&[2, 1, 0]).expect("rows");
            assert_eq!(tokens, 4);
            let padded = |row| [state(row), vec![0.0; 8 - lengths[row] * 2]].concat();
            assert_eq!(batch, [padded(2), padded(1), padded(0)].concat(), "{in_memory} bytes in memory");
            assert_eq!(kept.batch(&[4]).expect("a row").0, state(4));
        }
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_state_of_another_size_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut kept = KeptStates::within(&[3], 2, folder.path(), 0).expect("room");
        assert!(kept.put(0, &[0.0; 5]).is_err());
        assert!(kept.put(1, &[0.0; 6]).is_err());
        assert_eq!(KeptStates::bytes(&[3, 1], 2), 32);
    }
}
