//! Every operation against its composition in candle, and every gradient against finite differences in f64.

use candle_core::{DType, Device, Result, Tensor, Var};
use hub_schemas::method::Activation;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const ACTIVATIONS: [Activation; 7] = [
    Activation::Relu,
    Activation::Gelu,
    Activation::GeluNew,
    Activation::Swish,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::LeakyRelu,
];

fn random(shape: &[usize], seed: u64, dtype: DType) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| rng.random_range(-2.0..2.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).and_then(|t| t.to_dtype(dtype)).expect("a tensor")
}

fn largest(t: &Tensor) -> f64 {
    let values = t.to_dtype(DType::F64).and_then(|t| t.flatten_all()?.to_vec1::<f64>()).expect("values");
    values.into_iter().map(f64::abs).fold(0.0, f64::max)
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    largest(&(a - b).expect("same shape"))
}

/// A scalar that weighs every output differently.
fn weighed_sum(y: &Tensor) -> Result<Tensor> {
    let n = y.elem_count();
    let weights: Vec<f64> = (0..n).map(|i| (i as f64 * 0.7).sin()).collect();
    (y.flatten_all()? * Tensor::from_vec(weights, n, y.device())?.to_dtype(y.dtype())?)?.sum_all()
}

/// Compares the gradient of `f` at each input with central differences.
fn check_gradient(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).expect("a variable")).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&tensors).expect("forward");
    assert!(y.track_op(), "the graph is cut");
    let grads = weighed_sum(&y).and_then(|s| s.backward()).expect("backward");
    let value = |inputs: &[Tensor]| -> f64 {
        f(inputs).and_then(|y| weighed_sum(&y)?.to_scalar::<f64>()).expect("a value")
    };
    let eps = 1e-5;
    for (which, input) in inputs.iter().enumerate() {
        let grad = grads.get(&tensors[which]).unwrap_or_else(|| panic!("input {which} has no gradient"));
        let grad = grad.flatten_all().and_then(|g| g.to_vec1::<f64>()).expect("values");
        let base = input.flatten_all().and_then(|t| t.to_vec1::<f64>()).expect("values");
        for element in (0..base.len()).step_by(1 + base.len() / 24) {
            let shifted = |delta: f64| {
                let mut values = base.clone();
                values[element] += delta;
                let mut all = inputs.to_vec();
                all[which] = Tensor::from_vec(values, input.shape(), &Device::Cpu).expect("a tensor");
                value(&all)
            };
            let numeric = (shifted(eps) - shifted(-eps)) / (2.0 * eps);
            let error = (numeric - grad[element]).abs() / (1.0 + numeric.abs());
            assert!(error < 1e-7, "input {which}[{element}]: {} against {numeric}", grad[element]);
        }
    }
}

fn frozen(dtype: DType) -> FrozenLinear {
    FrozenLinear::new(random(&[5, 7], 1, dtype), Some(random(&[5], 2, dtype))).expect("a layer")
}

fn norm(width: usize, dtype: DType) -> Norm {
    Norm::new(&random(&[width], 3, dtype), &random(&[width], 4, dtype), 1e-5).expect("a norm")
}

fn mask() -> KeyMask {
    let mask = Tensor::new(&[[1u32, 1, 1, 1, 1], [1, 1, 1, 0, 0]], &Device::Cpu).expect("a mask");
    KeyMask::new(&mask).expect("a mask")
}

