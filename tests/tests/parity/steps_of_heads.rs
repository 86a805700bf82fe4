//! One step of a parser and of a chooser: losses and gradients are those of `adapters`, and of finite differences.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var, safetensors::load};
use hub_client::{
    backbones::Backbone,
    data::{Answer, Example},
    inputs::{Input, InputEncoder},
    model::{Mode, StitchedModel},
    ops::Recording,
    tasks::{Origin, Task},
    training::{ExampleSet, Learner, WholeModel, measure},
};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder};
use hub_tests::golden::fixtures;
use serde_json::Value;

const BAR: f64 = 1e-9;

/// A folder of `adapters`, its tensors as parameters, and the rows of its fixture.
struct Lesson {
    folder: AdapterFolder,
    model: StitchedModel,
    encoder: InputEncoder,
    set: ExampleSet<Vec<Input>>,
}

fn cases() -> Value {
    let bytes = std::fs::read(fixtures().join("steps/heads/cases.json")).expect("the fixture");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("texts").iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

fn trees() -> Vec<Example> {
    let tree = |row: &Value| {
        let heads = row["heads"].as_array().expect("heads").iter().map(|head| head.as_u64().expect("a head"));
        let heads = heads.map(|head| head as usize).collect();
        let answer = Answer::Tree { heads, relations: texts(&row["relations"]) };
        Example { answer, ..Example::unanswered(texts(&row["words"])) }
    };
    cases()["trees"].as_array().expect("trees").iter().map(tree).collect()
}

fn choices() -> Vec<Example> {
    let choices = |row: &Value| {
        let text = row["text"].as_str().expect("a text").to_owned();
        let read = std::iter::once(text).chain(texts(&row["choices"])).collect();
        let answer = Answer::Choice(row["right"].as_u64().expect("a choice") as usize);
        Example { answer, ..Example::unanswered(read) }
    };
    cases()["choices"].as_array().expect("choices").iter().map(choices).collect()
}

impl Lesson {
    fn new(case: &str, examples: &[Example]) -> Self {
        let base = BaseFolder::open(&fixtures().join("tiny-bert")).expect("the base opens");
        let shape = base.config().shape;
        let backbone =
            Arc::new(Backbone::load_with(&base, DType::F64, &Device::Cpu).expect("the base loads"));
        let folder = AdapterFolder::open(&fixtures().join("steps/heads").join(case)).expect("it opens");
        let head = folder.head.as_ref().expect("a head");
        let model = StitchedModel::fresh(backbone, &folder.method, Some(head), 7).expect("a model");
        for (slot, data) in folder.read_slots(&shape).expect("reads") {
            let values = data.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            set(model.parameters().get(&slot).expect("a parameter"), values.map(f64::from).collect());
        }
        let task = Task::of_head(head, &folder.labels);
        let encoder =
            InputEncoder::open(&fixtures().join("tiny-bert"), base.config(), 16).expect("a tokenizer");
        let origin = Origin { file: "rows", folder: &fixtures() };
        let set = task.encode(origin, examples, &encoder).expect("rows").into();
        Self { folder, model, encoder, set }
    }

    fn loss_of(&self, rows: &[usize], mode: Mode) -> Tensor {
        let learner = WholeModel::new(&self.model, &self.encoder);
        let prediction = learner.predict(&self.set, rows, mode).expect("predicts");
        self.set.expected.loss(&prediction, rows, mode).expect("a loss")
    }

    fn loss(&self, mode: Mode) -> Tensor {
        self.loss_of(&(0..self.set.rows()).collect::<Vec<_>>(), mode)
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().and_then(|t| t.to_vec1()).expect("numbers")
}

fn value(loss: &Tensor) -> f64 {
    loss.to_scalar::<f64>().expect("a number")
}

fn set(var: &Var, values: Vec<f64>) {
    var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).expect("a tensor")).expect("sets");
}

#[test]
fn losses_and_gradients_are_those_of_adapters() {
    let gradients =
        load(fixtures().join("steps/heads/gradients.safetensors"), &Device::Cpu).expect("a fixture");
    for (case, examples) in [("parser", trees()), ("chooser", choices())] {
        let lesson = Lesson::new(case, &examples);
        let recording = Recording::begin();
        let loss = lesson.loss(Mode::Eval);
        let apart = (value(&loss) - cases()["losses"][case].as_f64().expect("a loss")).abs();
        assert!(apart < BAR, "{case}: the loss is {apart} apart");
        let store = recording.backward(&loss).expect("backward");
        let shape = lesson.model.backbone().config().shape;
        let specs = lesson.folder.layout(&shape).expect("a layout").into_iter().flat_map(|file| file.tensors);
        let mut count = 0;
        for spec in specs {
            let theirs = numbers(&gradients[&format!("{case}/{}", spec.disk)]);
            let own = lesson.model.parameters().get(&spec.slot).and_then(|var| store.get(var));
            let own = numbers(own.expect("a gradient"));
            let apart = own.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < BAR, "{case} `{}`: {apart} apart", spec.disk);
            count += 1;
        }
        assert_eq!(count, gradients.keys().filter(|name| name.starts_with(case)).count(), "{case}");
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let mode = Mode::Train { seed: 3, step: 4 };
    let mut rooted = trees();
    if let Answer::Tree { heads, .. } = &mut rooted[0].answer {
        heads[4] = 0;
    }
    for (case, examples) in [("parser", rooted), ("chooser", choices())] {
        let lesson = Lesson::new(case, &examples);
        let recording = Recording::begin();
        let store = recording.backward(&lesson.loss(mode)).expect("backward");
        for (slot, var) in lesson.model.parameters().iter() {
            let gradient = numbers(store.get(var).unwrap_or_else(|| panic!("`{slot}` has no gradient")));
            let values = numbers(var.as_tensor());
            for element in [0, gradient.len() / 2, gradient.len() - 1] {
                let at = |delta: f64| {
                    let mut moved = values.clone();
                    moved[element] += delta;
                    set(var, moved);
                    value(&lesson.loss(mode))
                };
                let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                set(var, values.clone());
                let error = (numeric - gradient[element]).abs() / (1.0 + numeric.abs());
                assert!(error < 1e-6, "`{slot}`[{element}]: {} against {numeric}", gradient[element]);
            }
        }
    }
}

#[test]
fn a_loss_does_not_depend_on_its_batch_and_is_what_is_measured() {
    let mut examples = trees();
    examples[1].texts.truncate(3);
    let Answer::Tree { heads, relations } = &mut examples[1].answer else { panic!("a tree") };
    heads.truncate(3);
    relations.truncate(3);
    heads[2] = 0;
    let counts = examples.iter().map(|example| example.texts.len() as f64).collect::<Vec<_>>();
    let lesson = Lesson::new("parser", &examples);
    let alone = (0..3).map(|row| value(&lesson.loss_of(&[row], Mode::Eval)) * counts[row]).sum::<f64>();
    let together = value(&lesson.loss(Mode::Eval));
    assert!((alone / counts.iter().sum::<f64>() - together).abs() < 1e-12);
    let learner = WholeModel::new(&lesson.model, &lesson.encoder);
    let measured = measure(&learner, &lesson.set, 2, |_| {}).expect("measured");
    assert!((f64::from(measured.loss) - together).abs() < 1e-5);
}
