//! Every operation with kernels of its own, in single precision on the GPU, beside the CPU in double precision: what it
//! gives, and the gradient of everything that it is given.

use candle_core::{DType, Device, Result, Tensor, Var};
use hub_client::ops::{
    self, Arithmetic, Attention, DropoutKey, FeedForward, FrozenLinear, KeyMask, LowRank, Norm, Recording,
    Rotary, cross_entropy_rows,
};
use hub_client::training::adamw::{AdamW, AdamWConfig, Gradients};
use hub_schemas::method::Activation;

use super::device;

/// The largest difference, relative to the largest number.
pub(super) const BAR: f64 = 2e-6;

/// Numbers around zero that follow no pattern.
fn numbers(shape: &[usize], seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64 * 4.0 - 2.0
    };
    (0..shape.iter().product()).map(|_| next()).collect()
}

/// The output of `run` on inputs of these shapes, then the gradients of its weighed sum.
fn outcome(
    shapes: &[&[usize]],
    (device, dtype): (&Device, DType),
    run: &dyn Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<Vec<Vec<f64>>> {
    let input = |(seed, shape): (usize, &&[usize])| {
        Var::from_tensor(&Tensor::from_vec(numbers(shape, seed as u64), *shape, device)?.to_dtype(dtype)?)
    };
    let vars = shapes.iter().enumerate().map(input).collect::<Result<Vec<_>>>()?;
    let inputs: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let recording = Recording::begin();
    let y = run(&inputs)?;
    let weights = Tensor::from_vec(numbers(y.dims(), 77), y.dims(), device)?.to_dtype(dtype)?;
    let store = recording.backward(&(&y * weights)?.sum_all()?)?;
    let flat = |x: &Tensor| x.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1();
    let gradients = vars.iter().map(|var| flat(store.get(var).expect("a gradient")));
    std::iter::once(flat(&y)).chain(gradients).collect()
}

pub(super) fn check(name: &str, shapes: &[&[usize]], bar: f64, run: &dyn Fn(&[Tensor]) -> Result<Tensor>) {
    let here = outcome(shapes, (&Device::Cpu, DType::F64), run).expect(name);
    let there = outcome(shapes, (&device(), DType::F32), run).expect(name);
    for (which, (here, there)) in here.iter().zip(&there).enumerate() {
        let largest = here.iter().fold(1e-6_f64, |largest, x| largest.max(x.abs()));
        let apart = here.iter().zip(there).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert_eq!(here.len(), there.len(), "{name}: number {which}");
        assert!(there.iter().all(|x| x.is_finite()), "{name}: number {which} holds what is no number");
        assert!(apart <= bar * largest, "{name}: number {which} is {:e} apart", apart / largest);
    }
}

/// A frozen tensor where and as `like` is.
pub(super) fn frozen(shape: &[usize], seed: u64, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(numbers(shape, seed), shape, like.device())?.to_dtype(like.dtype())
}

#[test]
fn frozen_linear_layers_with_and_without_a_bias() {
    for has_bias in [false, true] {
        check("frozen-linear", &[&[2, 5, 24]], BAR, &|x| {
            let bias = has_bias.then(|| frozen(&[40], 3, &x[0])).transpose()?;
            FrozenLinear::new(frozen(&[40, 24], 2, &x[0])?, bias)?.forward(&x[0])
        });
    }
}

#[test]
fn norms_of_rows_short_and_long_with_and_without_a_residual() {
    for width in [7, 384, 4096] {
        let norms: [fn(&Tensor, &Tensor) -> Result<Norm>; 3] = [
            |gain, bias| Norm::new(gain, bias, 1e-5),
            |gain, _| Norm::rms(gain, 1e-6),
            |gain, _| Norm::rms_from_one(gain, 1e-6),
        ];
        for norm in norms {
            let of = |like: &Tensor| norm(&frozen(&[width], 5, like)?, &frozen(&[width], 6, like)?);
            check("norm", &[&[3, 4, width]], 4.0 * BAR, &|x| of(&x[0])?.forward(&x[0]));
            check("sum-norm", &[&[3, 4, width], &[3, 4, width]], 4.0 * BAR, &|x| {
                of(&x[0])?.forward_sum(&x[0], &x[1])
            });
        }
    }
}

#[test]
fn activations_alone_before_a_layer_and_as_a_gate() {
    let all = [
        Activation::Relu,
        Activation::Gelu,
        Activation::GeluNew,
        Activation::Swish,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::LeakyRelu,
        Activation::QuickGelu,
        Activation::Mish,
    ];
    for activation in all {
        let name = format!("{activation:?}");
        check(&name, &[&[3, 1000]], BAR, &|x| ops::activate(&x[0], activation));
        let layer = |x: &Tensor| FrozenLinear::new(frozen(&[12, 40], 2, x)?, Some(frozen(&[12], 3, x)?));
        check(&name, &[&[5, 40]], BAR, &|x| ops::activated(&layer(&x[0])?, &x[0], activation));
        check(&name, &[&[5, 40], &[5, 40]], BAR, &|x| ops::gated(&layer(&x[0])?, &x[0], &x[1], activation));
    }
}

#[test]
fn whole_feed_forward_networks() {
    for has_gate in [false, true] {
        check("network", &[&[2, 5, 24]], 2.0 * BAR, &|x| {
            let layer = |shape: &[usize], seed| {
                FrozenLinear::new(frozen(shape, seed, &x[0])?, Some(frozen(&shape[..1], seed + 1, &x[0])?))
            };
            let (gate, up, down) = (layer(&[40, 24], 2)?, layer(&[40, 24], 4)?, layer(&[24, 40], 6)?);
            let gate = has_gate.then_some(&gate);
            FeedForward { gate, up: &up, down: &down, activation: Activation::Gelu }.forward(&x[0])
        });
    }
}

#[test]
fn networks_in_bf16_are_near_whatever_their_width() {
    for (width, inner) in [(24, 40), (21, 39), (64, 256)] {
        for (has_gate, has_bias) in [(false, true), (true, true), (true, false)] {
            let name = format!("network {width} × {inner} {has_gate} {has_bias}");
            check(&name, &[&[2, 50, width]], 2e-2, &|x| {
                let layer = |shape: [usize; 2], seed| {
                    let bias = has_bias.then(|| frozen(&shape[..1], seed + 1, &x[0])).transpose()?;
                    // Sums as wide as those of a model.
                    let weight = (frozen(&shape, seed, &x[0])? * (1.0 / shape[1] as f64).sqrt())?;
                    FrozenLinear::new(weight, bias)?.computing_in(Arithmetic::Bf16)
                };
                let (gate, up, down) =
                    (layer([inner, width], 2)?, layer([inner, width], 4)?, layer([width, inner], 6)?);
                let gate = has_gate.then_some(&gate);
                FeedForward { gate, up: &up, down: &down, activation: Activation::Swish }.forward(&x[0])
            });
        }
    }
}

#[test]
fn layers_that_are_learnt() {
    for (inputs, outputs) in [(24, 5), (384, 24), (48, 768)] {
        let (x, w, b): (&[usize], &[usize], &[usize]) = (&[3, 70, inputs], &[outputs, inputs], &[outputs]);
        check("linear", &[x, w], 4.0 * BAR, &|x| ops::linear(&x[0], &x[1], None));
        check("linear with a bias", &[x, w, b], 4.0 * BAR, &|x| ops::linear(&x[0], &x[1], Some(&x[2])));
    }
    for width in [7, 100, 768, 5000] {
        let (x, affine): (&[usize], &[usize]) = (&[3, 70, width], &[width]);
        check("layer norm", &[x, affine, affine], 8.0 * BAR, &|x| {
            ops::trainable_norm(&x[0], &x[1], &x[2], 1e-5)
        });
        let rms = |x: &[Tensor]| Norm::rms(&x[1], 1e-6)?.replaced(Some(&x[1]), None).forward(&x[0]);
        check("RMS norm", &[x, affine], 8.0 * BAR, &rms);
    }
}

#[test]
fn sums_and_rows_by_number() {
    for width in [1, 7, 300] {
        let shape: &[usize] = &[5, width];
        check("sum", &[shape, shape], BAR, &|x| ops::sum(&x[0], &x[1]));
        check("rows", &[shape], BAR, &|x| {
            ops::select_rows(&x[0], &Tensor::new(&[4_u32, 0, 4, 2], x[0].device())?)
        });
        // What is cut out of something larger begins anywhere.
        let long: &[usize] = &[7, width];
        check("a part", &[long, long], BAR, &|x| {
            ops::sum(&x[0].narrow(0, 1, 5)?, &ops::activate(&x[1].narrow(0, 1, 5)?, Activation::Gelu)?)
        });
    }
}

#[test]
fn steps_of_the_optimiser() {
    let shapes: Vec<Vec<usize>> =
        (0..70).map(|i| if i % 3 == 0 { vec![i + 1] } else { vec![i + 1, 9 * i] }).collect();
    let learn = |device: &Device| -> Result<(f64, Vec<Vec<f32>>)> {
        let numbers = |shape: &[usize], seed| {
            Tensor::from_vec(numbers(shape, seed), shape, device)?.to_dtype(DType::F32)
        };
        let vars = shapes.iter().enumerate().map(|(i, shape)| Var::from_tensor(&numbers(shape, i as u64)?));
        let vars: Vec<(String, Var)> =
            vars.enumerate().map(|(i, var)| Ok((format!("slot {i}"), var?))).collect::<Result<_>>()?;
        let parameters = || vars.iter().map(|(slot, var)| (slot.as_str(), var));
        let mut optimiser = AdamW::new(AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() });
        let mut norm = 0.0;
        for step in 0..4_u64 {
            let recording = Recording::begin();
            let mut loss = Tensor::zeros((), DType::F32, device)?;
            for (i, (_, var)) in vars.iter().enumerate() {
                let weights = numbers(var.dims(), 100 * step + i as u64)?;
                loss = (loss + (var.as_tensor() * weights)?.sum_all()?)?;
            }
            let mut gradients = Gradients::of_loss(recording, &loss, None, &parameters())
                .map_err(candle_core::Error::wrap)?;
            norm = gradients.norm().map_err(candle_core::Error::wrap)?;
            gradients.clip(norm, 1.0);
            optimiser.step(parameters(), &gradients, 0.01).map_err(candle_core::Error::wrap)?;
        }
        let values =
            vars.iter().map(|(_, var)| var.flatten_all()?.to_vec1::<f32>()).collect::<Result<_>>()?;
        Ok((norm, values))
    };
    let ((here, expected), (there, found)) =
        (learn(&Device::Cpu).expect("here"), learn(&device()).expect("there"));
    assert!((here - there).abs() < 1e-5 * here, "{there} is not {here}");
    for (which, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "slot {which}: {apart:e} apart");
    }
}

