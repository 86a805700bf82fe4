//! A GGUF file computes what the numbers that its blocks stand for compute: forward, backward
//! (`QLoRA`) and digest, for every kind of blocks. The file is written by candle, the comparison is
//! a folder of dense weights.

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use candle_core::{
    DType, Device, Tensor,
    quantized::{
        GgmlDType, QTensor,
        gguf_file::{self, Value},
    },
};
use hub_client::{
    backbones::{Backbone, Batch, Compute, HeadInputs},
    model::{Mode, StitchedModel},
    ops::Arithmetic,
};
use hub_formats::checkpoint::BaseFolder;
use hub_schemas::{
    backbone::{LinearSite, Targets},
    method::{Dora, LoraConfig, Method},
};
use tempfile::TempDir;

/// Wide enough for one block of 256.
const HIDDEN: usize = 256;
const FFN: usize = 512;
const VOCABULARY: usize = 40;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const LAYERS: usize = 2;

/// Name in a GGUF file, name in `transformers`, rows, columns, heads whose rows are interleaved.
type Spec = (String, String, usize, usize, Option<usize>);

fn specs() -> Vec<Spec> {
    let keys = HIDDEN / HEADS * KV_HEADS;
    let mut specs = vec![(
        "token_embd.weight".to_owned(),
        "model.embed_tokens.weight".to_owned(),
        VOCABULARY,
        HIDDEN,
        None,
    )];
    for layer in 0..LAYERS {
        for (ours, theirs, rows, columns, heads) in [
            ("attn_q", "self_attn.q_proj", HIDDEN, HIDDEN, Some(HEADS)),
            ("attn_k", "self_attn.k_proj", keys, HIDDEN, Some(KV_HEADS)),
            ("attn_v", "self_attn.v_proj", keys, HIDDEN, None),
            ("attn_output", "self_attn.o_proj", HIDDEN, HIDDEN, None),
            ("ffn_gate", "mlp.gate_proj", FFN, HIDDEN, None),
            ("ffn_up", "mlp.up_proj", FFN, HIDDEN, None),
            ("ffn_down", "mlp.down_proj", HIDDEN, FFN, None),
        ] {
            let name = format!("model.layers.{layer}.{theirs}.weight");
            specs.push((format!("blk.{layer}.{ours}.weight"), name, rows, columns, heads));
        }
    }
    specs
}

/// Names and places of norms.
fn norms() -> Vec<(String, String)> {
    let mut norms = vec![("output_norm.weight".to_owned(), "model.norm.weight".to_owned())];
    for layer in 0..LAYERS {
        for (ours, theirs) in [("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")] {
            norms.push((
                format!("blk.{layer}.{ours}.weight"),
                format!("model.layers.{layer}.{theirs}.weight"),
            ));
        }
    }
    norms
}

fn values(count: usize, seed: usize, scale: f32) -> Vec<f32> {
    (0..count)
        .map(|i| scale * (0.37 * i as f32 + 1.3 * seed as f32).sin() * (0.011 * i as f32).cos())
        .collect()
}

/// Halves of every head's rows from interleaved pairs.
fn halves(interleaved: &Tensor, heads: usize) -> Tensor {
    let (rows, columns) = interleaved.dims2().expect("a matrix");
    let apart = interleaved.reshape((heads, rows / heads / 2, 2, columns)).expect("pairs");
    apart.transpose(1, 2).and_then(|t| t.contiguous()?.reshape((rows, columns))).expect("halves")
}

/// Writes `model.gguf` and the folder `dense` of the numbers it stands for.
fn write(dir: &Path, kind: GgmlDType) {
    let device = Device::Cpu;
    let mut quantised: Vec<(String, QTensor)> = Vec::new();
    let mut dense: HashMap<String, Tensor> = HashMap::new();
    for (seed, (ours, theirs, rows, columns, heads)) in specs().into_iter().enumerate() {
        let tensor =
            Tensor::from_vec(values(rows * columns, seed, 0.2), (rows, columns), &device).expect("a tensor");
        let stored = QTensor::quantize(&tensor, kind).expect("quantises");
        let restored = stored.dequantize(&device).expect("restores");
        dense.insert(theirs, heads.map_or_else(|| restored.clone(), |heads| halves(&restored, heads)));
        quantised.push((ours, stored));
    }
    for (seed, (ours, theirs)) in norms().into_iter().enumerate() {
        let weight: Vec<f32> = values(HIDDEN, seed, 0.1).into_iter().map(|v| 1.0 + v).collect();
        let tensor = Tensor::from_vec(weight, HIDDEN, &device).expect("a tensor");
        quantised.push((ours, QTensor::quantize(&tensor, GgmlDType::F32).expect("stores")));
        dense.insert(theirs, tensor);
    }
    let number = |value: usize| Value::U32(value as u32);
    let metadata = [
        ("general.architecture", Value::String("llama".into())),
        ("llama.block_count", number(LAYERS)),
        ("llama.context_length", number(64)),
        ("llama.embedding_length", number(HIDDEN)),
        ("llama.feed_forward_length", number(FFN)),
        ("llama.attention.head_count", number(HEADS)),
        ("llama.attention.head_count_kv", number(KV_HEADS)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.rope.freq_base", Value::F32(10_000.0)),
    ];
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> =
        quantised.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut file = fs::File::create(dir.join("model.gguf")).expect("creates");
    gguf_file::write(&mut file, &metadata, &tensors).expect("writes");
    let folder = dir.join("dense");
    fs::create_dir(&folder).expect("creates");
    let config = serde_json::json!({
        "model_type": "llama", "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "intermediate_size": FFN,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "vocab_size": VOCABULARY,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": true,
    });
    fs::write(folder.join("config.json"), config.to_string()).expect("writes");
    candle_core::safetensors::save(&dense, folder.join("model.safetensors")).expect("writes");
}

fn load(path: &Path, dtype: DType) -> Arc<Backbone> {
    let folder = BaseFolder::open(path).expect("opens");
    Arc::new(Backbone::load_with(&folder, dtype, &Device::Cpu).expect("loads"))
}

fn batch() -> Batch {
    let ids = |values: &[u32]| Tensor::from_slice(values, (2, 5), &Device::Cpu).expect("a tensor");
    Batch {
        input_ids: ids(&[1, 2, 3, 4, 5, 30, 31, 32, 0, 0]),
        attention_mask: ids(&[1, 1, 1, 1, 1, 1, 1, 1, 0, 0]),
        is_unmasked: false,
        token_type_ids: None,
        head_inputs: HeadInputs::default(),
        signal: None,
        decoder: None,
        passed: None,
        image: None,
    }
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let worst =
        (a - b).and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_dtype(DType::F64)?.to_scalar::<f64>());
    worst.expect("compares")
}

