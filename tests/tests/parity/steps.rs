//! One step of learning to write: its loss and gradients are those of PyTorch with PEFT, and of finite differences.

use std::{fmt::Write as _, path::Path, sync::Arc};

use candle_core::{DType, Device, Tensor, Var, safetensors::load};
use hub_client::{
    backbones::Backbone,
    data::{ColumnOptions, DataFile},
    generation::Dialogue,
    inputs::InputEncoder,
    metrics::Metric,
    model::{Mode, StitchedModel},
    ops::Recording,
    tasks::{Origin, Task},
    training::{ExampleSet, Learner, WholeModel, measure},
};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder};
use hub_schemas::{
    backbone::{LinearSite, Targets},
    layout::prompt_join,
    method::{BottleneckConfig, LlamaAdapterConfig, LoraConfig, Method, PrefixConfig, PromptGate},
};
use hub_tests::{golden::fixtures, words::write_base_of_words};
use serde_json::{Value, json};

type Set = ExampleSet<Vec<hub_client::inputs::Input>>;

/// A tiny language model in double precision with prompts and the answers to them.
struct Lesson {
    backbone: Arc<Backbone>,
    encoder: InputEncoder,
    set: Set,
}

impl Lesson {
    /// The rows of the fixture; `w3` ends an answer, and behind an encoder `start` begins it.
    fn new(base: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let start = if base.starts_with("bart") { 2 } else { 0 };
        write_base_of_words(
            folder.path(),
            base,
            &json!({"eos_token_id": 3, "decoder_start_token_id": start}),
        );
        let mut csv = "prompt,completion\n".to_owned();
        for row in steps()["rows"].as_array().expect("rows") {
            let words = |part: &str, left: usize| {
                let ids = row[part].as_array().expect("tokens");
                let words = ids[..ids.len() - left].iter().map(|id| format!("w{id}"));
                words.collect::<Vec<_>>().join(" ")
            };
            // The end is added.
            let _ = writeln!(csv, "{},{}", words("prompt", 0), words("answer", 1));
        }
        let data = folder.path().join("data.csv");
        // An answer that is nothing but an end can't stand in a file.
        std::fs::write(&data, csv.replace(",\n", ",w3\n")).expect("written");
        Self::of(folder.path(), &data)
    }

    fn of(folder: &Path, data: &Path) -> Self {
        let base = BaseFolder::open(folder).expect("the base opens");
        let file = DataFile::read(data, None, &ColumnOptions::default()).expect("reads");
        let file = file.on(base.config().architecture);
        let task = Task::of(&file).expect("a task").with_dialogue(Dialogue::open(&base).expect("a dialogue"));
        let encoder = InputEncoder::open(folder, base.config(), 24).expect("a tokenizer");
        let origin = Origin { file: &file.name, folder };
        let set = task.encode(origin, &file.examples, &encoder).expect("rows").into();
        let backbone = Backbone::load_with(&base, DType::F64, &Device::Cpu).expect("the base loads");
        Self { backbone: Arc::new(backbone), encoder, set }
    }

    fn model(&self, method: &Method) -> StitchedModel {
        let model = StitchedModel::fresh(self.backbone.clone(), method, None, 7).expect("a model");
        model.under_head_of_base().expect("the base's head")
    }

    fn loss(&self, model: &StitchedModel, mode: Mode) -> Tensor {
        let learner = WholeModel::new(model, &self.encoder);
        let rows: Vec<usize> = (0..self.set.rows()).collect();
        let prediction = learner.predict(&self.set, &rows, mode).expect("predicts");
        self.set.expected.loss(&prediction, &rows, mode).expect("a loss")
    }
}

fn steps() -> Value {
    let bytes = std::fs::read(fixtures().join("steps/steps.json")).expect("the fixture");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_dtype(DType::F64).and_then(|t| t.flatten_all());
    flat.and_then(|t| t.to_vec1()).expect("numbers")
}

fn value(loss: &Tensor) -> f64 {
    loss.to_scalar::<f64>().expect("a number")
}

/// Whether the libraries round a case whatever the model's precision: `transformers` computes RMS norms, and PEFT the
/// attention to adaption prompts, in single precision.
fn is_rounded(case: &str, base: &str) -> bool {
    case.contains("adaption") || !["gpt2", "bart"].contains(&base)
}

