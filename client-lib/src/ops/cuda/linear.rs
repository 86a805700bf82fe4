//! Linear layers that are learnt, in single precision whatever the backbone's weights are.

use candle_core::{CudaStorage, Result, Shape, Tensor};
use hub_kernels::cuda::{self, Factor, Product};

use super::{Arg, finished, tensor, view, with_views};
use crate::ops::linear::Dims;

pub(in crate::ops) fn forward(
    d: Dims,
    x: Arg<'_>,
    w: Arg<'_>,
    b: Option<Arg<'_>>,
) -> Result<(CudaStorage, Shape)> {
    let device = &x.0.device;
    let (own, weight) = (view(x, "linear")?, view(w, "linear")?);
    let of = Product::one(d.rows, d.outputs, d.inputs);
    let factors = (&Factor::new(&own), &Factor::transposed(&weight));
    let y = match b {
        Some(b) => cuda::multiply_with_bias(device, of, factors, &view(b, "linear")?)?,
        None => cuda::multiply(device, of, factors.0, factors.1)?,
    };
    let mut shape = x.1.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = d.outputs;
    }
    Ok(finished(y, device, shape))
}

pub(in crate::ops) fn backward(
    d: Dims,
    [x, w]: [&Tensor; 2],
    b: Option<&Tensor>,
    grad: &Tensor,
) -> Result<[Option<Tensor>; 3]> {
    with_views([x, w, grad], |device, [own, weight, g]| {
        let product = |of: Product, a: Factor<'_, f32>, b: Factor<'_, f32>, like: &Tensor| {
            Ok(tensor::<f32>(cuda::multiply(device, of, &a, &b)?, device, like.shape()))
        };
        let of_x = Product::one(d.rows, d.inputs, d.outputs);
        let dx = x.track_op().then(|| product(of_x, Factor::new(g), Factor::new(weight), x));
        let of_w = Product::one(d.outputs, d.inputs, d.rows);
        let dw = w.track_op().then(|| product(of_w, Factor::transposed(g), Factor::new(own), w));
        let db = b.filter(|b| b.track_op());
        let db = db.map(|b| Ok(tensor(cuda::column_sums(device, g, d.outputs)?, device, b.shape())));
        let all: [Option<Result<Tensor>>; 3] = [dx, dw, db];
        let [dx, dw, db] = all.map(Option::transpose);
        Ok([dx?, dw?, db?])
    })
}
