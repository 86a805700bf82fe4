//! Norms of rows, and the gradient of what they are given.

use super::*;

/// The sizes of a norm.
#[derive(Debug, Clone, Copy)]
pub struct NormSizes {
    /// Elements of a row.
    pub width: usize,
    /// What is added to the variance.
    pub eps: f64,
    /// Whether the mean is taken away: not in an RMS norm.
    pub centred: bool,
}

/// `(x + residual − μ) / √(σ² + ε) ⊙ γ + β` of every row.
pub fn norm(
    device: &CudaDevice,
    sizes: NormSizes,
    x: &CudaView<'_, f32>,
    residual: Option<&CudaView<'_, f32>>,
    [gamma, beta]: [&CudaView<'_, f32>; 2],
) -> Result<CudaSlice<f32>> {
    let rows = rows(sizes, x, residual, &[gamma.len(), beta.len()])?;
    let mut y = room(device, x.len())?;
    let (width, eps, centred) = (int(sizes.width)?, sizes.eps as f32, i32::from(sizes.centred));
    let has_residual = i32::from(residual.is_some());
    launch!(
        device,
        kernel(device, "norm", ptx::NORM, "norm_forward")?,
        blocks(rows, sizes.width)?,
        x,
        residual.unwrap_or(x),
        &has_residual,
        gamma,
        beta,
        &mut y,
        &width,
        &eps,
        &centred,
    );
    Ok(y)
}

/// The gradient of `x`, which is the residual's too, for the gradient of what [`norm`] gives.
pub fn norm_backward(
    device: &CudaDevice,
    sizes: NormSizes,
    x: &CudaView<'_, f32>,
    residual: Option<&CudaView<'_, f32>>,
    gamma: &CudaView<'_, f32>,
    gradient: &CudaView<'_, f32>,
) -> Result<CudaSlice<f32>> {
    let rows = rows(sizes, x, residual, &[gamma.len()])?;
    check("norm", &[gradient.len()], x.len())?;
    let mut dx = room(device, x.len())?;
    let (width, eps, centred) = (int(sizes.width)?, sizes.eps as f32, i32::from(sizes.centred));
    let has_residual = i32::from(residual.is_some());
    launch!(
        device,
        kernel(device, "norm", ptx::NORM, "norm_backward")?,
        blocks(rows, sizes.width)?,
        x,
        residual.unwrap_or(x),
        &has_residual,
        gamma,
        gradient,
        &mut dx,
        &width,
        &eps,
        &centred,
    );
    Ok(dx)
}

/// `∂y ⊙ (x − μ) / √(σ² + ε)` of every row: what the gain's gradient is the sum of.
pub fn norm_products(
    device: &CudaDevice,
    sizes: NormSizes,
    x: &CudaView<'_, f32>,
    gradient: &CudaView<'_, f32>,
) -> Result<CudaSlice<f32>> {
    let rows = rows(sizes, x, None, &[])?;
    check("norm", &[gradient.len()], x.len())?;
    let mut y = room(device, x.len())?;
    let (width, eps, centred) = (int(sizes.width)?, sizes.eps as f32, i32::from(sizes.centred));
    let kernel = kernel(device, "norm", ptx::NORM, "norm_products")?;
    launch!(device, kernel, blocks(rows, sizes.width)?, x, gradient, &mut y, &width, &eps, &centred);
    Ok(y)
}

/// How many rows there are.
fn rows(
    sizes: NormSizes,
    x: &CudaView<'_, f32>,
    residual: Option<&CudaView<'_, f32>>,
    affine: &[usize],
) -> Result<usize> {
    check("norm", affine, sizes.width)?;
    check("norm", &[residual.map_or(x.len(), CudaView::len)], x.len())?;
    let rows = x.len() / sizes.width.max(1);
    check("norm", &[x.len()], rows * sizes.width)?;
    Ok(rows)
}
