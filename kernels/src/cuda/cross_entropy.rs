//! The cross-entropy of rows of scores, and its gradient.

use super::*;

fn source(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    kernel(device, "cross_entropy", ptx::CROSS_ENTROPY, name)
}

/// Labels on the GPU, each of them a class.
#[derive(Debug)]
pub struct Labels(CudaSlice<u32>, usize);

impl Labels {
    /// Refuses what is no class: a kernel would read outside a row.
    pub fn new(device: &CudaDevice, labels: &[u32], classes: usize) -> Result<Self> {
        if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
            candle_core::bail!("cross-entropy: {label} is none of {classes} classes");
        }
        Ok(Self(device.cuda_stream().clone_htod(labels).w()?, classes))
    }
}

/// The losses `[n]` of scores `[n, classes]`.
pub fn cross_entropy(
    device: &CudaDevice,
    scores: &CudaView<'_, f32>,
    Labels(labels, classes): &Labels,
) -> Result<CudaSlice<f32>> {
    let (rows, classes) = (labels.len(), *classes);
    check("cross-entropy", &[scores.len()], rows * classes)?;
    let mut losses = room(device, rows)?;
    let width = int(classes)?;
    launch!(
        device,
        source(device, "cross_entropy")?,
        blocks(rows, classes)?,
        scores,
        labels,
        &mut losses,
        &width
    );
    Ok(losses)
}

/// The gradient of the scores for the `losses` that [`cross_entropy`] gives, and their gradient.
pub fn cross_entropy_backward(
    device: &CudaDevice,
    scores: &CudaView<'_, f32>,
    Labels(labels, classes): &Labels,
    [losses, gradient]: [&CudaView<'_, f32>; 2],
) -> Result<CudaSlice<f32>> {
    let (rows, classes) = (labels.len(), *classes);
    check("cross-entropy", &[scores.len()], rows * classes)?;
    check("cross-entropy", &[losses.len(), gradient.len()], rows)?;
    let mut dx = room(device, scores.len())?;
    let width = int(classes)?;
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
    Ok(dx)
}