#[test]
fn fused_operations_equal_their_composition_in_both_precisions() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 3e-6)] {
        let x = random(&[2, 5, 7], 5, dtype);
        let layer = frozen(dtype);
        let composed =
            linear::composed(&x, &layer.weight().expect("a weight"), Some(&random(&[5], 2, dtype)))
                .expect("composed");
        let learnt =
            linear(&x, &layer.weight().expect("a weight"), Some(&random(&[5], 2, dtype))).expect("fused");
        assert!(difference(&learnt, &composed) < tolerance, "linear {dtype:?}");
        assert!(
            difference(&layer.forward(&x).expect("fused"), &composed) < tolerance,
            "frozen linear {dtype:?}"
        );

        let (x, r) = (random(&[3, 40], 6, dtype), random(&[3, 40], 7, dtype));
        let (gamma, beta) = (random(&[40], 3, dtype), random(&[40], 4, dtype));
        let both = (&x + &r).expect("sum");
        let composed = norm(40, dtype).composed(&both).expect("composed");
        let learnt = trainable_norm(&both, &gamma, &beta, 1e-5).expect("fused");
        assert!(difference(&learnt, &composed) < tolerance, "trained norm {dtype:?}");
        let fused = norm(40, dtype).forward_sum(&x, &r).expect("fused");
        assert!(difference(&fused, &composed) < tolerance, "norm {dtype:?}");

        for activation in ACTIVATIONS {
            let fused = activate(&x, activation).expect("fused");
            let composed = activation::composed(&x, activation).expect("composed");
            assert!(difference(&fused, &composed) < tolerance, "{activation} {dtype:?}");
        }

        let (scores, labels) = ((random(&[3, 40], 12, dtype) * 20.0).expect("a product"), [0, 39, 17]);
        let fused = cross_entropy_rows(&scores, &labels).expect("fused");
        let labels = Tensor::new(&labels, &Device::Cpu).expect("labels");
        let composed = cross_entropy::composed(&scores, &labels).expect("composed");
        assert!(difference(&fused, &composed) < tolerance * 10.0, "cross-entropy {dtype:?}");

        let attention = Attention::new(2);
        let [q, k, v] = [8, 9, 10].map(|seed| random(&[2, 5, 6], seed, dtype));
        let fused = attention.forward(&q, &k, &v, &mask()).expect("fused");
        let composed = attention.composed([&q, &k, &v], &mask(), None).expect("composed");
        assert!(difference(&fused, &composed) < tolerance, "attention {dtype:?}");
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let x = random(&[2, 5, 7], 11, DType::F64);
    check_gradient(&[x], |t| frozen(DType::F64).forward(&t[0]));
    check_gradient(&[random(&[4, 21], 12, DType::F64)], |t| cross_entropy_rows(&t[0], &[20, 0, 3, 3]));

    let (x, r) = (random(&[3, 18], 12, DType::F64), random(&[3, 18], 13, DType::F64));
    check_gradient(std::slice::from_ref(&x), |t| norm(18, DType::F64).forward(&t[0]));
    check_gradient(&[x.clone(), r], |t| norm(18, DType::F64).forward_sum(&t[0], &t[1]));
    let (gamma, beta) = (random(&[18], 14, DType::F64), random(&[18], 15, DType::F64));
    check_gradient(&[x.clone(), gamma, beta], |t| trainable_norm(&t[0], &t[1], &t[2], 1e-5));

    for activation in ACTIVATIONS {
        check_gradient(std::slice::from_ref(&x), |t| activate(&t[0], activation));
    }

    let qkv = [16, 17, 18].map(|seed| random(&[2, 5, 6], seed, DType::F64));
    check_gradient(&qkv, |t| Attention::new(3).forward(&t[0], &t[1], &t[2], &mask()));

    let numbers = Tensor::new(&[3_u32, 0, 3], &Device::Cpu).expect("numbers");
    check_gradient(std::slice::from_ref(&x), |t| select_rows(&Tensor::cat(&[&t[0], &t[0]], 0)?, &numbers));

    let squares = random(&[2, 4, 4], 24, DType::F64);
    check_gradient(&[squares], |t| inverse(&t[0]));

    let (w, b) = (random(&[4, 18], 19, DType::F64), random(&[4], 20, DType::F64));
    check_gradient(&[x.clone(), w.clone(), b], |t| linear(&t[0], &t[1], Some(&t[2])));
    check_gradient(&[x.clone(), w], |t| linear(&t[0], &t[1], None));
    check_gradient(&[x.clone(), (x * 0.5).expect("a product")], |t| sum(&t[0], &t[1]));
}

