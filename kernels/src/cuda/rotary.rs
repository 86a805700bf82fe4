//! Rotary positions.

use super::*;

/// How heads are turned.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// Heads of a row.
    pub heads: usize,
    /// Pairs of components of a head.
    pub half: usize,
    /// Positions that there are angles for; row `r` stands at `r mod positions`.
    pub positions: usize,
    /// Whether everything is turned back.
    pub back: bool,
}

/// Every head of every row turned by the angles of its position: `cos` and `sin` are `[positions, half]`.
pub fn rotate(
    device: &CudaDevice,
    by: Rotation,
    x: &CudaView<'_, f32>,
    [cos, sin]: [&CudaView<'_, f32>; 2],
) -> Result<CudaSlice<f32>> {
    let width = by.heads * by.half * 2;
    check("rotary", &[cos.len(), sin.len()], by.positions * by.half)?;
    check("rotary", &[x.len()], x.len() / (width * by.positions).max(1) * width * by.positions)?;
    let mut y = room(device, x.len())?;
    int(width)?;
    let direction = if by.back { -1.0_f32 } else { 1.0 };
    let (heads, half, positions) = (int(by.heads)?, int(by.half)?, int(by.positions)?);
    launch!(
        device,
        kernel(device, "rotary", ptx::ROTARY, "rotary")?,
        blocks(x.len() / width, width / 2)?,
        x,
        cos,
        sin,
        &mut y,
        &heads,
        &half,
        &positions,
        &direction
    );
    Ok(y)
}
