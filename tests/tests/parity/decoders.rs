//! Decoders: gradients through the whole model against finite differences in f64, and what
//! holds for every one of them.

use std::{path::Path, sync::Arc};

use candle_core::{DType, Device, Tensor, Var};
use hub_client::{
    backbones::{Backbone, Batch},
    model::{Mode, StitchedModel},
    ops::Recording,
    tensors::read_batch,
};
use hub_formats::checkpoint::BaseFolder;
use hub_schemas::{
    backbone::{LinearSite, Targets},
    head::{ClassificationHead, Head},
    layout::prompt_join,
    method::{ImagePrompt, LlamaAdapterConfig, LoraConfig, Method, PromptGate},
};

fn fixture(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods").join(path)
}

fn load(base: &str) -> (Arc<Backbone>, Batch) {
    let folder = BaseFolder::open(&fixture(&format!("bases/{base}"))).expect("the base opens");
    let batch = read_batch(&fixture("inputs/decoder.safetensors"), folder.config(), &Device::Cpu);
    let backbone = Backbone::load_with(&folder, DType::F64, &Device::Cpu).expect("the base loads");
    let mut batch = batch.expect("the inputs load");
    // What was seen of an image of each row, for adapters that see.
    let rows = batch.input_ids.dim(0).expect("rows");
    let seen = (0..rows * 8).map(|i| (i as f64 * 1.3).sin()).collect();
    batch.image = Some(Tensor::from_vec(seen, (rows, 8), &Device::Cpu).expect("features"));
    (Arc::new(backbone), batch)
}

fn loss(model: &StitchedModel, batch: &Batch) -> candle_core::Result<Tensor> {
    let output = model.forward(batch, Mode::Eval)?;
    let weighed = |t: &Tensor| {
        let n = t.elem_count();
        let weights: Vec<f64> = (0..n).map(|i| (i as f64 * 0.9).cos()).collect();
        (t.flatten_all()? * Tensor::from_vec(weights, n, &Device::Cpu)?)?.sum_all()
    };
    let logits = output.logits().cloned();
    weighed(&output.last_hidden_state)?
        + logits.map_or_else(|| Tensor::new(0f64, &Device::Cpu), |l| weighed(&l))?
}

fn set(var: &Var, values: Vec<f64>) {
    var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).expect("a tensor")).expect("sets");
}

fn check(base: &str, method: &Method) {
    let (backbone, batch) = load(base);
    let head = Head::Classification(ClassificationHead::last(3));
    let model = StitchedModel::fresh(backbone, method, Some(&head), 7).expect("a model");
    // A gate or factor of zero would hide errors in the other's gradient.
    for (index, (_, var)) in model.parameters().iter().enumerate() {
        let values = (0..var.elem_count()).map(|i| 0.3 * (i as f64 * 0.7 + index as f64).sin());
        set(var, values.collect());
    }
    let recording = Recording::begin();
    let grads = loss(&model, &batch).and_then(|l| recording.backward(&l)).expect("backward");
    for (slot, var) in model.parameters().iter() {
        let grad = grads.get(var).unwrap_or_else(|| panic!("{base}: `{slot}` has no gradient"));
        let grad = grad.flatten_all().and_then(|g| g.to_vec1::<f64>()).expect("values");
        let values = var.flatten_all().and_then(|v| v.to_vec1::<f64>()).expect("values");
        for element in [0, grad.len() / 2, grad.len() - 1] {
            let at = |delta: f64| {
                let mut moved = values.clone();
                moved[element] += delta;
                set(var, moved);
                loss(&model, &batch).and_then(|l| l.to_scalar::<f64>()).expect("a loss")
            };
            let eps = 1e-5;
            let numeric = (at(eps) - at(-eps)) / (2.0 * eps);
            set(var, values.clone());
            let error = (numeric - grad[element]).abs() / (1.0 + numeric.abs());
            assert!(error < 1e-6, "{base} `{slot}`[{element}]: {} against {numeric}", grad[element]);
        }
    }
}

