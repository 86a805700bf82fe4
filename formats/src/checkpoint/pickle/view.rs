//! Tensors whose elements do not lie in the order of their indices: transposes and slices.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

/// Where the elements of such a tensor lie. All numbers were checked against the file.
#[derive(Debug)]
pub(in crate::checkpoint) struct View {
    /// Place of the first element in the file.
    pub(super) start: u64,
    /// Bytes from there to the end of the last element.
    pub(super) spanned: usize,
    /// Elements between neighbours, for each dimension.
    pub(super) strides: Vec<usize>,
    /// Bytes of one element.
    pub(super) element: usize,
}

impl View {
    /// The elements in row-major order.
    pub(in crate::checkpoint) fn gather(&self, file: &mut File, shape: &[usize]) -> io::Result<Vec<u8>> {
        let mut spanned = vec![0; self.spanned];
        file.seek(SeekFrom::Start(self.start))?;
        file.read_exact(&mut spanned)?;
        let mut gathered = Vec::with_capacity(self.element * shape.iter().product::<usize>());
        self.append(&spanned, shape, &self.strides, &mut gathered);
        Ok(gathered)
    }

    /// Appends the elements of the part of the tensor that starts with `from`.
    fn append(&self, from: &[u8], shape: &[usize], strides: &[usize], gathered: &mut Vec<u8>) {
        let (Some((length, shape)), Some((stride, strides))) = (shape.split_first(), strides.split_first())
        else {
            gathered.extend_from_slice(from.get(..self.element).unwrap_or_default());
            return;
        };
        for index in 0..*length {
            let rest = from.get(index * stride * self.element..).unwrap_or_default();
            self.append(rest, shape, strides, gathered);
        }
    }
}
