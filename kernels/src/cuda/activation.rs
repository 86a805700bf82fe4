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

/// What a function is applied to: rows, and what is still to be added to each of them.
#[derive(Debug, Clone, Copy)]
pub struct Inner<'a, T> {
    /// The rows, one after the other.
    pub rows: &'a CudaView<'a, T>,
    /// As wide as a row.
    pub bias: Option<&'a CudaView<'a, f32>>,
}

impl<'a, T> Inner<'a, T> {
    /// Rows that lack nothing.
    pub const fn whole(rows: &'a CudaView<'a, T>) -> Self {
        Self { rows, bias: None }
    }

    /// How wide a row is, where that matters.
    fn width(&self) -> Result<Option<i32>> {
        let Some(bias) = self.bias else { return Ok(None) };
        if bias.is_empty() || !self.rows.len().is_multiple_of(bias.len()) {
            candle_core::bail!("activation: a bias of {} for {} numbers", bias.len(), self.rows.len());
        }
        int(bias.len()).map(Some)
    }
}

/// A width where none matters: so that four numbers are read at once.
const ANY: i32 = 4;

/// How wide the rows of both are.
fn width_of_both<T>([a, b]: &[Inner<'_, T>; 2]) -> Result<i32> {
    check("gate", &[b.rows.len()], a.rows.len())?;
    match (a.width()?, b.width()?) {
        (Some(a), Some(b)) if a != b => candle_core::bail!("gate: biases of {a} and of {b}"),
        (a, b) => Ok(a.or(b).unwrap_or(ANY)),
    }
}

fn source(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    kernel(device, "activation", ptx::ACTIVATION, name)
}

/// A launch of a thread for four elements.
fn fours(n: usize) -> LaunchConfig {
    elements(n.div_ceil(4))
}

/// The function of every element.
pub fn map<I: Number, T: Number>(device: &CudaDevice, f: Function, x: Inner<'_, I>) -> Result<CudaSlice<T>> {
    let mut y = room::<T>(device, x.rows.len())?;
    let (n, f, width) = (x.rows.len() as i64, f as i32, x.width()?.unwrap_or(ANY));
    let kernel = source(device, &format!("map_{}_{}", I::NAME, T::NAME))?;
    let bias = address(device, x.bias);
    launch!(device, kernel, fours(x.rows.len()), x.rows, &bias, &width, &mut y, &n, &f);
    Ok(y)
}

/// `∂y ⊙ f′(x)`
pub fn map_backward<T: Number>(
    device: &CudaDevice,
    f: Function,
    x: Inner<'_, T>,
    gradient: &CudaView<'_, T>,
) -> Result<CudaSlice<T>> {
    check("activation", &[gradient.len()], x.rows.len())?;
    let mut dx = room::<T>(device, x.rows.len())?;
    let (n, f, width) = (x.rows.len() as i64, f as i32, x.width()?.unwrap_or(ANY));
    let kernel = source(device, &format!("map_backward_{}", T::NAME))?;
    let bias = address(device, x.bias);
    launch!(device, kernel, fours(x.rows.len()), x.rows, &bias, &width, gradient, &mut dx, &n, &f);
    Ok(dx)
}

/// `f(gate) ⊙ up`
pub fn gated<I: Number, T: Number>(
    device: &CudaDevice,
    f: Function,
    both: [Inner<'_, I>; 2],
) -> Result<CudaSlice<T>> {
    let (width, biases) = (width_of_both(&both)?, both.map(|inner| address(device, inner.bias)));
    let [gate, up] = both.map(|inner| inner.rows);
    let mut y = room::<T>(device, gate.len())?;
    let (n, f) = (gate.len() as i64, f as i32);
    let kernel = source(device, &format!("gated_{}_{}", I::NAME, T::NAME))?;
    let config = fours(gate.len());
    launch!(device, kernel, config, gate, &biases[0], up, &biases[1], &width, &mut y, &n, &f);
    Ok(y)
}

/// The gradients of `gate` and `up` for that of what [`gated`] gives.
pub fn gated_backward<T: Number>(
    device: &CudaDevice,
    f: Function,
    both: [Inner<'_, T>; 2],
    gradient: &CudaView<'_, T>,
) -> Result<[CudaSlice<T>; 2]> {
    let (width, biases) = (width_of_both(&both)?, both.map(|inner| address(device, inner.bias)));
    let [gate, up] = both.map(|inner| inner.rows);
    check("gate", &[gradient.len()], gate.len())?;
    let (mut of_gate, mut of_up) = (room::<T>(device, gate.len())?, room::<T>(device, gate.len())?);
    let (n, f) = (gate.len() as i64, f as i32);
    launch!(
        device,
        source(device, &format!("gated_backward_{}", T::NAME))?,
        fours(gate.len()),
        gate,
        &biases[0],
        up,
        &biases[1],
        &width,
        gradient,
        &mut of_gate,
        &mut of_up,
        &n,
        &f
    );
    Ok([of_gate, of_up])
}
