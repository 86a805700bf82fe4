//! The gradient of every parameter, through the whole model, against finite differences in
//! f64: how it is checked, and the prediction heads. `gradients_of_methods.rs` has the methods.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use hub_client::{
    backbones::{Backbone, Batch, HeadInputs},
    heads::tied_table,
    model::{Mode, StitchedModel},
    ops::Recording,
};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder};
use hub_schemas::{
    backbone::{LinearSite, SubLayer, Targets},
    head::{
        ClassificationHead, DependencyParsingHead, EmbeddingHead, Head, LanguageModelHead,
        MultipleChoiceHead, Pooling, QuestionAnsweringHead, TaggingHead,
    },
    layout::Format,
    method::{
        BottleneckConfig, ComposedFusion, CompositionConfig, CompositionMember, FusionConfig, LoraConfig,
        Method,
    },
};
use hub_tests::golden::Golden;
use tempfile::TempDir;

use super::checkpoints::{tiny, write};

const MODE: Mode = Mode::Train { seed: 3, step: 4 };

pub(crate) fn loss(model: &StitchedModel, golden: &Golden) -> candle_core::Result<Tensor> {
    let output = model.forward(&batch(golden)?, MODE)?;
    let weighed = |t: &Tensor| {
        let n = t.elem_count();
        let weights: Vec<f64> = (0..n).map(|i| (i as f64 * 0.9).cos()).collect();
        (t.flatten_all()? * Tensor::from_vec(weights, n, &Device::Cpu)?)?.sum_all()
    };
    let mut sum = weighed(&output.last_hidden_state)?;
    for (_, tensor) in output.named()?.iter().skip(1) {
        sum = (sum + weighed(tensor)?)?;
    }
    match model.regularisation()? {
        Some(term) => sum + term,
        None => Ok(sum),
    }
}

/// The golden batch with what heads on words and on choices read.
fn batch(golden: &Golden) -> candle_core::Result<Batch> {
    let mut batch = golden.batch()?;
    let rows = batch.input_ids.dim(0)?;
    batch.head_inputs = HeadInputs {
        words: Some(vec![vec![1..2, 2..4]; rows]),
        choices: Some(rows),
        ..HeadInputs::default()
    };
    Ok(batch)
}

/// A fresh model of the golden backbone in double precision, every parameter moved away from its start: a
/// zero factor would hide errors in the other one's gradient.
pub(crate) fn fresh(method: &Method, head: Option<&Head>) -> StitchedModel {
    let dir = TempDir::new().expect("a folder");
    Golden::read().write_base(dir.path());
    let folder = BaseFolder::open(dir.path()).expect("the base opens");
    let backbone = Arc::new(Backbone::load_with(&folder, DType::F64, &Device::Cpu).expect("the base loads"));
    moved(StitchedModel::fresh(backbone, method, head, 7).expect("a model"))
}

/// The same model with every parameter moved away from its start.
fn moved(model: StitchedModel) -> StitchedModel {
    for (index, (_, var)) in model.parameters().iter().enumerate() {
        let n = var.elem_count();
        let moves: Vec<f64> = (0..n).map(|i| 0.3 * (i as f64 * 0.7 + index as f64).sin()).collect();
        let moves = Tensor::from_vec(moves, var.shape(), &Device::Cpu).expect("a tensor");
        let moved = (var.as_tensor().detach() + moves).expect("a sum");
        var.set(&moved).expect("sets");
    }
    model
}

fn check(method: &Method, head: Option<&Head>) {
    check_holding(method, head, &|_, _| {});
}

/// Compares a sample of the elements of every trainable tensor. `hold` is called after
/// every move of an element of a slot, and may move others with it.
pub(crate) fn check_holding(method: &Method, head: Option<&Head>, hold: &dyn Fn(&StitchedModel, &str)) {
    check_model(&fresh(method, head), &method.summary(), hold);
}

/// The same of a model that is there already.
fn check_model(model: &StitchedModel, name: &str, hold: &dyn Fn(&StitchedModel, &str)) {
    let golden = Golden::read();
    let whole = loss(model, &golden).and_then(|l| l.backward()).expect("candle's own backward");
    let recording = Recording::begin();
    let grads = loss(model, &golden).and_then(|l| recording.backward(&l)).expect("backward");
    for (slot, var) in model.parameters().iter() {
        if let (Some(whole), Some(recorded)) = (whole.get(var), grads.get(var)) {
            let largest = |x: &Tensor| x.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>();
            let apart = (whole - recorded).and_then(|d| largest(&d)).expect("a difference");
            let size = largest(whole).expect("a number").max(1.0);
            assert!(apart <= 1e-12 * size, "{name} `{slot}`: {apart} apart from candle's own backward");
        }
        let grad = grads.get(var).unwrap_or_else(|| panic!("{name}: `{slot}` has no gradient"));
        let grad = grad.flatten_all().and_then(|g| g.to_vec1::<f64>()).expect("values");
        for element in [0, grad.len() / 3, grad.len() / 2, grad.len() - 1] {
            let before = model.parameters().snapshot().expect("a copy");
            let at = |delta: f64| {
                move_element(var, element, delta);
                hold(model, slot);
                let value = loss(model, &golden).and_then(|l| l.to_scalar::<f64>()).expect("a loss");
                model.parameters().restore(&before).expect("restores");
                value
            };
            let eps = 1e-5;
            let numeric = (at(eps) - at(-eps)) / (2.0 * eps);
            let error = (numeric - grad[element]).abs() / (1.0 + numeric.abs());
            assert!(error < 1e-7, "{name} `{slot}`[{element}]: {} against {numeric}", grad[element]);
        }
    }
    assert!(model.parameters().count() > 0, "{name} trains nothing");
}

