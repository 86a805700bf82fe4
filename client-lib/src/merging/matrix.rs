//! A dense matrix in double precision: what merging computes with.

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};

use super::MergeError;

/// `rows x cols` numbers in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
}

impl Matrix {
    /// From `rows * cols` elements in row-major order.
    pub fn new(rows: usize, cols: usize, data: Vec<f64>) -> Result<Self, MergeError> {
        if rows.checked_mul(cols) == Some(data.len()) {
            Ok(Self { rows, cols, data })
        } else {
            Err(MergeError::Elements { rows, cols, found: data.len() })
        }
    }

    /// All elements zero.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self { rows, cols, data: vec![0.0; rows * cols] }
    }

    /// The element at `(i, j)` is `f(i, j)`.
    pub fn from_fn(rows: usize, cols: usize, mut f: impl FnMut(usize, usize) -> f64) -> Self {
        let mut data = Vec::with_capacity(rows * cols);
        for i in 0..rows {
            data.extend((0..cols).map(|j| f(i, j)));
        }
        Self { rows, cols, data }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// `[rows, cols]`.
    pub fn shape(&self) -> Vec<usize> {
        vec![self.rows, self.cols]
    }

    /// The elements, row-major.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// Gives up the elements, row-major.
    pub fn into_data(self) -> Vec<f64> {
        self.data
    }

    /// `self · right`: `[m, k] · [k, n] -> [m, n]`.
    pub fn times(&self, right: &Self) -> Result<Self, MergeError> {
        if self.cols != right.rows {
            return Err(MergeError::Shape {
                what: "a matrix product".to_owned(),
                expected: self.shape(),
                found: right.shape(),
            });
        }
        let mut out = Self::zeros(self.rows, right.cols);
        let target = MatMut::from_row_major_slice_mut(&mut out.data, self.rows, right.cols);
        // One thread: layers are what is shared out.
        matmul(target, Accum::Replace, self.view(), right.view(), 1.0, Par::Seq);
        Ok(out)
    }

    /// Every element times `factor`.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        for value in &mut self.data {
            *value *= factor;
        }
        self
    }

    /// `self + factor · other`, both of one shape.
    pub fn plus(mut self, other: &Self, factor: f64) -> Result<Self, MergeError> {
        if self.shape() != other.shape() {
            return Err(MergeError::Shape {
                what: "a sum of matrices".to_owned(),
                expected: self.shape(),
                found: other.shape(),
            });
        }
        for (value, add) in self.data.iter_mut().zip(&other.data) {
            *value += factor * add;
        }
        Ok(self)
    }

    /// The Frobenius norm: the root of the sum of squares.
    pub fn norm(&self) -> f64 {
        self.data.iter().fold(0.0, |sum, v| sum + v * v).sqrt()
    }

    /// Rows become columns: `[cols, rows]`.
    #[must_use]
    pub fn transposed(&self) -> Self {
        Self::from_fn(self.cols, self.rows, |i, j| self.data[j * self.cols + i])
    }

    /// As the linear algebra library sees it.
    pub(super) fn view(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(&self.data, self.rows, self.cols)
    }

    /// From the linear algebra library.
    pub(super) fn from_view(view: MatRef<'_, f64>) -> Self {
        Self::from_fn(view.nrows(), view.ncols(), |i, j| view[(i, j)])
    }

    /// Refuses infinities and what is not a number: a decomposition would not end well.
    pub(super) fn check_finite(&self, what: &str) -> Result<(), MergeError> {
        match self.data.iter().position(|v| !v.is_finite()) {
            None => Ok(()),
            Some(index) => {
                Err(MergeError::NotFinite { what: what.to_owned(), index, value: self.data[index] })
            }
        }
    }
}