#[test]
fn more_keys_than_queries_are_attended_to() {
    let mask = KeyMask::new(&Tensor::ones((2, 4), DType::U32, &Device::Cpu).expect("ones")).expect("a mask");
    let q = random(&[2, 3, 6], 21, DType::F64);
    let [k, v] = [22, 23].map(|seed| random(&[2, 4, 6], seed, DType::F64));
    check_gradient(&[q, k, v], |t| Attention::new(2).forward(&t[0], &t[1], &t[2], &mask));
}

#[test]
fn a_frozen_weight_gets_no_gradient_and_an_untracked_input_no_graph() {
    let weight = Var::from_tensor(&random(&[5, 7], 1, DType::F32)).expect("a variable");
    let layer = FrozenLinear::new(weight.as_tensor().clone(), None).expect("a layer");
    assert!(!layer.forward(&random(&[3, 7], 2, DType::F32)).expect("forward").track_op());
    let x = Var::from_tensor(&random(&[3, 7], 3, DType::F32)).expect("a variable");
    let grads = layer.forward(&x).and_then(|y| y.sum_all()?.backward()).expect("backward");
    assert!(grads.get(&weight).is_none() && grads.get(&x).is_some());
}

#[test]
fn a_row_without_visible_keys_attends_evenly() {
    let mask =
        KeyMask::new(&Tensor::zeros((1, 4), DType::U32, &Device::Cpu).expect("zeros")).expect("a mask");
    let [q, k, v] = [24, 25, 26].map(|seed| random(&[1, 4, 6], seed, DType::F64));
    let out = Attention::new(2).forward(&q, &k, &v, &mask).expect("forward");
    let mean = v.mean_keepdim(1).and_then(|m| m.broadcast_as(v.shape())).expect("mean");
    assert!(difference(&out, &mean) < 1e-12);
}

#[test]
fn dropout_is_a_pure_function_of_its_key_and_keeps_the_mean() {
    let x = Tensor::ones(20_000, DType::F32, &Device::Cpu).expect("ones");
    let key = DropoutKey { seed: 1, step: 2, site: 3 };
    let a = dropout(&x, 0.3, key).expect("dropout");
    assert!(difference(&a, &dropout(&x, 0.3, key).expect("dropout")) == 0.0);
    assert!(difference(&a, &dropout(&x, 0.3, DropoutKey { step: 4, ..key }).expect("dropout")) > 0.0);
    let mean = a.mean_all().and_then(|m| m.to_scalar::<f32>()).expect("mean");
    assert!((mean - 1.0).abs() < 0.02, "{mean}");
}

#[test]
fn shapes_that_do_not_fit_are_errors_with_the_shapes() {
    let error =
        frozen(DType::F32).forward(&random(&[2, 6], 1, DType::F32)).expect_err("6 inputs").to_string();
    assert!(error.contains("7 inputs expected") && error.contains("[2, 6]"), "{error}");
    let q = random(&[1, 5, 6], 1, DType::F32);
    assert!(Attention::new(2).forward(&q, &q, &q, &mask()).is_err());
}

#[test]
fn fused_decoder_operations_equal_their_composition_and_their_gradients_finite_differences() {
    let rotary = Rotary::new(&[1.0, 0.3, 0.01], 2..7);
    let rms = |dtype| Norm::rms(&random(&[18], 30, dtype), 1e-6).expect("a norm");
    let grouped = Attention { kv_heads: 2, ..Attention::new(4) };
    // The second row is padded on the right. Two keys stand in front of the first query's.
    let causal = mask().prepend(0, 0.0, 2).with_causality(true);
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 3e-6)] {
        let x = random(&[2, 5, 12], 31, dtype);
        let turned = rotary.forward(&x).expect("fused");
        assert!(difference(&turned, &rotary.composed(&x).expect("composed")) < tolerance, "rotary {dtype:?}");

        let x = random(&[3, 18], 32, dtype);
        let fused = rms(dtype).forward(&x).expect("fused");
        assert!(difference(&fused, &rms(dtype).composed(&x).expect("composed")) < tolerance, "rms {dtype:?}");

        let q = random(&[2, 5, 12], 33, dtype);
        let [k, v] = [34, 35].map(|seed| random(&[2, 7, 6], seed, dtype));
        let fused = grouped.forward(&q, &k, &v, &causal).expect("fused");
        let composed = grouped.composed([&q, &k, &v], &causal, None).expect("composed");
        assert!(difference(&fused, &composed) < tolerance, "attention {dtype:?}");
    }
    let f64 = |shape: &[usize], seed| random(shape, seed, DType::F64);
    check_gradient(&[f64(&[2, 5, 12], 36)], |t| rotary.forward(&t[0]));
    check_gradient(&[f64(&[3, 18], 37)], |t| rms(DType::F64).forward(&t[0]));
    let qkv = [f64(&[2, 5, 12], 38), f64(&[2, 7, 6], 39), f64(&[2, 7, 6], 40)];
    check_gradient(&qkv, |t| grouped.forward(&t[0], &t[1], &t[2], &causal));
}