#[test]
fn updates_of_low_rank() {
    for rank in [1, 4, 6, 8, 16] {
        check("low-rank", &[&[2, 99, 24], &[rank, 24], &[140, rank]], 4.0 * BAR, &|x| {
            let layer = FrozenLinear::new(frozen(&[140, 24], 2, &x[0])?, Some(frozen(&[140], 3, &x[0])?))?;
            LowRank { a: &x[1], b: &x[2], scaling: 0.5 }.forward(&layer, &x[0])
        });
    }
}

#[test]
fn rotary_positions() {
    let frequencies: Vec<f32> = (0..8).map(|i| 0.1_f32.powi(i)).collect();
    check("rotary", &[&[2, 6, 48]], BAR, &|x| Rotary::new(&frequencies, 3..9).forward(&x[0]));
}

#[test]
fn the_cross_entropy_of_few_and_of_many_classes() {
    for classes in [2, 77, 30_000] {
        let labels: Vec<u32> = (0..5).map(|row| (row * 7919) % classes as u32).collect();
        check("cross-entropy", &[&[5, classes]], BAR, &|x| cross_entropy_rows(&x[0], &labels));
    }
}

/// What is made of a mask of padding.
type Change = fn(KeyMask) -> KeyMask;

#[test]
fn attention_under_every_mask() {
    let padding = |device: &Device| {
        let mask = Tensor::new(&[[1u32, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0], [0; 7]], device)?;
        KeyMask::new(&mask)
    };
    let masks: [(&str, Change); 7] = [
        ("padding", |mask| mask),
        ("causal", |mask| mask.with_causality(true)),
        ("free queries", |mask| mask.with_free_queries(2)),
        ("reach", |mask| mask.with_reach(Some(1))),
        ("causal reach", |mask| mask.with_causality(true).with_reach(Some(2))),
        ("score in front", |mask| mask.with_score_in_front(2, 0.7)),
        ("keys in front", |mask| mask.rows(0, 3).with_causality(true)),
    ];
    for (name, change) in masks {
        for kv_heads in [4, 2, 1] {
            let attention = Attention { kv_heads, ..Attention::new(4) };
            let of_keys: &[usize] = &[3, 7, kv_heads * 8];
            check(name, &[&[3, 7, 32], of_keys, of_keys], 4.0 * BAR, &|x| {
                attention.forward(&x[0], &x[1], &x[2], &change(padding(x[0].device())?))
            });
        }
    }
    // Fewer queries than keys, as when words follow words, and a number for every distance.
    check("cached", &[&[1, 2, 32], &[1, 9, 16], &[1, 9, 16]], 4.0 * BAR, &|x| {
        let mask = KeyMask::all_visible(1, 9).with_causality(true);
        let bias = frozen(&[4, 2, 9], 9, &x[0])?;
        let attention = Attention { kv_heads: 2, ..Attention::new(4) };
        attention.forward_with_bias([&x[0], &x[1], &x[2]], &mask, Some(&bias))
    });
    check("bounded", &[&[1, 3, 32], &[1, 3, 32], &[1, 3, 32]], 4.0 * BAR, &|x| {
        let attention = Attention { soft_cap: Some(1.5), ..Attention::new(4) };
        attention.forward(&x[0], &x[1], &x[2], &KeyMask::all_visible(1, 3))
    });
}

