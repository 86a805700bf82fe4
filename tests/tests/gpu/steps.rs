//! A step of training on the GPU beside the same step on the CPU in double precision.

use std::{path::Path, sync::Arc};

use candle_core::{DType, Device, Result, Tensor};
use hub_client::{
    backbones::{Backbone, Compute},
    model::{Mode, StitchedModel},
    ops::{Arithmetic, Recording},
    tasks::cross_entropy,
    tensors::{read_batch, view_of},
};
use hub_formats::checkpoint::BaseFolder;
use hub_schemas::{
    backbone::{LinearSite, Targets},
    head::{ClassificationHead, Head},
    method::{BottleneckConfig, Ia3Config, LoraConfig, Method, PrefixConfig},
};

use super::device;

fn methods(layers: usize) -> Vec<Method> {
    vec![
        Method::Lora(LoraConfig::query_value(4, 8.0, layers)),
        Method::Bottleneck(BottleneckConfig::pfeiffer(2.0)),
        Method::Bottleneck(BottleneckConfig::houlsby(2.0)),
        Method::Prefix(PrefixConfig::flat(3)),
        Method::Ia3(Ia3Config {
            outputs: Targets::everywhere(&[LinearSite::Key, LinearSite::Value], layers),
            inputs: Targets::everywhere(&[LinearSite::FfnDown], layers),
            use_gating: false,
            alpha: 1.0,
            fused: Vec::new(),
        }),
    ]
}

/// Gradients by slot.
type Gradients = Vec<(String, Vec<f64>)>;

/// The loss, and all gradients.
fn step(base: &str, number: usize, compute: (DType, &Compute)) -> Result<(f64, Gradients)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods");
    let inputs =
        root.join("inputs").join(if base == "llama" { "decoder.safetensors" } else { "bert.safetensors" });
    let folder = BaseFolder::open_as(&root.join("bases").join(base), view_of(&inputs).expect("a view"))
        .expect("opens");
    let (dtype, compute) = compute;
    let backbone = match (dtype, compute.arithmetic) {
        (DType::F32, _) => Backbone::load_for(&folder, compute)?,
        (dtype, _) => Backbone::load_with(&folder, dtype, &compute.device)?,
    };
    let batch = read_batch(&inputs, folder.config(), &compute.device).expect("a batch");
    let method = &methods(folder.config().shape.num_layers)[number];
    let head = Head::Classification(ClassificationHead::pooled(3));
    let head = if base == "llama" { None } else { Some(&head) };
    let model = StitchedModel::fresh(Arc::new(backbone), method, head, 3).expect("a model");
    // Everything starts where nothing cancels.
    for (at, (_, var)) in model.parameters().iter().enumerate() {
        let moved: Vec<f64> =
            (0..var.elem_count()).map(|i| ((i * 31 + at * 7) % 17) as f64 * 0.01 - 0.08).collect();
        var.set(&Tensor::from_vec(moved, var.shape(), var.device())?.to_dtype(var.dtype())?)?;
    }
    let recording = Recording::begin();
    let output = model.forward(&batch, Mode::Eval)?;
    let loss = match output.logits() {
        Some(logits) => {
            let labels: Vec<u32> = (0..logits.dim(0)? as u32).map(|row| row % 3).collect();
            cross_entropy(logits, &Tensor::new(labels, logits.device())?)?
        }
        None => output.last_hidden_state.sqr()?.mean_all()?,
    };
    let store = recording.backward(&loss)?;
    let numbers =
        |x: &Tensor| x.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let gradients = model
        .parameters()
        .iter()
        .map(|(slot, var)| Ok((slot.to_owned(), numbers(store.get(var).expect("a gradient"))?)));
    Ok((numbers(&loss)?[0], gradients.collect::<Result<_>>()?))
}

#[test]
fn losses_and_gradients_are_those_of_the_cpu() {
    let cpu = Compute::EXACT;
    for base in ["bert", "llama"] {
        for number in 0..methods(2).len() {
            let (loss, gradients) = step(base, number, (DType::F64, &cpu)).expect("on the CPU");
            for (arithmetic, bar) in [(Arithmetic::Exact, 1e-4), (Arithmetic::Bf16, 1e-2)] {
                let gpu = Compute { device: device(), arithmetic };
                let (found, there) = step(base, number, (DType::F32, &gpu)).expect("on the GPU");
                assert!(
                    (found - loss).abs() <= bar * loss.abs().max(1.0),
                    "{base} {number}: {found} and {loss}"
                );
                let norm =
                    |all: &Gradients| all.iter().flat_map(|(_, g)| g).map(|g| g * g).sum::<f64>().sqrt();
                let apart: f64 = gradients
                    .iter()
                    .zip(&there)
                    .flat_map(|((_, a), (_, b))| a.iter().zip(b))
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum();
                let relative = apart.sqrt() / norm(&gradients).max(1e-12);
                // A gradient passes twice as many products as a loss.
                assert!(
                    relative <= 3.0 * bar,
                    "{base} {number} {arithmetic:?}: gradients {relative:e} apart"
                );
            }
        }
    }
}