fn move_element(var: &Var, element: usize, delta: f64) {
    let mut values = var.flatten_all().and_then(|v| v.to_vec1::<f64>()).expect("values");
    values[element] += delta;
    var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).expect("a tensor")).expect("sets");
}

#[test]
fn of_heads_alone() {
    for pooling in [Pooling::First, Pooling::Pooler, Pooling::Mean] {
        let head = ClassificationHead { pooling, ..ClassificationHead::flexible(3) };
        let head = Head::Classification(head);
        let golden = Golden::read();
        let dir = TempDir::new().expect("a folder");
        golden.write_base(dir.path());
        let folder = BaseFolder::open(dir.path()).expect("the base opens");
        let backbone =
            Arc::new(Backbone::load_with(&folder, DType::F64, &Device::Cpu).expect("the base loads"));
        let model = StitchedModel::fresh(backbone, &Method::LastLayer, Some(&head), 7).expect("a model");
        let output = model.forward(&golden.batch().expect("a batch"), MODE).expect("forward");
        assert!(!output.last_hidden_state.track_op(), "nothing below the head is in the graph");
        check(&Method::LastLayer, Some(&head));
    }
}

#[test]
fn of_every_other_head() {
    let heads = [
        Head::MultiLabelClassification(ClassificationHead { bias: false, ..ClassificationHead::flexible(4) }),
        Head::Regression(ClassificationHead::pooled(1)),
        Head::Tagging(TaggingHead { layers: 2, ..TaggingHead::single(3) }),
        Head::MultipleChoice(MultipleChoiceHead::flexible(2)),
        Head::QuestionAnswering(QuestionAnsweringHead::single()),
        Head::DependencyParsing(DependencyParsingHead { num_labels: 2, dropout: 0.1 }),
        Head::MaskedLm(LanguageModelHead::masked(20, 16)),
        Head::CausalLm(LanguageModelHead {
            bias: false,
            layer_norm: false,
            ..LanguageModelHead::causal(20, 16)
        }),
        Head::Embedding(EmbeddingHead::of(Pooling::Mean)),
        Head::Embedding(EmbeddingHead::of(Pooling::Max)),
        Head::Embedding(EmbeddingHead { normalize: false, ..EmbeddingHead::of(Pooling::MeanSqrtLen) }),
        Head::Embedding(EmbeddingHead::of(Pooling::WeightedMean)),
    ];
    let lora = Method::Lora(LoraConfig::on(
        2,
        4.0,
        Targets::in_layers(&[LinearSite::Query, LinearSite::Value], [1]),
    ));
    for head in heads {
        check(&lora, Some(&head));
    }
}

#[test]
fn a_tied_output_table_is_no_parameter() {
    let golden = Golden::read();
    let dir = TempDir::new().expect("a folder");
    golden.write_base(dir.path());
    let folder = BaseFolder::open(dir.path()).expect("the base opens");
    let backbone = Arc::new(Backbone::load_with(&folder, DType::F64, &Device::Cpu).expect("the base loads"));
    let head = Head::MaskedLm(LanguageModelHead::masked(20, 16));
    let model = StitchedModel::fresh(backbone, &Method::LastLayer, Some(&head), 7).expect("a model");
    let slots: Vec<&str> = model.parameters().iter().map(|(slot, _)| slot).collect();
    let trained =
        ["head.0.bias", "head.0.norm.bias", "head.0.norm.weight", "head.0.weight", "head.decoder.bias"];
    assert_eq!(slots, trained);
    let table = tied_table(&head, model.backbone()).expect("it is tied").weight().expect("numbers");
    assert_eq!(table.dims(), [20, 16]);
}

/// Over frozen members, with what pulls the values towards the identity (Pfeiffer et al. 2021).
#[test]
fn of_fusions() {
    let tiny = tiny();
    let head = Head::Classification(ClassificationHead::pooled(2));
    let dirs = ["a", "b"].map(|name| (name.to_owned(), tiny.dir.path().join(name)));
    for ((_, dir), factor) in dirs.iter().zip([4.0, 8.0]) {
        write(&tiny, dir, Format::Adapters, &Method::Bottleneck(BottleneckConfig::pfeiffer(factor)), &head);
    }
    let folders = dirs.map(|(name, dir)| (name, AdapterFolder::open(&dir).expect("opens")));
    let named: Vec<(String, &AdapterFolder)> = folders.iter().map(|(name, f)| (name.clone(), f)).collect();
    let base = BaseFolder::open(&tiny.dir.path().join("base")).expect("the base opens");
    let backbone = Arc::new(Backbone::load_with(&base, DType::F64, &Device::Cpu).expect("the base loads"));
    let dynamic = FusionConfig { query_before_ln: true, ..FusionConfig::dynamic() };
    for config in
        [FusionConfig::dynamic(), dynamic, FusionConfig { temperature: true, ..FusionConfig::dynamic() }]
    {
        let fusion = ComposedFusion { name: "a,b".to_owned(), sublayers: vec![SubLayer::Ffn], config };
        let member = |(name, folder): &(String, &AdapterFolder)| CompositionMember {
            name: name.clone(),
            digest: folder.content_digest().expect("a digest"),
        };
        let config = CompositionConfig {
            expression: "Fuse(a, b)".to_owned(),
            members: named.iter().map(member).collect(),
            fusion: Some(fusion),
        };
        let model = StitchedModel::fresh_fusion(Arc::clone(&backbone), &config, &named, Some(&head), 7);
        let model = moved(model.expect("a model"));
        assert!(model.regularisation().expect("a term").is_some(), "nothing pulls the values");
        check_model(&model, "a fusion", &|_, _| {});
    }
}
