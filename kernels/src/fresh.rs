//! Vectors that are filled where they lie, on all threads.
//!
//! A vector of zeros is written twice, and by one thread the first time: of a training step in bf16 that was a twelfth.
#![expect(unsafe_code, reason = "memory that holds nothing yet")]

use std::{mem::MaybeUninit, ops::Range};

use rayon::prelude::*;

/// A part of a new vector, in which nothing can be read yet.
#[derive(Debug)]
pub struct Blank<'a, T>(&'a mut [MaybeUninit<T>]);

/// A part that was filled. Only a [`Blank`] becomes one.
#[derive(Debug)]
pub struct Filled<'a, T>(&'a mut [T]);

impl<'a, T: Copy> Blank<'a, T> {
    /// Numbers in it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fills it with as many values.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline(always)]
    pub fn fill(self, values: impl Iterator<Item = T>) -> Filled<'a, T> {
        let mut count = 0;
        for (to, value) in self.0.iter_mut().zip(values) {
            to.write(value);
            count += 1;
        }
        assert_eq!(count, self.0.len(), "values for a part of a vector");
        // SAFETY: every element was written, as their count says.
        unsafe { self.filled() }
    }

    /// Fills it with a copy.
    ///
    /// # Panics
    /// If `from` is of another length.
    pub fn copy(self, from: &[T]) -> Filled<'a, T> {
        Filled(self.0.write_copy_of_slice(from))
    }

    /// What is to be written.
    pub fn cells(&mut self) -> &mut [MaybeUninit<T>] {
        self.0
    }

    /// The proof of whoever wrote cells.
    ///
    /// # Safety
    /// Every element must have been written.
    pub unsafe fn filled(self) -> Filled<'a, T> {
        // SAFETY: the caller wrote every element.
        Filled(unsafe { self.0.assume_init_mut() })
    }
}

impl<'a, T> Filled<'a, T> {
    /// What stands there now.
    pub fn numbers(self) -> &'a mut [T] {
        self.0
    }

    /// The same after a change.
    #[must_use]
    pub fn then(self, change: impl FnOnce(&mut [T])) -> Self {
        change(self.0);
        self
    }
}

/// `N` matrices of `rows` rows with so many columns each. `fill` gets the numbers of some rows, at most `block`, and
/// their parts of all matrices.
///
/// # Panics
/// If `fill` gives back other parts than it got.
pub fn matrices<T: Copy + Send, const N: usize>(
    rows: usize,
    block: usize,
    columns: [usize; N],
    fill: impl for<'a> Fn(Range<usize>, [Blank<'a, T>; N]) -> [Filled<'a, T>; N] + Sync,
) -> [Vec<T>; N] {
    let block = block.max(1);
    let mut all = columns.map(|columns| Vec::with_capacity(rows * columns));
    {
        let mut left: Vec<&mut [MaybeUninit<T>]> = all
            .iter_mut()
            .zip(columns)
            .map(|(own, columns)| &mut own.spare_capacity_mut()[..rows * columns])
            .collect();
        let mut parts = Vec::with_capacity(rows.div_ceil(block));
        for start in (0..rows).step_by(block) {
            let end = rows.min(start + block);
            let own: [Blank<'_, T>; N] = std::array::from_fn(|i| {
                let (part, rest) = std::mem::take(&mut left[i]).split_at_mut((end - start) * columns[i]);
                left[i] = rest;
                Blank(part)
            });
            parts.push((start..end, own));
        }
        parts.into_par_iter().for_each(|(rows, own)| {
            let places = std::array::from_fn::<_, N, _>(|i| (own[i].0.as_ptr().cast::<T>(), own[i].0.len()));
            let filled = fill(rows, own);
            let found = filled.map(|part| (part.0.as_ptr(), part.0.len()));
            assert_eq!(found, places, "the parts that were to be filled");
        });
    }
    for (own, columns) in all.iter_mut().zip(columns) {
        // SAFETY: the capacity was asked for above, and every part of it has been given back as filled.
        unsafe { own.set_len(rows * columns) };
    }
    all
}

/// A vector of `length` numbers that this thread fills.
///
/// # Panics
/// If `fill` gives back another part than it got.
pub fn alone<T: Copy>(length: usize, fill: impl for<'a> FnOnce(Blank<'a, T>) -> Filled<'a, T>) -> Vec<T> {
    let mut all = Vec::with_capacity(length);
    let blank = &mut all.spare_capacity_mut()[..length];
    let place = blank.as_ptr().cast::<T>();
    let filled = fill(Blank(blank)).0;
    assert_eq!((filled.as_ptr(), filled.len()), (place, length), "the part that was to be filled");
    // SAFETY: the capacity was asked for above, and all of it has been given back as filled.
    unsafe { all.set_len(length) };
    all
}

/// A vector of `length` numbers, `part` of them filled at a time; `fill` gets which.
///
/// # Panics
/// If `fill` gives back another part than it got.
pub fn vector<T: Copy + Send>(
    length: usize,
    part: usize,
    fill: impl for<'a> Fn(Range<usize>, Blank<'a, T>) -> Filled<'a, T> + Sync,
) -> Vec<T> {
    let [all] = matrices(length, part, [1], |numbers, [blank]| [fill(numbers, blank)]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_where_it_belongs() {
        for (rows, block) in [(0, 4), (1, 4), (10, 3), (10, 10), (7, 100), (5, 0)] {
            let [wide, none, narrow] = matrices(rows, block, [3, 0, 1], |rows, [wide, none, narrow]| {
                let first = rows.start * 3;
                [wide.fill(first..), none.copy(&[]), narrow.fill(rows)]
            });
            assert_eq!(wide, (0..rows * 3).collect::<Vec<_>>(), "{rows} by {block}");
            assert!(none.is_empty());
            assert_eq!(narrow, (0..rows).collect::<Vec<_>>(), "{rows} by {block}");
        }
    }

    #[test]
    #[should_panic(expected = "values for a part")]
    fn too_few_values_are_no_part() {
        vector(8, 4, |_, blank: Blank<'_, u8>| blank.fill([1, 2, 3].into_iter()));
    }

    #[test]
    fn what_was_filled_can_be_changed() {
        let doubled = vector(5, 2, |numbers, blank: Blank<'_, usize>| {
            blank.fill(numbers).then(|numbers| numbers.iter_mut().for_each(|n| *n *= 2))
        });
        assert_eq!(doubled, [0, 2, 4, 6, 8]);
    }
}