#[test]
fn a_query_sees_its_own_key_those_before_and_what_was_put_in_front() {
    let ones = Tensor::ones((1, 3), DType::U32, &Device::Cpu).expect("ones");
    let causal = KeyMask::new(&ones).expect("a mask").prepend(0, 0.0, 1).with_causality(true);
    let q = Tensor::zeros((1, 3, 2), DType::F64, &Device::Cpu).expect("zeros");
    let v = Tensor::new(&[[[8f64, 0.0], [4.0, 0.0], [0.0, 3.0], [0.0, 8.0]]], &Device::Cpu).expect("values");
    let out = Attention::new(1).forward(&q, &v, &v, &causal).and_then(|o| o.squeeze(0)?.to_vec2::<f64>());
    assert_eq!(out.expect("forward"), [[6.0, 0.0], [4.0, 1.0], [3.0, 2.75]]);
}

#[test]
fn bounded_scores_and_windows_equal_their_composition_and_their_gradients_finite_differences() {
    let bounded = Attention { kv_heads: 2, scale: Some(0.7), soft_cap: Some(1.5), ..Attention::new(4) };
    // A token sees itself and the one before, and of the three keys in front the two that are seen from
    // everywhere.
    let mask = mask().behind(1).prepend(0, 0.0, 2).with_causality(true).with_reach(Some(1));
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 3e-6)] {
        let q = random(&[2, 5, 12], 50, dtype);
        let [k, v] = [51, 52].map(|seed| random(&[2, 8, 6], seed, dtype));
        let fused = bounded.forward(&q, &k, &v, &mask).expect("fused");
        let composed = bounded.composed([&q, &k, &v], &mask, None).expect("composed");
        assert!(difference(&fused, &composed) < tolerance, "{dtype:?}");
    }
    let f64 = |shape: &[usize], seed| random(shape, seed, DType::F64);
    let qkv = [f64(&[2, 5, 12], 53), f64(&[2, 8, 6], 54), f64(&[2, 8, 6], 55)];
    check_gradient(&qkv, |t| bounded.forward(&t[0], &t[1], &t[2], &mask));
}

#[test]
fn a_window_leaves_behind_what_was_read_and_not_what_was_put_in_front() {
    let ones = Tensor::ones((1, 2), DType::U32, &Device::Cpu).expect("ones");
    let own = KeyMask::new(&ones).expect("a mask").with_causality(true).with_reach(Some(1));
    let q = Tensor::zeros((1, 2, 1), DType::F64, &Device::Cpu).expect("zeros");
    let v = Tensor::new(&[[[8f64], [4.0], [2.0], [0.0]]], &Device::Cpu).expect("values");
    let seen = |mask: &KeyMask| {
        let out = Attention::new(1).forward(&q, &v, &v, mask).and_then(|o| o.flatten_all()?.to_vec1::<f64>());
        // In thirds, so that they are whole numbers.
        out.expect("forward").into_iter().map(|value| (3.0 * value).round() as i32).collect::<Vec<_>>()
    };
    assert_eq!(seen(&own.behind(2)), [9, 3]);
    assert_eq!(seen(&own.behind(1).prepend(0, 0.0, 1)), [14, 10]);
    assert_eq!(seen(&own.prepend(0, 0.0, 2).with_distance(2)), [9, 3]);
}

