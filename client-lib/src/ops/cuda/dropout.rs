//! Dropout with masks that are drawn where the tensor lies: another generator than the CPU's, so another mask for the
//! same key, but the same one whenever that key is used there.

use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};
use hub_kernels::cuda::{self, Site};

use super::{finished, tensor, view, with_views};
use crate::ops::{dropout::DropoutKey, tape};

pub(in crate::ops) fn dropout(x: &Tensor, p: f64, key: DropoutKey) -> Result<Tensor> {
    let at = Site { seed: key.seed, step: key.step, site: key.site };
    tape::apply1(Op { p, at }, &x.contiguous()?)
}

struct Op {
    p: f64,
    at: Site,
}

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("this dropout is for GPUs")
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let device = &storage.device;
        let y = cuda::dropout(device, self.p, self.at, &view((storage, layout), "dropout")?)?;
        Ok(finished(y, device, layout.shape()))
    }

    /// The same mask and factor.
    fn bwd(&self, _x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        with_views([grad], |device, [view]| {
            Ok(Some(tensor(cuda::dropout(device, self.p, self.at, view)?, device, grad.shape())))
        })
    }
}
