//! Sums, element by element.

use super::*;

/// `a + b`
pub fn sum(device: &CudaDevice, a: &CudaView<'_, f32>, b: &CudaView<'_, f32>) -> Result<CudaSlice<f32>> {
    check("sum", &[b.len()], a.len())?;
    let mut y = room(device, a.len())?;
    let n = a.len() as i64;
    launch!(device, kernel(device, "sum", ptx::SUM, "sum")?, elements(a.len().div_ceil(4)), a, b, &mut y, &n);
    Ok(y)
}
