//! Matrix products on slices: bounds checked here, computed by the `gemm` crate.

use gemm::Parallelism;

use super::element::Element;

/// A read-only matrix in a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `rows × cols`, rows `row_stride` apart, columns adjacent.
    pub(super) fn new(data: &'a [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose, without moving anything.
    pub(super) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            data: self.data,
        }
    }

    /// Slice length that the last element needs.
    fn extent(&self) -> usize {
        if self.rows == 0 || self.cols == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride + 1
    }
}

/// A matrix to write, rows `row_stride` apart, columns adjacent: perhaps some columns of a wider one.
pub(super) struct Window<'a, T> {
    data: &'a mut [T],
    row_stride: usize,
}

impl<'a, T> Window<'a, T> {
    /// From the first number on.
    pub(super) fn new(data: &'a mut [T], row_stride: usize) -> Self {
        Self { data, row_stride }
    }
}

/// Who shares the work.
#[derive(Clone, Copy)]
pub(super) enum Threads {
    /// Only the calling thread: the caller is already one of many.
    One,
    /// The whole pool.
    All,
}

/// `out = scale · a · b`, or `out += scale · a · b` when `accumulate`; `out` is
/// `a.rows × b.cols`, rows adjacent.
pub(super) fn multiply<T: Element>(
    out: &mut [T],
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    scale: T,
    accumulate: bool,
    threads: Threads,
) {
    assert_eq!(out.len(), a.rows * b.cols, "size of the product");
    multiply_into(Window::new(out, b.cols), a, b, scale, accumulate, threads);
}

/// The same into a window.
pub(super) fn multiply_into<T: Element>(
    out: Window<'_, T>,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    scale: T,
    accumulate: bool,
    threads: Threads,
) {
    let Window { data: out, row_stride } = out;
    assert_eq!(a.cols, b.rows, "inner dimensions");
    assert!(a.extent() <= a.data.len() && b.extent() <= b.data.len(), "operands lie inside their slices");
    if a.rows == 0 || b.cols == 0 {
        return;
    }
    assert!(b.cols <= row_stride, "rows of the product do not overlap");
    assert!((a.rows - 1) * row_stride + b.cols <= out.len(), "the product lies inside its slice");
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(0),
    };
    let alpha = if accumulate { T::one() } else { T::zero() };
    #[expect(unsafe_code, reason = "`gemm` takes raw pointers; the assertions above bound every access")]
    // SAFETY: all three matrices lie inside their slices (asserted), `out` is exclusively
    // borrowed and so overlaps neither operand, and every stride fits isize.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            out.as_mut_ptr(),
            1,
            row_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            alpha,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// The sum of all rows of `width` numbers.
pub(super) fn column_sums<T: Element>(data: &[T], width: usize) -> Vec<T> {
    let (rows, mut sums) = (data.len() / width.max(1), vec![T::zero(); width]);
    let ones = vec![T::one(); rows];
    let (each, all) = (Matrix::new(&ones, 1, rows, rows), Matrix::new(data, rows, width, width));
    multiply(&mut sums, each, all, T::one(), false, Threads::All);
    sums
}
