//! Dropout (Srivastava et al. 2014) whose mask is a pure function of seed, step and place.
//!
//! Nothing is drawn from a shared generator, so an interrupted run continues with
//! exactly the masks it would have had, and threads can't change their order.

use candle_core::{Result, Tensor};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Names one mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropoutKey {
    /// The run.
    pub seed: u64,
    /// The optimiser step.
    pub step: u64,
    /// The place in the model.
    pub site: u64,
}

/// Zeroes each element with probability `p` and scales the rest by `1 / (1 − p)`.
pub fn dropout(x: &Tensor, p: f64, key: DropoutKey) -> Result<Tensor> {
    if p <= 0.0 {
        return Ok(x.clone());
    }
    #[cfg(feature = "cuda")]
    if super::is_fused(x) && x.device().is_cuda() {
        return super::cuda::dropout::dropout(x, p, key);
    }
    let mut seed = [0; 32];
    for (bytes, number) in seed.chunks_exact_mut(8).zip([key.seed, key.step, key.site, 0x6472_6f70]) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    let mut rng = ChaCha8Rng::from_seed(seed);
    let keep = 1.0 / (1.0 - p) as f32;
    let mask: Vec<f32> =
        (0..x.elem_count()).map(|_| if rng.random::<f64>() < p { 0.0 } else { keep }).collect();
    x * Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?
}
