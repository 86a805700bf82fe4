use super::*;
use crate::numbers::numbers;

fn rounded(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(f32::from_bits(round(x) << 16))).collect()
}

/// The product of the rounded operands in double precision.
fn exact(x: &[f32], w: &[f32], (out, inputs): (usize, usize), side: Side) -> Vec<f64> {
    let (x, w) = (rounded(x), rounded(w));
    let (outputs, length) = side.sizes((out, inputs));
    let weight = |o: usize, i: usize| match side {
        Side::Forward => w[o * inputs + i],
        Side::Backward => w[i * inputs + o],
    };
    let row =
        |x: &[f64]| (0..outputs).map(|o| (0..length).map(|i| x[i] * weight(o, i)).sum()).collect::<Vec<_>>();
    x.chunks_exact(length).flat_map(row).collect()
}

#[test]
fn every_form_computes_the_product_of_the_rounded_operands() {
    let cases =
        [(1, 1, 1), (3, 48, 2), (8, 49, 7), (13, 96, 32), (200, 130, 65), (17, 1000, 384), (97, 384, 300)];
    for (rows, out, inputs) in cases {
        for side in [Side::Forward, Side::Backward] {
            let (outputs, length) = side.sizes((out, inputs));
            let (x, w) = (numbers(rows * length, 1), numbers(out * inputs, 2));
            let bias = numbers(outputs, 3);
            let packed = Packed::new(&w, (out, inputs), side);
            let expected = exact(&x, &w, (out, inputs), side);
            for fast in [false, is_fast()] {
                let y = packed.product_by(&x, Some(&bias), fast);
                assert_eq!(y.len(), rows * outputs);
                let worst = y.iter().zip(&expected).enumerate().map(|(at, (&y, e))| {
                    (f64::from(y) - e - f64::from(bias[at % outputs])).abs() / (length as f64).sqrt()
                });
                let worst = worst.fold(0.0, f64::max);
                assert!(worst < 1e-6, "{rows} x {out} x {inputs} {side:?} fast {fast}: {worst:e}");
            }
        }
    }
}

#[test]
fn rounding_is_to_the_nearest_and_to_even_in_between() {
    // Half of the last place above an even number, a little more, and above an odd one.
    let cases = [(0x3f80_0000, 0x3f80), (0x3f80_8000, 0x3f80), (0x3f80_8001, 0x3f81), (0x3f81_8000, 0x3f82)];
    for (bits, expected) in cases {
        assert_eq!(round(f32::from_bits(bits)), expected, "{bits:#x}");
    }
    assert_eq!(round(f32::INFINITY), 0x7f80);
    assert!(f32::from_bits(round(f32::NAN) << 16).is_nan());
    assert_eq!(round(-0.0), 0x8000);
}

#[test]
fn what_is_not_a_number_is_not_hidden() {
    let packed = Packed::new(&[1.0, f32::NAN], (1, 2), Side::Forward);
    assert!(packed.product(&[1.0, 1.0], None)[0].is_nan());
}

#[test]
fn a_chain_gives_what_its_products_give_one_after_the_other() {
    for (rows, inputs, inner, outputs) in
        [(1, 3, 5, 2), (40, 33, 100, 20), (300, 64, 130, 49), (1000, 96, 200, 96)]
    {
        let (x, v, w) = (numbers(rows * inputs, 1), numbers(inner * inputs, 2), numbers(outputs * inner, 3));
        let (bias, more) = (numbers(inner, 4), numbers(outputs, 5));
        let first = Packed::new(&v, (inner, inputs), Side::Forward);
        let second = Packed::new(&w, (outputs, inner), Side::Forward);
        let change = |start: usize, values: &mut [f32]| {
            values
                .iter_mut()
                .enumerate()
                .for_each(|(at, value)| *value *= (start * inner + at) as f32 % 3.0 - 1.0);
        };
        let kept = first.product(&x, Some(&bias));
        let mut middle = kept.clone();
        change(0, &mut middle);
        let expected = second.product(&middle, Some(&more));
        for keeps in [false, true] {
            let chain = Chain { first: (&first, Some(&bias)), second: (&second, Some(&more)), keeps };
            let found = chain.of(&x, &|rows, values: &mut [f32]| change(rows.start, values));
            let inner = if keeps { kept.clone() } else { Vec::new() };
            assert_eq!(found, Chained { outputs: expected.clone(), inner }, "{rows} rows");
        }
    }
}
