//! A step of AdamW on many tensors at once, and the sums of their squares.

use candle_core::cuda_backend::cudarc::driver::DevicePtr as _;

use super::*;

/// Tensors of a launch: as many as its arguments have room for.
const TENSORS: usize = 64;
/// Blocks that share a tensor.
const PARTS: u32 = 32;

/// One tensor of a step, all of them equally long, the moments twice as long. Values and moments are written.
#[derive(Debug, Clone, Copy)]
pub struct Parameter<'a> {
    /// What is learnt.
    pub values: &'a CudaView<'a, f32>,
    /// The running means of the gradient, and behind them those of its squares.
    pub moments: &'a CudaView<'a, f32>,
    /// The gradient.
    pub gradient: &'a CudaView<'a, f32>,
    /// What decay leaves of the values.
    pub kept: f32,
}

/// What all tensors of a step share.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct AdamWStep {
    /// How much of the mean of gradients stays.
    pub beta1: f32,
    /// How much of the mean of squares stays.
    pub beta2: f32,
    /// The learning rate over the first correction.
    pub size: f32,
    /// The square root of the second correction.
    pub root: f32,
    /// Keeps the division finite.
    pub epsilon: f32,
    /// What gradients are multiplied with first.
    pub scale: f32,
}

/// `Tensors` of the kernels.
#[derive(Clone, Copy)]
#[repr(C)]
struct Tensors {
    values: [u64; TENSORS],
    moments: [u64; TENSORS],
    gradients: [u64; TENSORS],
    kept: [f32; TENSORS],
    lengths: [i32; TENSORS],
}

// SAFETY: numbers only, in the order and of the sizes that the kernels declare.
unsafe impl DeviceRepr for Tensors {}
// SAFETY: as above.
unsafe impl DeviceRepr for AdamWStep {}

impl Tensors {
    const NONE: Self = Self {
        values: [0; TENSORS],
        moments: [0; TENSORS],
        gradients: [0; TENSORS],
        kept: [0.0; TENSORS],
        lengths: [0; TENSORS],
    };
}

fn source(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    kernel(device, "adamw", ptx::ADAMW, name)
}

fn launch_of(tensors: usize) -> LaunchConfig {
    config((PARTS, tensors as u32), THREADS)
}

/// Writes values and moments of all parameters: `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
/// `x ← kept x − size m / (√v / root + ε)`, where g is scaled. No two of them may be of the same tensor.
pub fn adamw(device: &CudaDevice, parameters: &[Parameter<'_>], step: AdamWStep) -> Result<()> {
    let stream = device.cuda_stream();
    for some in parameters.chunks(TENSORS) {
        let mut all = Tensors::NONE;
        for (at, one) in some.iter().enumerate() {
            check("optimiser", &[one.gradient.len()], one.values.len())?;
            check("optimiser", &[one.moments.len()], 2 * one.values.len())?;
            all.values[at] = one.values.device_ptr(&stream).0;
            all.moments[at] = one.moments.device_ptr(&stream).0;
            all.gradients[at] = one.gradient.device_ptr(&stream).0;
            all.kept[at] = one.kept;
            all.lengths[at] = int(2 * one.values.len())? / 2;
        }
        launch!(device, source(device, "adamw")?, launch_of(some.len()), &all, &step);
    }
    Ok(())
}

/// The sum of the squares of every number.
pub fn square_sum(device: &CudaDevice, tensors: &[&CudaView<'_, f32>]) -> Result<f64> {
    let stream = device.cuda_stream();
    let mut sum = 0.0;
    for some in tensors.chunks(TENSORS) {
        let mut all = Tensors::NONE;
        for (at, one) in some.iter().enumerate() {
            all.gradients[at] = one.device_ptr(&stream).0;
            all.lengths[at] = int(one.len())?;
        }
        let mut parts = room::<f32>(device, some.len() * PARTS as usize)?;
        launch!(device, source(device, "square_parts")?, launch_of(some.len()), &all, &mut parts);
        let parts = device.clone_dtoh(&parts)?;
        sum += parts.into_iter().map(f64::from).sum::<f64>();
    }
    Ok(sum)
}