#[test]
fn attention_in_bf16_is_near_whatever_its_width_and_length() {
    let half = |kv_heads| Attention { kv_heads, arithmetic: Arithmetic::Bf16, ..Attention::new(4) };
    for width in [32, 64, 128] {
        for (queries, keys, kv_heads) in [(7, 7, 4), (70, 70, 2), (130, 130, 1), (3, 150, 2), (200, 200, 4)] {
            let masks: [Change; 4] = [
                |mask| mask,
                |mask| mask.with_causality(true),
                |mask| mask.with_free_queries(2),
                |mask| mask.with_causality(true).with_free_queries(2),
            ];
            for mask in masks {
                let (of_queries, of_keys) = ([2, queries, 4 * width], [2, keys, kv_heads * width]);
                let name = format!("flash {width}: {queries} × {keys}, {kv_heads} heads of keys");
                check(&name, &[&of_queries, &of_keys, &of_keys], 2e-2, &|x| {
                    // The second row has padding behind a third of its keys.
                    let shown = (0..2 * keys).map(|at| u32::from(at < keys || at - keys <= keys / 3));
                    let shown = Tensor::from_vec(shown.collect::<Vec<_>>(), (2, keys), x[0].device())?;
                    let mask = mask(KeyMask::new(&shown)?);
                    // Scores as wide as those of a model.
                    half(kv_heads).forward(&(&x[0] * 0.5)?, &x[1], &x[2], &mask)
                });
            }
        }
    }
}

