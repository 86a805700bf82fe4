//! Non-linearities with their derivatives.

use candle_core::{CudaStorage, Result, Shape, Tensor};
use hub_kernels::cuda::{self, Function, Inner};

use super::{Arg, finished, tensor, view, with_views};
use crate::ops::activation::Fused;

impl Fused {
    pub(in crate::ops) const fn function(self) -> Function {
        match self {
            Self::Relu => Function::Relu,
            Self::Gelu => Function::Gelu,
            Self::GeluNew => Function::GeluNew,
            Self::Swish => Function::Swish,
            Self::Tanh => Function::Tanh,
            Self::Sigmoid => Function::Sigmoid,
            Self::LeakyRelu => Function::LeakyRelu,
        }
    }
}

pub(in crate::ops) fn forward(fused: Fused, x: Arg<'_>) -> Result<(CudaStorage, Shape)> {
    let device = &x.0.device;
    let y = cuda::map(device, fused.function(), Inner::whole(&view(x, "activation")?))?;
    Ok(finished(y, device, x.1.shape()))
}

pub(in crate::ops) fn backward(fused: Fused, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    with_views([x, grad], |device, [x_view, grad]| {
        Ok(tensor(
            cuda::map_backward(device, fused.function(), Inner::whole(x_view), grad)?,
            device,
            x.shape(),
        ))
    })
}
