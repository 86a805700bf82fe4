//! A GGUF file computes what the numbers that its blocks stand for compute: forward, backward
//! (`QLoRA`) and digest, for every kind of blocks. The file is written by candle, the comparison is
//! a folder of dense weights. And what blocks stand for is what Python's `gguf` restores from them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::{DType, Device, Tensor, quantized::GgmlDType};
use hub_client::{
    backbones::{Backbone, Batch, Compute, HeadInputs},
    model::{Mode, StitchedModel},
    ops::Arithmetic,
};
use hub_formats::checkpoint::{BaseFolder, BlockKind, TensorFile};
use hub_schemas::{
    backbone::{LinearSite, Targets},
    layout::{Dtype, TensorInfo},
    method::{Dora, LoraConfig, Method},
};
use hub_tests::gguf::{LAYERS, values, write_gguf};
use tempfile::TempDir;

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
        write_gguf(dir.path(), kind);
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
    write_gguf(dir.path(), GgmlDType::Q4_1);
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

/// `tests/fixtures/gguf/make.py` made the file with gguf 0.19.0. The numbers are the same to the last bit, but for the sign
/// of a zero.
#[test]
fn blocks_stand_for_the_numbers_that_pythons_gguf_restores() {
    use BlockKind as K;
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/gguf");
    let base = BaseFolder::open(&fixtures.join("model.gguf")).expect("opens");
    let expected = TensorFile::open(&fixtures.join("expected.safetensors")).expect("opens");
    let numbers = |file: &TensorFile, info: &TensorInfo| {
        let bytes = file.read(info).expect("reads").bytes;
        let dtype = if info.dtype == Dtype::F16 { DType::F16 } else { DType::F32 };
        let numbers = Tensor::from_raw_buffer(&bytes, dtype, &info.shape, &Device::Cpu);
        let numbers = numbers.and_then(|all| all.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>());
        numbers.expect("numbers")
    };
    let (mut kinds, mut dtypes) = (Vec::new(), Vec::new());
    for (name, info) in &expected.header.tensors {
        let expected = numbers(&expected, info);
        let (file, info) = base.extra_tensor(name).expect("a tensor");
        let file = &base.files()[file];
        match file.blocks(info).expect("blocks") {
            Some(blocks) => kinds.push(blocks.kind()),
            None => dtypes.push(info.dtype),
        }
        let found = numbers(file, info);
        // The first rows were kept.
        assert!(found.len() >= expected.len() && !expected.is_empty(), "{name}");
        // A zero plus zero has no sign.
        let bits = |number: f32| (number + 0.0).to_bits();
        let differ =
            found.iter().zip(&expected).position(|(&found, &expected)| bits(found) != bits(expected));
        assert_eq!(differ, None, "{name}");
    }
    for kind in [K::Q4_0, K::Q4_1, K::Q5_0, K::Q5_1, K::Q8_0, K::Q4K, K::Q5K, K::Q6K] {
        assert!(kinds.contains(&kind), "{kind:?} is not in the file");
    }
    assert!(dtypes.contains(&Dtype::F16) && dtypes.contains(&Dtype::F32), "{dtypes:?}");
}

#[test]
fn a_file_and_its_dense_copy_are_one_backbone() {
    let dir = TempDir::new().expect("a folder");
    write_gguf(dir.path(), GgmlDType::Q8_0);
    let digest = |path: &str| BaseFolder::open(&dir.path().join(path)).and_then(|base| base.weights_digest());
    assert_eq!(digest("model.gguf").expect("a digest"), digest("dense").expect("a digest"));
    // The file alone in a folder is what the folder means.
    fs::create_dir(dir.path().join("alone")).expect("creates");
    fs::rename(dir.path().join("model.gguf"), dir.path().join("alone/model.gguf")).expect("moves");
    assert_eq!(digest("alone").expect("a digest"), digest("dense").expect("a digest"));
}

#[test]
fn gradients_through_quantised_weights_are_those_through_their_numbers() {
    for kind in [
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q8_0,
        GgmlDType::Q4K,
        GgmlDType::Q6K,
        GgmlDType::F16,
        GgmlDType::F32,
    ] {
        let dir = TempDir::new().expect("a folder");
        write_gguf(dir.path(), kind);
        for dora in [None, Some(Dora::Scaled)] {
            same_gradients(dir.path(), kind, dora);
        }
    }
}

/// Compares the gradients of a LoRA on `model.gguf` with those on `dense`.
fn same_gradients(dir: &Path, kind: GgmlDType, dora: Option<Dora>) {
    let all = Targets::everywhere(&[LinearSite::Query, LinearSite::Value, LinearSite::FfnDown], LAYERS);
    let method = Method::Lora(LoraConfig { dora, ..LoraConfig::on(3, 6.0, all) });
    let gradients = |path: &str| {
        let model = StitchedModel::fresh(load(&dir.join(path), DType::F64), &method, None, 7);
        let model = model.expect("a model");
        for (seed, (_, var)) in model.parameters().iter().enumerate() {
            let moved: Vec<f64> = values(var.elem_count(), seed, 0.3).into_iter().map(f64::from).collect();
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
        assert!(worst <= 1e-6, "{kind:?}, {dora:?}, {slot}: off by {worst:e}");
    }
}
