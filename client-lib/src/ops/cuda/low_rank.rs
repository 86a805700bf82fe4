//! A frozen linear layer with an update of low rank. The update is computed in single precision whatever the weight's
//! is: its factors are what is trained.

use candle_core::{CudaStorage, Result, Shape, Tensor, TensorId};
use hub_kernels::cuda::{self, Thin, View};

use super::{
    Arg, finished,
    frozen_linear::{input_gradient, outer, product},
    tensor, view, with_views,
};
use crate::ops::{frozen_linear::FrozenLinear, low_rank::Dims};

/// `A [r, in]` and `B [out, r]`.
fn factors<'a>(d: Dims, a: &'a View<'a, f32>, b: &'a View<'a, f32>) -> [Thin<'a>; 2] {
    [Thin { data: a, rank: d.rank, on_its_side: false }, Thin { data: b, rank: d.rank, on_its_side: true }]
}

pub(in crate::ops) fn forward(
    layer: &FrozenLinear,
    scaling: f64,
    (d, id): (Dims, TensorId),
    [x, a, b]: [Arg<'_>; 3],
) -> Result<(CudaStorage, Shape)> {
    let (device, shape) = (&x.0.device, outer(layer, x.1.dims())?);
    let [x, a, b] = [view(x, "low-rank")?, view(a, "low-rank")?, view(b, "low-rank")?];
    let [a, b] = factors(d, &a, &b);
    let mut y = product(layer, (&x, id), device)?;
    let narrow = cuda::narrow(device, &x, a, 1.0)?;
    cuda::widen_add(device, &narrow.as_view(), b, scaling as f32, &mut y)?;
    Ok(finished(y, device, shape))
}

pub(in crate::ops) fn backward(
    layer: &FrozenLinear,
    scaling: f64,
    d: Dims,
    [x, a, b]: [&Tensor; 3],
    grad: &Tensor,
) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
    let scale = scaling as f32;
    with_views([x, a, b, grad], |device, [of_x, of_a, of_b, g]| {
        let [down, up] = factors(d, of_a, of_b);
        let dn = cuda::narrow(device, g, up, scale)?;
        let dn = dn.as_view();
        let dx = x.track_op().then(|| {
            let mut dx = input_gradient(layer, g, device)?;
            cuda::widen_add(device, &dn, down, 1.0, &mut dx)?;
            Ok(tensor(dx, device, x.shape()))
        });
        let da = a
            .track_op()
            .then(|| Ok(tensor(cuda::outer(device, (&dn, d.rank), of_x, 1.0, false)?, device, a.shape())));
        let db = b.track_op().then(|| {
            let narrow = cuda::narrow(device, of_x, down, 1.0)?;
            let db = cuda::outer(device, (&narrow.as_view(), d.rank), g, scale, true)?;
            Ok(tensor(db, device, b.shape()))
        });
        let all: [Option<Result<Tensor>>; 3] = [dx, da, db];
        let [dx, da, db] = all.map(Option::transpose);
        Ok((dx?, da?, db?))
    })
}