#[test]
fn gradients_of_loras_on_every_linear_layer_equal_finite_differences() {
    for base in ["llama", "gpt2", "gemma2"] {
        let sites = load(base).0.config().architecture.linear_sites();
        check(base, &Method::Lora(LoraConfig::on(2, 4.0, Targets::everywhere(&sites, 2))));
    }
    let fused = vec![LinearSite::Query, LinearSite::Value];
    let targets = Targets::everywhere(&[LinearSite::QueryKeyValue], 2);
    check("gpt2", &Method::Lora(LoraConfig { fused, ..LoraConfig::on(2, 4.0, targets) }));
}

fn llama_adapter(base: &str, gate: PromptGate) -> Method {
    let join = prompt_join(gate, load(base).0.config().architecture);
    Method::LlamaAdapter(LlamaAdapterConfig { adapter_len: 3, adapter_layers: 2, gate, join, image: None })
}

/// The same with images of a backbone that is 4 wide.
fn seeing(method: Method) -> Method {
    let Method::LlamaAdapter(config) = method else { panic!("adaption prompts") };
    let base = serde_json::json!({
        "id": "eyes", "architecture": "vit", "hidden_size": 4, "num_layers": 1, "num_heads": 1,
        "intermediate_size": 4, "vocab_size": 0, "max_positions": 5, "token_types": 0,
        "weights_digest": format!("sha256:{}", "0".repeat(64)),
    });
    let base = serde_json::from_value(base).expect("a base model");
    Method::LlamaAdapter(LlamaAdapterConfig { image: Some(ImagePrompt { base }), ..config })
}

#[test]
fn gradients_of_llama_adapters_equal_finite_differences() {
    for base in ["llama", "gpt2"] {
        for gate in [PromptGate::Scalar, PromptGate::HeadTanh] {
            check(base, &llama_adapter(base, gate));
            check(base, &seeing(llama_adapter(base, gate)));
        }
    }
}

#[test]
fn a_fresh_llama_adapter_changes_nothing_and_only_its_gate_has_a_gradient() {
    let (backbone, batch) = load("llama");
    let plain = StitchedModel::plain(Arc::clone(&backbone)).expect("a model");
    let plain = plain.forward(&batch, Mode::Eval).expect("forward").last_hidden_state;
    let method = llama_adapter("llama", PromptGate::Scalar);
    let model = StitchedModel::fresh(backbone, &method, None, 7).expect("a model");
    let state = model.forward(&batch, Mode::Eval).expect("forward").last_hidden_state;
    let largest = (&state - &plain).and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>());
    assert!(largest.expect("a number") < 1e-12);
    let recording = Recording::begin();
    let grads = loss(&model, &batch).and_then(|l| recording.backward(&l)).expect("backward");
    for (slot, var) in model.parameters().iter() {
        let largest = grads.get(var).map(|g| g.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>());
        let largest = largest.transpose().expect("a number").unwrap_or(0.0);
        assert_eq!(largest > 0.0, slot.ends_with("gate"), "`{slot}`: {largest}");
    }
}

#[test]
fn no_token_sees_those_behind_it() {
    for base in ["llama", "gpt2"] {
        let (backbone, batch) = load(base);
        let model = StitchedModel::plain(backbone).expect("a model");
        let state = |batch: &Batch| model.forward(batch, Mode::Eval).expect("forward").last_hidden_state;
        let whole = state(&batch);
        let start = |t: &Tensor| t.narrow(1, 0, 2).expect("a part");
        let mut short = batch.clone();
        short.input_ids = start(&batch.input_ids);
        short.attention_mask = start(&batch.attention_mask);
        short.token_type_ids = None;
        let difference = (start(&whole) - state(&short)).and_then(|d| d.abs()?.flatten_all()?.max(0));
        assert!(difference.and_then(|d| d.to_scalar::<f64>()).expect("a number") < 1e-12, "{base}");
    }
}

#[test]
fn a_module_that_the_backbone_lacks_is_refused_by_name() {
    let (backbone, _) = load("gpt2");
    let method = Method::Lora(LoraConfig::query_value(2, 4.0, 2));
    let error = StitchedModel::fresh(backbone, &method, None, 7).expect_err("refused").to_string();
    assert_eq!(
        error,
        "the adapter changes `layers.0.query`, which gpt2 models do not have; linear layers of theirs are: \
         attention_output, ffn_up, ffn_down, query_key_value"
    );
}
