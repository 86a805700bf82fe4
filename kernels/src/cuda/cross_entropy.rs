//! The cross-entropy of rows of scores, and its gradient.

use super::*;

fn source(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    kernel(device, "cross_entropy", ptx::CROSS_ENTROPY, name)
}

/// The losses `[n]` of scores `[n, classes]`; every label is a class.
pub fn cross_entropy(
    device: &CudaDevice,
    classes: usize,
    scores: &CudaView<'_, f32>,
    labels: &CudaView<'_, u32>,
) -> Result<CudaSlice<f32>> {
    let rows = labels.len();
    check("cross-entropy", &[scores.len()], rows * classes)?;
    let mut losses = room(device, rows)?;
    let width = int(classes)?;
    if rows > 0 {
        launch!(
            device,
            source(device, "cross_entropy")?,
            blocks(rows, classes)?,
            scores,
            labels,
            &mut losses,
            &width
        );
    }
    Ok(losses)
}

/// The gradient of the scores for the `losses` that [`cross_entropy`] gives, and their gradient.
pub fn cross_entropy_backward(
    device: &CudaDevice,
    classes: usize,
    scores: &CudaView<'_, f32>,
    labels: &CudaView<'_, u32>,
    [losses, gradient]: [&CudaView<'_, f32>; 2],
) -> Result<CudaSlice<f32>> {
    let rows = labels.len();
    check("cross-entropy", &[scores.len()], rows * classes)?;
    check("cross-entropy", &[losses.len(), gradient.len()], rows)?;
    let mut dx = room(device, scores.len())?;
    let width = int(classes)?;
    if rows > 0 {
        launch!(
            device,
            source(device, "cross_entropy_backward")?,
            blocks(rows, classes)?,
            scores,
            labels,
            losses,
            gradient,
            &mut dx,
            &width
        );
    }
    Ok(dx)
}