#[test]
fn in_a_decoder_a_row_without_visible_keys_gets_nothing() {
    let hidden = Tensor::new(&[[0u32, 1, 1]], &Device::Cpu).expect("a mask");
    let mask = KeyMask::new(&hidden).expect("a mask").with_causality(true);
    let [q, k, v] = [41, 42, 43].map(|seed| random(&[1, 3, 6], seed, DType::F64));
    let fused = Attention::new(2).forward(&q, &k, &v, &mask).expect("fused");
    let composed = Attention::new(2).composed([&q, &k, &v], &mask, None).expect("composed");
    assert!(difference(&fused, &composed) < 1e-12);
    let out = fused.squeeze(0).and_then(|o| o.to_vec2::<f64>()).expect("numbers");
    assert!(out[0].iter().all(|&x| x == 0.0) && out[1].iter().all(|&x| x != 0.0));
}

/// Another frozen layer, which reads what the first gives.
fn second(dtype: DType) -> FrozenLinear {
    FrozenLinear::new(random(&[6, 7], 60, dtype), Some(random(&[6], 61, dtype))).expect("a layer")
}

#[test]
fn fused_layers_equal_their_composition_and_their_gradients_finite_differences() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
        let [x, gate] = [62, 63].map(|seed| random(&[2, 5, 7], seed, dtype));
        let (a, b) = (random(&[3, 7], 64, dtype), random(&[6, 3], 65, dtype));
        let update = LowRank { a: &a, b: &b, scaling: 0.7 };
        let fused = update.forward(&second(dtype), &x).expect("fused");
        let composed = update.composed(&second(dtype), &x).expect("composed");
        assert!(difference(&fused, &composed) < tolerance, "low rank {dtype:?}");
        for activation in ACTIVATIONS {
            let inner = activation::composed(&x, activation).expect("composed");
            let composed = second(dtype).forward(&inner).expect("composed");
            let fused = activated(&second(dtype), &x, activation).expect("fused");
            assert!(difference(&fused, &composed) < tolerance, "{activation} {dtype:?}");
            let inner = activation::composed(&gate, activation).and_then(|gate| gate * &x).expect("composed");
            let composed = second(dtype).forward(&inner).expect("composed");
            let fused = gated(&second(dtype), &gate, &x, activation).expect("fused");
            assert!(difference(&fused, &composed) < tolerance, "gated {activation} {dtype:?}");
        }
    }
    let f64 = |shape: &[usize], seed| random(shape, seed, DType::F64);
    let inputs = [f64(&[2, 5, 7], 66), f64(&[3, 7], 67), f64(&[6, 3], 68)];
    check_gradient(&inputs, |t| {
        LowRank { a: &t[1], b: &t[2], scaling: 0.7 }.forward(&second(DType::F64), &t[0])
    });
    let pair = [f64(&[2, 5, 7], 69), f64(&[2, 5, 7], 70)];
    for activation in ACTIVATIONS {
        check_gradient(&pair[..1], |t| activated(&second(DType::F64), &t[0], activation));
        check_gradient(&pair, |t| gated(&second(DType::F64), &t[0], &t[1], activation));
    }
}