#[test]
fn every_kind_of_blocks_computes_what_its_numbers_compute() {
    for kind in [
        GgmlDType::Q4_0,
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::Q8_0,
        GgmlDType::Q4K,
        GgmlDType::Q5K,
        GgmlDType::Q6K,
        GgmlDType::F16,
        GgmlDType::F32,
    ] {
        let dir = TempDir::new().expect("a folder");
        write(dir.path(), kind);
        let run = |path: &Path, dtype| {
            let model = StitchedModel::plain(load(path, dtype)).expect("a model");
            model.forward(&batch(), Mode::Eval).expect("runs").last_hidden_state
        };
        for (dtype, bar) in [(DType::F32, 1e-4), (DType::F64, 1e-6)] {
            let found = run(&dir.path().join("model.gguf"), dtype);
            let expected = run(&dir.path().join("dense"), dtype);
            let worst = difference(&found, &expected);
            assert!(worst <= bar, "{kind:?} in {dtype:?}: off by {worst:e}");
        }
    }
}

#[test]
fn in_bf16_a_file_computes_what_its_dense_copy_computes_in_bf16() {
    let dir = TempDir::new().expect("a folder");
    write(dir.path(), GgmlDType::Q4_1);
    let run = |path: &str, arithmetic| {
        let folder = BaseFolder::open(&dir.path().join(path)).expect("opens");
        let compute = Compute { device: Device::Cpu, arithmetic };
        let model = StitchedModel::plain(Arc::new(Backbone::load_for(&folder, &compute).expect("loads")));
        model.expect("a model").forward(&batch(), Mode::Eval).expect("runs").last_hidden_state
    };
    let found = run("model.gguf", Arithmetic::Bf16);
    let apart = difference(&found, &run("dense", Arithmetic::Bf16));
    assert!(apart <= 1e-4, "off by {apart:e}");
    // And that is rounded.
    let rounded = difference(&found, &run("dense", Arithmetic::Exact));
    assert!((1e-3..0.2).contains(&rounded), "{rounded:e} from single precision");
}

#[test]
fn a_file_and_its_dense_copy_are_one_backbone() {
    let dir = TempDir::new().expect("a folder");
    write(dir.path(), GgmlDType::Q8_0);
    let digest = |path: &str| BaseFolder::open(&dir.path().join(path)).and_then(|base| base.weights_digest());
    assert_eq!(digest("model.gguf").expect("a digest"), digest("dense").expect("a digest"));
    // The file alone in a folder is what the folder means.
    fs::create_dir(dir.path().join("alone")).expect("creates");
    fs::rename(dir.path().join("model.gguf"), dir.path().join("alone/model.gguf")).expect("moves");
    assert_eq!(digest("alone").expect("a digest"), digest("dense").expect("a digest"));
}

#[test]
fn gradients_through_quantised_weights_are_those_through_their_numbers() {
    let dir = TempDir::new().expect("a folder");
    write(dir.path(), GgmlDType::Q4_1);
    let all = Targets::everywhere(&[LinearSite::Query, LinearSite::Value, LinearSite::FfnDown], LAYERS);
    for dora in [None, Some(Dora::Scaled)] {
        let method = Method::Lora(LoraConfig { dora, ..LoraConfig::on(3, 6.0, all.clone()) });
        let gradients = |path: &str| {
            let backbone = load(&dir.path().join(path), DType::F64);
            let model = StitchedModel::fresh(backbone, &method, None, 7).expect("a model");
            for (seed, (_, var)) in model.parameters().iter().enumerate() {
                let moved: Vec<f64> =
                    values(var.elem_count(), seed, 0.3).into_iter().map(f64::from).collect();
                let moved = Tensor::from_vec(moved, var.shape(), &Device::Cpu).expect("a tensor");
                var.set(&(var.as_tensor() + moved).expect("moves")).expect("sets");
            }
            let state = model.forward(&batch(), Mode::Eval).expect("runs").last_hidden_state;
            let store = state.sqr().and_then(|s| s.sum_all()?.backward()).expect("gradients");
            let own = model.parameters().iter();
            own.map(|(slot, var)| (slot.to_owned(), store.get(var).expect("a gradient").clone()))
                .collect::<Vec<_>>()
        };
        for ((slot, found), (_, expected)) in gradients("model.gguf").iter().zip(&gradients("dense")) {
            let size = difference(expected, &expected.zeros_like().expect("zeros")).max(1.0);
            let worst = difference(found, expected) / size;
            assert!(worst <= 1e-6, "{slot}: off by {worst:e}");
        }
    }
}
