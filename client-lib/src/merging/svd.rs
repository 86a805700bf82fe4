//! Singular value decompositions, and the best update of a given rank.

use faer::linalg::solvers::{Qr, SvdError};

use super::{Factors, Matrix, MergeError};

/// A singular value decomposition, and with it the best update of any rank.
///
/// By Eckart & Young, "The approximation of one matrix by another of lower rank"
/// (1936), the first `r` singular triples of `ΔW` are the closest matrix of rank
/// `r` in the Frobenius norm. They are stored as PEFT stores them: `B = U · diag(σ)`
/// and `A = Vᵀ`.
///
/// Singular vectors are defined up to a common sign of `uᵢ` and `vᵢ`. Here the
/// element of `uᵢ` that is largest in magnitude is positive, so that the factors do
/// not depend on the algorithm. Compare products `B A`, not factors.
///
/// `ΔW = U diag(σ) Vᵀ`, thin: `U [out, k]`, `σ [k]` falling, `Vᵀ [k, in]`, `k = min(out, in)` or less.
#[derive(Debug, Clone)]
pub struct Svd {
    u: Matrix,
    sigma: Vec<f64>,
    vt: Matrix,
}

impl Svd {
    /// Decomposes a dense matrix.
    pub fn of(delta: &Matrix) -> Result<Self, MergeError> {
        delta.check_finite("the matrix to decompose")?;
        let failed = |_: SvdError| MergeError::Svd { rows: delta.rows(), cols: delta.cols() };
        let svd = delta.view().thin_svd().map_err(failed)?;
        let vt = Matrix::from_view(svd.V().transpose());
        let sigma = svd.S().column_vector().iter().copied().collect();
        Ok(Self { u: Matrix::from_view(svd.U()), sigma, vt }.with_fixed_signs())
    }

    /// Decomposes the product `B A` of `B [out, k]` and `A [k, in]` without forming it:
    /// with `B = Q R` and `Aᵀ = P S`, only the small `R Sᵀ [k, k]` is decomposed.
    pub fn of_product(b: &Matrix, a: &Matrix) -> Result<Self, MergeError> {
        // The detour pays off for thin factors only.
        if b.cols() >= b.rows().min(a.cols()) {
            return Self::of(&b.times(a)?);
        }
        b.check_finite("`B`")?;
        a.check_finite("`A`")?;
        if b.cols() != a.rows() {
            return Err(MergeError::Factors { a: a.rows(), b: b.cols() });
        }
        let left = Qr::new(b.view());
        let right = Qr::new(a.view().transpose());
        let core = Matrix::from_view((left.thin_R() * right.thin_R().transpose()).as_ref());
        let core = Self::of(&core)?;
        let u = Matrix::from_view(left.compute_thin_Q().as_ref()).times(&core.u)?;
        let q = right.compute_thin_Q();
        let vt = core.vt.times(&Matrix::from_view(q.as_ref().transpose()))?;
        Ok(Self { u, sigma: core.sigma, vt }.with_fixed_signs())
    }

    /// The singular values, largest first.
    pub fn singular_values(&self) -> &[f64] {
        &self.sigma
    }

    /// The best update of this rank, with a scaling of one. A rank beyond the number
    /// of singular values is filled up with zeros.
    pub fn truncated(&self, rank: usize) -> Factors {
        let kept = rank.min(self.sigma.len());
        let b = Matrix::from_fn(self.u.rows(), rank, |i, j| {
            if j < kept { self.u.data()[i * self.u.cols() + j] * self.sigma[j] } else { 0.0 }
        });
        let a = Matrix::from_fn(rank, self.vt.cols(), |i, j| {
            if i < kept { self.vt.data()[i * self.vt.cols() + j] } else { 0.0 }
        });
        Factors::from_parts(a, b)
    }

    fn with_fixed_signs(self) -> Self {
        let (rows, k) = (self.u.rows(), self.sigma.len());
        let u = self.u.data();
        let signs: Vec<f64> = (0..k)
            .map(|j| {
                let column = (0..rows).map(|i| u[i * k + j]);
                let largest = column.fold(0.0_f64, |best, v| if v.abs() > best.abs() { v } else { best });
                if largest < 0.0 { -1.0 } else { 1.0 }
            })
            .collect();
        let cols = self.vt.cols();
        Self {
            u: Matrix::from_fn(rows, k, |i, j| u[i * k + j] * signs[j]),
            vt: Matrix::from_fn(k, cols, |i, j| self.vt.data()[i * cols + j] * signs[i]),
            sigma: self.sigma,
        }
    }
}
