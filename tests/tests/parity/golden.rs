//! Every golden case of the methods this version has, in double and in single precision.

use std::{path::Path, sync::Arc};

use candle_core::{DType, Device};
use hub_client::{
    backbones::Backbone,
    composition::Composition,
    model::{Mode, Output, StitchedModel},
};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder, FusionFolder};
use hub_tests::golden::{Golden, max_difference};
use tempfile::TempDir;

/// The file has twelve digits.
const DOUBLE: f64 = 1e-10;
/// The bar for single precision.
const SINGLE: f64 = 1e-4;

fn backbone(dir: &Path, dtype: DType) -> Arc<Backbone> {
    let folder = BaseFolder::open(&dir.join("base")).expect("the base opens");
    Arc::new(Backbone::load_with(&folder, dtype, &Device::Cpu).expect("the base loads"))
}

/// Runs `composition` over adapters (name, phase) of a case in both precisions.
fn check(case: &str, adapters: &[(&str, f64)], composition: &str) {
    check_with_fusion(case, adapters, composition, false);
}

fn check_with_fusion(case: &str, adapters: &[(&str, f64)], composition: &str, is_fused: bool) {
    let golden = Golden::read();
    let dir = TempDir::new().expect("a folder");
    golden.write_base(&dir.path().join("base"));
    for (name, off) in adapters {
        golden.write_adapter(case, name, *off, &dir.path().join(name));
    }
    let folders: Vec<(String, AdapterFolder)> = (adapters.iter())
        .map(|(name, _)| {
            (name.to_string(), AdapterFolder::open(&dir.path().join(name)).expect("the adapter opens"))
        })
        .collect();
    let named: Vec<(String, &AdapterFolder)> =
        folders.iter().map(|(name, folder)| (name.clone(), folder)).collect();
    let composition: Composition = composition.parse().expect("an expression");
    let mut fusions = Vec::new();
    if is_fused {
        golden.write_fusion(case, &dir.path().join("a,b"));
        fusions.push(FusionFolder::open(&dir.path().join("a,b")).expect("the fusion opens"));
    }
    for (dtype, bar) in [(DType::F64, DOUBLE), (DType::F32, SINGLE)] {
        let model = StitchedModel::compose(backbone(dir.path(), dtype), &named, &fusions, &composition)
            .expect("composes");
        let output = run(&model, &golden);
        let worst = max_difference(&output.last_hidden_state, &golden.expected(case)).expect("compares");
        assert!(worst <= bar, "{case} in {dtype:?}: off by {worst:e}");
    }
}

fn run(model: &StitchedModel, golden: &Golden) -> Output {
    model.forward(&golden.batch().expect("a batch"), Mode::Eval).expect("forward")
}

#[test]
fn the_plain_backbone_equals_transformers() {
    let golden = Golden::read();
    let dir = TempDir::new().expect("a folder");
    golden.write_base(&dir.path().join("base"));
    for (dtype, bar) in [(DType::F64, DOUBLE), (DType::F32, SINGLE)] {
        let model = StitchedModel::plain(backbone(dir.path(), dtype)).expect("a model");
        let output = run(&model, &golden);
        let worst = max_difference(&output.last_hidden_state, &golden.expected("base")).expect("compares");
        assert!(worst <= bar, "off by {worst:e}");
        assert!(output.logits().is_none());
    }
}

#[test]
fn every_sequential_bottleneck_equals_adapters() {
    for case in [
        "seq_bn",
        "seq_bn_swish",
        "seq_bn_gelu",
        "seq_bn_gelu_new",
        "seq_bn_ln_before",
        "seq_bn_ln_after",
        "seq_bn_ln_after_res_before",
        "seq_bn_res_after_ln",
        "seq_bn_post_add",
        "seq_bn_gating",
        "double_seq_bn",
    ] {
        check(case, &[("a", 5.0)], "a");
    }
}

#[test]
fn every_lora_equals_adapters() {
    check("lora", &[("a", 5.0)], "a");
    check("lora_all", &[("a", 5.0)], "a");
}

#[test]
fn every_other_bottleneck_equals_adapters() {
    for case in ["par_bn", "scaled_par_bn", "adapter_plus", "seq_bn_inv", "compacter", "compacter++"] {
        check(case, &[("a", 5.0)], "a");
    }
}

#[test]
fn every_method_that_is_no_bottleneck_equals_adapters() {
    for case in ["ia3", "prefix_tuning", "prefix_tuning_flat", "prompt_tuning", "noreft", "direft"] {
        check(case, &[("a", 5.0)], "a");
    }
}

#[test]
fn every_union_equals_adapters() {
    check("unipelt", &[("a", 5.0)], "a");
    check("mam", &[("a", 5.0)], "a");
}

#[test]
fn every_composition_equals_adapters() {
    let both = [("a", 5.0), ("b", 9.0)];
    check("Stack(a,b)", &both, "Stack(a, b)");
    check("Stack(loraA,loraB)", &both, "Stack(a, b)");
    check("Split(a,b,[2,3])", &both, "Split(a, b, splits=[2, 3])");
    check("Average(a,b,[.25,.75])", &both, "Average(a, b, weights=[0.25, 0.75])");
    check("BatchSplit(a,b,[1,1])", &both, "BatchSplit(a, b, batch_sizes=[1, 1])");
    check("Parallel(a,b)", &both, "Parallel(a, b)");
    check_with_fusion("Fuse(a,b)_static", &both, "Fuse(a, b)", true);
    check_with_fusion("Fuse(a,b)_dynamic", &both, "Fuse(a, b)", true);
}

#[test]
fn the_classification_head_equals_adapters() {
    let golden = Golden::read();
    let dir = TempDir::new().expect("a folder");
    golden.write_base(&dir.path().join("base"));
    golden.write_head(&dir.path().join("h"));
    let folder = AdapterFolder::open(&dir.path().join("h")).expect("the head opens");
    for (dtype, bar) in [(DType::F64, DOUBLE), (DType::F32, SINGLE)] {
        let model = StitchedModel::load(backbone(dir.path(), dtype), &folder).expect("loads");
        let output = run(&model, &golden);
        let logits = output.logits().expect("there is a head");
        let worst = max_difference(logits, &golden.expected("classification_head_logits")).expect("compares");
        assert!(worst <= bar, "off by {worst:e}");
    }
}

#[test]
fn a_fresh_lora_changes_nothing_and_stacks_with_another() {
    let golden = Golden::read();
    let dir = TempDir::new().expect("a folder");
    golden.write_base(&dir.path().join("base"));
    let backbone = backbone(dir.path(), DType::F64);
    let method = hub_schemas::method::Method::Lora(hub_schemas::method::LoraConfig::query_value(2, 4.0, 2));
    let fresh = StitchedModel::fresh(backbone, &method, None, 1).expect("a model");
    let worst =
        max_difference(&run(&fresh, &golden).last_hidden_state, &golden.expected("base")).expect("compares");
    assert!(worst <= DOUBLE, "off by {worst:e}");
}