#[test]
fn a_whole_feed_forward_network_equals_its_layers_and_its_gradients_finite_differences() {
    let first = |seed, dtype| {
        FrozenLinear::new(random(&[7, 5], seed, dtype), Some(random(&[7], seed + 1, dtype))).expect("a layer")
    };
    let network = |gate: bool, activation, x: &Tensor| {
        let [gate_layer, up] = [80, 82].map(|seed| first(seed, x.dtype()));
        let (gate, down) = (gate.then_some(&gate_layer), &second(x.dtype()));
        let network = FeedForward { gate, up: &up, down, activation };
        Ok::<_, candle_core::Error>((network.forward(x)?, network.composed(x)?))
    };
    for activation in ACTIVATIONS {
        for gate in [false, true] {
            for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
                let (whole, composed) =
                    network(gate, activation, &random(&[2, 3, 5], 84, dtype)).expect("both");
                assert!(difference(&whole, &composed) < tolerance, "{activation} {dtype:?} {gate}");
            }
            check_gradient(
                &[random(&[2, 3, 5], 85, DType::F64)],
                |t| Ok(network(gate, activation, &t[0])?.0),
            );
        }
    }
    let (short, long) = (first(86, DType::F32), second(DType::F32));
    let wrong = FeedForward { gate: None, up: &long, down: &short, activation: Activation::Gelu };
    let error =
        wrong.forward(&random(&[1, 7], 1, DType::F32)).expect_err("6 inner numbers, 5 read").to_string();
    assert!(error.contains("feed-forward"), "{error}");
}

#[test]
fn an_update_of_another_shape_is_an_error_with_the_shapes() {
    let (a, b) = (random(&[3, 6], 1, DType::F32), random(&[6, 3], 2, DType::F32));
    let x = random(&[2, 7], 3, DType::F32);
    let update = LowRank { a: &a, b: &b, scaling: 1.0 };
    let error = update.forward(&second(DType::F32), &x).expect_err("A reads 6 numbers").to_string();
    assert!(error.contains("[3, 6]") && error.contains("[6, 7]"), "{error}");
}

/// Two fused operations with candle's own between them and behind them, one tensor read by several, and something
/// learnt that only candle's operations read.
fn tangled([x, scale, a]: [&Tensor; 3]) -> Result<Tensor> {
    let layer = frozen(DType::F64);
    let wide = layer.forward(x)?;
    let halves = wide.narrow(1, 1, 4)?.broadcast_mul(scale)?;
    let again = linear(&halves, a, None)?;
    let both = sum(&activate(&again, Activation::Gelu)?, &activate(&again, Activation::Tanh)?)?;
    let beside = (again.sqr()? + halves.narrow(1, 0, 3)?)?;
    (sum(&both, &beside)? * 0.5)?.mean_all()
}

#[test]
fn a_recorded_backward_is_that_of_candle() {
    let vars = [(&[3_usize, 7][..], 5), (&[4], 6), (&[3, 4], 7)]
        .map(|(shape, seed)| Var::from_tensor(&random(shape, seed, DType::F64)).expect("a variable"));
    let inputs = [vars[0].as_tensor(), vars[1].as_tensor(), vars[2].as_tensor()];
    let whole = tangled(inputs).and_then(|loss| loss.backward()).expect("candle's own");
    let recording = Recording::begin();
    let recorded = tangled(inputs).and_then(|loss| recording.backward(&loss)).expect("a recorded one");
    for (which, input) in inputs.iter().enumerate() {
        let (whole, recorded) = (whole.get(input).expect("there"), recorded.get(input).expect("here"));
        assert!(difference(whole, recorded) < 1e-14, "input {which}");
    }
}

#[test]
fn a_recording_ends_where_it_is_dropped_and_holds_what_is_inside_of_it() {
    let x = Var::from_tensor(&random(&[3, 7], 5, DType::F64)).expect("a variable");
    let y = |x: &Tensor| frozen(DType::F64).forward(x)?.sqr()?.sum_all();
    let outer = Recording::begin();
    let first = y(&x).expect("a number");
    let inner = Recording::begin();
    let second = y(&x).and_then(|y| y * 3.0).expect("a number");
    let of_second = inner.backward(&second).expect("gradients");
    drop(Recording::begin());
    let of_first = outer.backward(&first).expect("gradients");
    let plain = y(&x).and_then(|y| y.backward()).expect("nothing is recorded any more");
    let [first, second] = [&of_first, &of_second].map(|all| all.get(&x).expect("a gradient"));
    let plain = plain.get(&x).expect("a gradient");
    assert!(difference(first, plain) <= 1e-14 * largest(plain));
    assert!(difference(second, &(plain * 3.0).expect("a product")) <= 1e-14 * largest(second));
}