/// The lesson of a case, and PEFT's adapter on its base.
fn learned(case: &str, base: &str) -> (Lesson, AdapterFolder, StitchedModel) {
    let lesson = Lesson::new(base);
    let shape = lesson.backbone.config().shape;
    let folder = AdapterFolder::open(&fixtures().join("methods/cases").join(case).join("adapter"))
        .and_then(|folder| folder.on_base(lesson.backbone.config().architecture, &shape))
        .expect("the adapter opens");
    let model = lesson.model(&folder.method);
    for (slot, data) in folder.read_slots(&shape).expect("reads") {
        let values = data.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        set(model.parameters().get(&slot).expect("a parameter"), values.map(f64::from).collect());
    }
    (lesson, folder, model)
}

#[test]
fn perplexity_is_the_exponential_of_the_loss_of_transformers() {
    for (case, expected) in steps()["cases"].as_object().expect("cases") {
        let base = expected["base"].as_str().expect("a base");
        let (lesson, _, model) = learned(case, base);
        let learner = WholeModel::new(&model, &lesson.encoder);
        let measured = measure(&learner, &lesson.set, 32, |_| {}).expect("measures").scores;
        let found = measured.value(Metric::Perplexity).expect("a perplexity");
        let expected = expected["perplexity"].as_f64().expect("a perplexity");
        // Scores are read in single precision, a loss off by 2⁻²³ of the largest: the reference is in double.
        let bar = if is_rounded(case, base) { 1e-5 } else { 1e-6 };
        let apart = (found / expected - 1.0).abs();
        assert!(apart < bar, "{case}: {found} and not {expected}, {apart:e} apart");
    }
}

#[test]
fn loss_and_gradients_of_a_step_are_those_of_peft() {
    let gradients = load(fixtures().join("steps/steps.safetensors"), &Device::Cpu).expect("the fixture");
    for (case, expected) in steps()["cases"].as_object().expect("cases") {
        let base = expected["base"].as_str().expect("a base");
        let bar = if is_rounded(case, base) { 1e-5 } else { 1e-9 };
        let (lesson, folder, model) = learned(case, base);
        let shape = lesson.backbone.config().shape;
        let recording = Recording::begin();
        let loss = lesson.loss(&model, Mode::Eval);
        let apart = (value(&loss) - expected["loss"].as_f64().expect("a loss")).abs();
        assert!(apart < bar, "{case}: the loss is {apart} apart");
        let store = recording.backward(&loss).expect("backward");
        let specs = folder.layout(&shape).expect("a layout").into_iter().flat_map(|file| file.tensors);
        let mut count = 0;
        for spec in specs {
            let theirs = numbers(&gradients[&format!("{case}/{}", spec.disk)]);
            let own = model.parameters().get(&spec.slot).and_then(|var| store.get(var)).expect("a gradient");
            let apart = numbers(own).iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < bar, "{case} `{}`: {apart} apart", spec.disk);
            count += 1;
        }
        let wanted = gradients.keys().filter(|name| name.starts_with(&format!("{case}/"))).count();
        assert_eq!(count, wanted, "{case}");
    }
}

fn set(var: &Var, values: Vec<f64>) {
    var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).expect("a tensor")).expect("sets");
}

/// Compares a sample of the elements of every trainable tensor, each moved away from its start first.
fn check(lesson: &Lesson, method: &Method) {
    let mode = Mode::Train { seed: 3, step: 4 };
    let model = lesson.model(method);
    for (index, (_, var)) in model.parameters().iter().enumerate() {
        let values = (0..var.elem_count()).map(|i| 0.3 * (i as f64 * 0.7 + index as f64).sin());
        set(var, values.collect());
    }
    let recording = Recording::begin();
    let store = recording.backward(&lesson.loss(&model, mode)).expect("backward");
    for (slot, var) in model.parameters().iter() {
        let gradient = numbers(store.get(var).unwrap_or_else(|| panic!("`{slot}` has no gradient")));
        let values = numbers(var.as_tensor());
        for element in [0, gradient.len() / 2, gradient.len() - 1] {
            let at = |delta: f64| {
                let mut moved = values.clone();
                moved[element] += delta;
                set(var, moved);
                value(&lesson.loss(&model, mode))
            };
            let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
            set(var, values.clone());
            let error = (numeric - gradient[element]).abs() / (1.0 + numeric.abs());
            assert!(error < 1e-6, "`{slot}`[{element}]: {} against {numeric}", gradient[element]);
        }
    }
}