#[test]
fn scores_of_more_rows_than_there_is_room_for_are_computed_in_parts() {
    // 3 rows of 4 heads and 4096 × 4096 scores: more than are computed at a time.
    let shape: &[usize] = &[3, 4096, 32];
    let run = |x: &[Tensor]| {
        Attention::new(4).forward(&x[0], &x[1], &x[2], &KeyMask::all_visible(3, 4096).with_causality(true))
    };
    let all = outcome(&[shape, shape, shape], (&device(), DType::F32), &run).expect("computes");
    // The last row alone is the last row of all.
    let last = |x: &[Tensor]| {
        let x: Vec<Tensor> = x.iter().map(|x| x.narrow(0, 2, 1)?.contiguous()).collect::<Result<_>>()?;
        Attention::new(4).forward(&x[0], &x[1], &x[2], &KeyMask::all_visible(1, 4096).with_causality(true))
    };
    let alone = outcome(&[shape, shape, shape], (&device(), DType::F32), &last).expect("computes");
    let row = 4096 * 32;
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-5;
    assert!(all[0][2 * row..].iter().zip(&alone[0]).all(near), "a part of the batch computes something else");
}

#[test]
fn dropout_keeps_its_share_and_repeats_itself() {
    let key = DropoutKey { seed: 7, step: 3, site: 11 };
    let ones = Tensor::ones(1_000_001, DType::F32, &device()).expect("ones");
    let drop = |key| -> Vec<f32> { ops::dropout(&ones, 0.3, key).and_then(|y| y.to_vec1()).expect("drops") };
    let first = drop(key);
    let kept = first.iter().filter(|&&x| x > 0.0).count() as f64 / first.len() as f64;
    assert!((kept - 0.7).abs() < 2e-3, "{kept}");
    assert!(first.iter().all(|&x| x == 0.0 || (x - 1.0 / 0.7).abs() < 1e-6));
    assert_eq!(first, drop(key));
    assert_ne!(first, drop(DropoutKey { step: 4, ..key }));
    for site in [12, 11 + (1 << 32), 11 + (1 << 62), 11 + (1 << 63)] {
        assert_ne!(first, drop(DropoutKey { site, ..key }), "{site:x}");
    }
    // The gradient passes where the number passed.
    let var = Var::from_tensor(&ones).expect("a variable");
    let store = ops::dropout(&var, 0.3, key).and_then(|y| y.sum_all()?.backward()).expect("backward");
    let gradient: Vec<f32> = store.get(&var).expect("a gradient").to_vec1().expect("numbers");
    assert_eq!(gradient, first);
}
