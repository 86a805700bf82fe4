//! Dropout whose mask is a pure function of its place.

use super::*;

/// What a mask is a function of, besides the place of an element.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    /// The run.
    pub seed: u64,
    /// The optimiser step.
    pub step: u64,
    /// The place in the model.
    pub site: u64,
}

/// Each element zero with probability `p`, or multiplied by `1 / (1 − p)`.
pub fn dropout(device: &CudaDevice, p: f64, at: Site, x: &CudaView<'_, f32>) -> Result<CudaSlice<f32>> {
    let mut y = room(device, x.len())?;
    let (n, threshold, keep) = (x.len() as i64, (p * f64::from(u32::MAX)) as u32, (1.0 / (1.0 - p)) as f32);
    let (step, site) = (at.step as u32, at.site);
    let quarters = x.len().div_ceil(4);
    launch!(
        device,
        kernel(device, "dropout", ptx::DROPOUT, "dropout")?,
        elements(quarters),
        x,
        &mut y,
        &n,
        &threshold,
        &keep,
        &at.seed,
        &step,
        &site
    );
    Ok(y)
}