#[test]
fn gradients_of_answers_equal_finite_differences() {
    for base in ["gpt2", "llama-tied", "qwen3", "gemma2", "t5", "bart-scaled"] {
        let lesson = Lesson::new(base);
        let config = lesson.backbone.config();
        let (architecture, shape) = (config.architecture, config.shape);
        let sites = architecture.default_targets();
        let lora = LoraConfig {
            lora_dropout: 0.1,
            ..LoraConfig::on(2, 4.0, Targets::everywhere(&sites, shape.num_layers))
        };
        let mut methods = vec![
            Method::Lora(lora),
            Method::Bottleneck(BottleneckConfig::parallel(4.0)),
            Method::Bottleneck(BottleneckConfig::pfeiffer(4.0)),
        ];
        if architecture.is_decoder() {
            let gate = PromptGate::Scalar;
            methods.push(Method::Prefix(PrefixConfig::flat(3)));
            methods.push(Method::LlamaAdapter(LlamaAdapterConfig {
                adapter_len: 3,
                adapter_layers: 1,
                gate,
                join: prompt_join(gate, architecture),
                image: None,
            }));
        }
        for method in &methods {
            check(&lesson, method);
        }
    }
}

#[test]
fn a_batch_weighs_every_token_alike_and_measures_what_it_learns() {
    let lesson = Lesson::new("llama");
    let lora = LoraConfig::on(2, 4.0, Targets::everywhere(&[LinearSite::Query], 2));
    let model = lesson.model(&Method::Lora(lora));
    let learner = WholeModel::new(&model, &lesson.encoder);
    let together = measure(&learner, &lesson.set, 32, |_| {}).expect("measures");
    let apart = measure(&learner, &lesson.set, 1, |_| {}).expect("measures");
    let loss = value(&lesson.loss(&model, Mode::Eval));
    assert!((f64::from(together.loss) - loss).abs() < 1e-5 && (apart.loss - together.loss).abs() < 1e-5);
    let perplexity = together.scores.value(Metric::Perplexity).expect("a perplexity");
    // Against the libraries it stands above; here, that a batch of one row counts as much.
    assert!((perplexity - loss.exp()).abs() < 1e-3, "{perplexity}");
}

#[test]
fn a_text_is_learned_whole_and_falls_into_pieces_that_share_a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    write_base_of_words(folder.path(), "llama", &json!({"eos_token_id": 3}));
    let words: Vec<String> = (4..34).map(|i| format!("w{i}")).collect();
    let data = folder.path().join("texts.txt");
    std::fs::write(&data, format!("{}\n", words.join(" "))).expect("written");
    let lesson = Lesson::of(folder.path(), &data);
    // 30 words and the end: 30 tokens to foresee, of which a piece of 24 has 23.
    assert_eq!(lesson.set.lengths, [23, 7]);
    let model =
        lesson.model(&Method::Lora(LoraConfig::on(2, 4.0, Targets::everywhere(&[LinearSite::Query], 2))));
    let learner = WholeModel::new(&model, &lesson.encoder);
    let scores = measure(&learner, &lesson.set, 2, |_| {}).expect("measures").scores;
    assert_eq!(scores.examples, 1);
}

#[test]
fn a_long_prompt_loses_its_end_but_nothing_of_the_template_or_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    write_base_of_words(folder.path(), "llama", &json!({"eos_token_id": 3}));
    let template = "{% for m in messages %}{% if m.role == 'user' %}w1 {{ m.content }} w2 w5 {% else %}\
                    {{ m.content }} w3 w4{% endif %}{% endfor %}";
    let settings = json!({"chat_template": template}).to_string();
    std::fs::write(folder.path().join("tokenizer_config.json"), settings).expect("written");
    let base = BaseFolder::open(folder.path()).expect("the base opens");
    let dialogue = Dialogue::open(&base).expect("a dialogue");
    let turn = |most| {
        let turn = dialogue.turn("w10 w11 w12 w13", "w20 w21", most).expect("a turn");
        (turn.tokens, turn.answer, turn.truncated)
    };
    // What stands behind the end, w3, is not learned.
    assert_eq!(turn(10), (vec![1, 10, 11, 12, 13, 2, 5, 20, 21, 3], 7, false));
    assert_eq!(turn(8), (vec![1, 10, 11, 2, 5, 20, 21, 3], 5, true));
    assert_eq!(turn(6), (vec![1, 2, 5, 20, 21, 3], 3, true));
    assert_eq!(turn(5), (vec![1, 2, 5, 20, 21], 3, true), "then the end of the answer");
    let prompt = dialogue.prompt("w10 w11 w12 w13", 5).expect("a prompt");
    assert_eq!((prompt.tokens, prompt.truncated), (vec![1, 10, 11, 2, 5], true));
}
