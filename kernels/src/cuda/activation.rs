//! Non-linearities, their derivatives, and products with a gate.

use super::*;

/// A function; the numbers are those of `cuda/activation.cu`.
#[derive(Debug, Clone, Copy)]
pub enum Function {
    /// `max(x, 0)`
    Relu = 0,
    /// `x Φ(x)`
    Gelu = 1,
    /// The same with a hyperbolic tangent.
    GeluNew = 2,
    /// `x σ(x)`
    Swish = 3,
    /// The hyperbolic tangent.
    Tanh = 4,
    /// `σ(x)`
    Sigmoid = 5,
    /// `x`, or `0.01 x` below zero.
    LeakyRelu = 6,
}

fn source(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    kernel(device, "activation", ptx::ACTIVATION, name)
}

/// The function of every element.
pub fn map<T: Number>(device: &CudaDevice, f: Function, x: &CudaView<'_, f32>) -> Result<CudaSlice<T>> {
    let mut y = room::<T>(device, x.len())?;
    let (n, f) = (x.len() as i64, f as i32);
    launch!(device, source(device, &format!("map_{}", T::NAME))?, elements(x.len()), x, &mut y, &n, &f);
    Ok(y)
}

/// `∂y ⊙ f′(x)`
pub fn map_backward(
    device: &CudaDevice,
    f: Function,
    x: &CudaView<'_, f32>,
    gradient: &CudaView<'_, f32>,
) -> Result<CudaSlice<f32>> {
    check("activation", &[gradient.len()], x.len())?;
    let mut dx = room(device, x.len())?;
    let (n, f) = (x.len() as i64, f as i32);
    launch!(device, source(device, "map_backward")?, elements(x.len()), x, gradient, &mut dx, &n, &f);
    Ok(dx)
}

/// `f(gate) ⊙ up`
pub fn gated<T: Number>(
    device: &CudaDevice,
    f: Function,
    gate: &CudaView<'_, f32>,
    up: &CudaView<'_, f32>,
) -> Result<CudaSlice<T>> {
    check("gate", &[up.len()], gate.len())?;
    let mut y = room::<T>(device, gate.len())?;
    let (n, f) = (gate.len() as i64, f as i32);
    launch!(
        device,
        source(device, &format!("gated_{}", T::NAME))?,
        elements(gate.len()),
        gate,
        up,
        &mut y,
        &n,
        &f
    );
    Ok(y)
}

/// The gradients of `gate` and `up` for that of what [`gated`] gives.
pub fn gated_backward(
    device: &CudaDevice,
    f: Function,
    [gate, up]: [&CudaView<'_, f32>; 2],
    gradient: &CudaView<'_, f32>,
) -> Result<[CudaSlice<f32>; 2]> {
    check("gate", &[up.len(), gradient.len()], gate.len())?;
    let (mut of_gate, mut of_up) = (room(device, gate.len())?, room(device, gate.len())?);
    let (n, f) = (gate.len() as i64, f as i32);
    launch!(
        device,
        source(device, "gated_backward")?,
        elements(gate.len()),
        gate,
        up,
        gradient,
        &mut of_gate,
        &mut of_up,
        &n,
        &f
    );
    Ok([of_gate, of_up])
}
