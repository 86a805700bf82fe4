//! Matrix products on slices: bounds checked here, computed by the `gemm` crate.

use gemm::Parallelism;
use hub_kernels::fresh;

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

/// `a · b` in a vector of its own, `a.rows × b.cols`.
pub(super) fn product<T: Element>(a: Matrix<'_, T>, b: Matrix<'_, T>, threads: Threads) -> Vec<T> {
    fresh::alone(a.rows * b.cols, |mut out| {
        let place = Place { first: out.cells().as_mut_ptr().cast(), length: out.len(), row_stride: b.cols };
        if a.cols == 0 {
            return out.fill(std::iter::repeat(T::zero()));
        }
        #[expect(unsafe_code, reason = "`gemm` writes through a pointer")]
        // SAFETY: the cells are borrowed exclusively and as many as the product has numbers, all of which it writes
        // without reading them.
        unsafe {
            write(place, a, b, T::one(), false, threads);
            out.filled()
        }
    })
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
    let Window { data, row_stride } = out;
    let place = Place { first: data.as_mut_ptr(), length: data.len(), row_stride };
    #[expect(unsafe_code, reason = "`gemm` writes through a pointer")]
    // SAFETY: the window is borrowed exclusively and all of its numbers can be read.
    unsafe {
        write(place, a, b, scale, accumulate, threads);
    }
}

/// Where a product goes.
#[derive(Clone, Copy)]
struct Place<T> {
    first: *mut T,
    length: usize,
    row_stride: usize,
}

/// `scale · a · b`, or that much more when `accumulate`.
///
/// # Safety
/// The place must be writable, and overlap neither operand; where it is accumulated to, it must hold numbers.
#[expect(unsafe_code, reason = "`gemm` takes raw pointers")]
unsafe fn write<T: Element>(
    out: Place<T>,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    scale: T,
    accumulate: bool,
    threads: Threads,
) {
    assert_eq!(a.cols, b.rows, "inner dimensions");
    assert!(a.extent() <= a.data.len() && b.extent() <= b.data.len(), "operands lie inside their slices");
    if a.rows == 0 || b.cols == 0 {
        return;
    }
    assert!(b.cols <= out.row_stride, "rows of the product do not overlap");
    assert!((a.rows - 1) * out.row_stride + b.cols <= out.length, "the product lies inside its slice");
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(0),
    };
    let alpha = if accumulate { T::one() } else { T::zero() };
    // SAFETY: all three matrices lie inside their slices (asserted), the caller says that `out` can be written and
    // overlaps neither operand, and every stride fits isize.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            out.first,
            1,
            out.row_stride as isize,
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
    let rows = data.len() / width.max(1);
    let ones = vec![T::one(); rows];
    product(Matrix::new(&ones, 1, rows, rows), Matrix::new(data, rows, width, width), Threads::All)
}
