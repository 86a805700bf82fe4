//! Products in single precision that are computed in halves: as near to double precision as single precision is, whatever
//! the sizes and however large or small the numbers.

use candle_core::{DType, Device, Result, Tensor};
use hub_client::ops::{Arithmetic, FeedForward, FrozenLinear};
use hub_schemas::method::Activation;

use super::{
    device,
    ops::{BAR, check, frozen},
};

/// Numbers as they are, or as half precision has them, of which there are no lower halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Single,
    Half,
}

/// A layer as a backbone has it, whose sums are as wide as its input.
fn layer(
    shape: [usize; 2],
    seed: u64,
    (stored, has_bias): (Stored, bool),
    like: &Tensor,
) -> Result<FrozenLinear> {
    // Rounded here: in another precision one that lies in the middle could become another number.
    let weight = frozen(&shape, seed, &Tensor::zeros(1, DType::F64, &Device::Cpu)?)?;
    let weight = match stored {
        Stored::Single => (weight * (1.0 / shape[1] as f64).sqrt())?,
        Stored::Half => ((weight * 32.0)?.round()? * (0.5_f64).powi(10))?,
    };
    let weight = weight.to_dtype(like.dtype())?.to_device(like.device())?;
    let bias = has_bias.then(|| frozen(&shape[..1], seed + 1, like)).transpose()?;
    FrozenLinear::new(weight, bias)?.computing_in(Arithmetic::Exact)
}

/// A layer of `out × inputs` on so many rows, whichever way it is stored.
fn check_layer((out, inputs): (usize, usize), rows: usize) {
    for kind in
        [Stored::Single, Stored::Half].into_iter().flat_map(|stored| [(stored, false), (stored, true)])
    {
        let name = format!("{rows} rows, {out} × {inputs}, {kind:?}");
        check(&name, &[&[rows, inputs]], 4.0 * BAR, &|x| {
            layer([out, inputs], 2, kind, &x[0])?.forward(&x[0])
        });
    }
}

#[test]
fn layers_with_few_rows_and_with_many() {
    // Halves can't have the widths of the last one, which is computed as before.
    for size in [(40, 24), (96, 64), (392, 776), (21, 39)] {
        for rows in [1, 2, 3, 8, 9, 29, 32, 33, 70, 200] {
            check_layer(size, rows);
        }
    }
}

#[test]
fn layers_as_wide_as_those_of_models() {
    for size in [(768, 3072), (3072, 768), (2048, 5632)] {
        for rows in [1, 150] {
            check_layer(size, rows);
        }
    }
}

#[test]
fn numbers_of_every_size() {
    for (of_x, of_w) in [(1e-18, 1.0), (1e18, 1.0), (1.0, 1e-7), (1.0, 3e3), (1e-4, 1e-3), (0.0, 1.0)] {
        check(&format!("{of_x:e} by {of_w:e}"), &[&[50, 64]], 4.0 * BAR, &|x| {
            let weight = (frozen(&[48, 64], 3, &x[0])? * of_w)?;
            // A tensor: what candle multiplies by the number 0 has no gradient.
            let scale = Tensor::new(&[of_x], x[0].device())?.to_dtype(x[0].dtype())?;
            let rows = x[0].broadcast_mul(&scale)?;
            let y = FrozenLinear::new(weight, None)?.computing_in(Arithmetic::Exact)?.forward(&rows)?;
            // A gradient as large as what comes back.
            y / f64::max(of_x * of_w, 1e-30)
        });
    }
    // Two columns a hundred thousand times as large as the others, as language models have them.
    check("outliers", &[&[50, 64]], 4.0 * BAR, &|x| {
        let large = Tensor::from_vec(
            (0..64).map(|i| if i % 32 == 5 { 1e5 } else { 0.0 }).collect(),
            64,
            x[0].device(),
        )?;
        let weight = frozen(&[48, 64], 3, &x[0])?;
        let rows = x[0].broadcast_add(&large.to_dtype(x[0].dtype())?)?;
        FrozenLinear::new(weight, None)?.computing_in(Arithmetic::Exact)?.forward(&rows)
    });
}

#[test]
fn networks_with_and_without_a_gate() {
    for (rows, stored) in [(20, Stored::Single), (100, Stored::Single), (100, Stored::Half)] {
        for has_gate in [false, true] {
            check("network", &[&[2, rows, 64]], 4.0 * BAR, &|x| {
                let layer = |shape, seed| layer(shape, seed, (stored, true), &x[0]);
                let (gate, up, down) = (layer([256, 64], 2)?, layer([256, 64], 4)?, layer([64, 256], 6)?);
                let gate = has_gate.then_some(&gate);
                FeedForward { gate, up: &up, down: &down, activation: Activation::Gelu }.forward(&x[0])
            });
        }
    }
}

#[test]
fn a_weight_in_halves_can_be_read_and_so_can_its_rows() {
    let device = device();
    let single = |x: Tensor| x.to_dtype(DType::F32);
    let weight =
        frozen(&[48, 64], 3, &Tensor::zeros(1, DType::F32, &device).expect("a tensor")).expect("a weight");
    let layer =
        FrozenLinear::new(weight.clone(), None).and_then(|layer| layer.computing_in(Arithmetic::Exact));
    let layer = layer.expect("a layer");
    let apart = |a: Tensor, b: &Tensor| -> Result<f32> { (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar() };
    assert!(apart(layer.weight().expect("a weight"), &weight).expect("compares") < 1e-6);
    let numbers = Tensor::new(&[47_u32, 0, 9], &device).expect("numbers");
    let expected = weight.index_select(&numbers, 0).and_then(single).expect("rows");
    assert!(apart(layer.rows(&numbers).expect("rows"), &expected).expect("compares") < 1e-6);
}

#[test]
fn what_is_no_number_stays_none() {
    for rows in [3, 50] {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut numbers = vec![0.5_f32; rows * 64];
            numbers[64 + 7] = wrong;
            let x = Tensor::from_vec(numbers, (rows, 64), &device()).expect("rows");
            let y = layer([48, 64], 2, (Stored::Single, true), &x)
                .and_then(|layer| layer.forward(&x)?.to_vec2::<f32>());
            let y = y.expect("computes");
            assert!(y[1].iter().all(|y| !y.is_finite()), "{wrong} became {:?}", y[1]);
            assert!(y[0].iter().all(|y| y.is_finite()), "{wrong} is in another row");
        }
    }
    // A weight too large for halves is multiplied as it is.
    let large = |like: &Tensor| frozen(&[48, 64], 3, like)? * 1e6;
    check("a large weight", &[&[50, 64]], 4.0 * BAR, &|x| {
        FrozenLinear::new(large(&x[0])?, None)?.computing_in(Arithmetic::Exact)?.forward(&x[0])
    });
}
