//! A tiny random BERT, a tokenizer for a few dozen words, and sentences whose
//! label depends on a single word: small enough to train in a second.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use hub_client::{
    Device,
    data::ColumnOptions,
    training::{
        Existing, Facts, FinishedJob, HeadChoice, HyperParameters, JobOutcome, TrainingEvent, TrainingJob,
        TrainingObserver, Unobserved,
    },
};
use hub_formats::checkpoint::BaseFolder;
use hub_schemas::{
    backbone::Architecture,
    head::Pooling,
    layout::{Format, native_format},
    method::Method,
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

const HIDDEN: usize = 16;
pub(crate) const NEUTRAL: [&str; 12] =
    ["the", "film", "a", "story", "with", "actors", "and", "music", "of", "scenes", "this", "plot"];
pub(crate) const GOOD: [&str; 4] = ["great", "lovely", "funny", "bright"];
pub(crate) const BAD: [&str; 4] = ["awful", "dull", "boring", "weak"];

/// Folders of one test.
pub(crate) struct World {
    folder: TempDir,
}

/// A generator of numbers that is the same on every machine.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }
}

impl World {
    /// A backbone and 240 labelled sentences.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let world = Self { folder };
        write_backbone(&world.base());
        fs::write(world.data(), sentences(240, 1)).expect("writes the data");
        fs::write(world.path("held-out.csv"), sentences(80, 2)).expect("writes the data");
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn base(&self) -> PathBuf {
        self.path("tiny-bert")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("reviews.csv")
    }

    /// A job with options that learn the sentences in a second.
    pub(crate) fn job(&self, method: Method, output: &str) -> TrainingJob {
        let base = BaseFolder::open(&self.base()).expect("a backbone");
        // PEFT has no head on the mean.
        let pooling = if native_format(&method, Architecture::Bert, &base.config().shape) == Format::Peft {
            Pooling::Pooler
        } else {
            Pooling::Mean
        };
        let options = HyperParameters {
            epochs: 10,
            batch_size: 16,
            learning_rate: 2e-2,
            max_length: 16,
            ..HyperParameters::defaults(&method)
        };
        TrainingJob {
            base: self.base(),
            base_id: Some("tests/tiny-bert".to_owned()),
            data: self.data(),
            validation: None,
            test: None,
            kind: None,
            columns: ColumnOptions::default(),
            vision: None,
            method,
            members: Vec::new(),
            head: HeadChoice { pooling: Some(pooling), layers: Some(1) },
            options,
            output: self.path(output),
            existing: Existing::Refuse,
            facts: Facts {
                name: "tests/mood".parse().expect("a name"),
                version: "1.0.0".parse().expect("a version"),
                task: Some("sentiment".parse().expect("a task")),
                subtask: None,
                license: "MIT".parse().expect("a licence"),
                languages: Vec::new(),
                description: None,
            },
        }
    }

    /// `hub` with a sealed home.
    pub(crate) fn hub(&self, arguments: &[&str]) -> Command {
        let test = std::env::current_exe().expect("this program's path");
        let folder = test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
        let binary = folder.join(format!("hub{}", std::env::consts::EXE_SUFFIX));
        assert!(
            binary.is_file(),
            "run `cargo build --workspace --bins` first: there is no {}",
            binary.display()
        );
        let mut command = Command::new(binary);
        command.env_clear().env("HOME", self.path("home")).current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Runs `hub`; exit code, standard output, standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output =
            self.hub(arguments).stdin(std::process::Stdio::null()).output().expect("the program runs");
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("UTF-8");
            text.replace(&self.folder.path().display().to_string(), "[WORLD]")
        };
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// What a `hub` that succeeds says on standard output.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        stdout
    }

    /// The same, asked for JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let stdout = self.succeed(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&stdout).expect("JSON on standard output")
    }

    /// The manifest of a folder.
    pub(crate) fn manifest(&self, folder: &str) -> Value {
        let bytes = fs::read(self.path(folder).join("manifest.json")).expect("a manifest");
        serde_json::from_slice(&bytes).expect("JSON")
    }
}

/// Trains to the end.
pub(crate) fn train(job: TrainingJob) -> FinishedJob {
    train_watched(job, &mut Unobserved).expect("not interrupted")
}

/// Trains until the end, or until the observer stops it.
pub(crate) fn train_watched(job: TrainingJob, observer: &mut dyn TrainingObserver) -> Option<FinishedJob> {
    let prepared = job.prepare(&Device::Cpu).expect("prepares");
    match prepared.run(observer).expect("trains") {
        JobOutcome::Finished(finished) => Some(*finished),
        JobOutcome::Interrupted { .. } => None,
    }
}

/// Remembers the losses, and stops after a number of steps.
#[derive(Default)]
pub(crate) struct Watcher {
    pub(crate) losses: Vec<f32>,
    pub(crate) stop_after: Option<usize>,
}

impl TrainingObserver for Watcher {
    fn on(&mut self, event: &TrainingEvent<'_>) {
        if let TrainingEvent::Step { loss, .. } = event {
            self.losses.push(*loss);
        }
    }

    fn should_stop(&self) -> bool {
        self.stop_after.is_some_and(|steps| self.losses.len() >= steps)
    }
}

/// Every file of a folder except the log, which holds times.
pub(crate) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("lists the folder")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path))
        .filter(|(name, _)| name != hub_client::training::LOG_FILE)
        .map(|(name, path)| (name, fs::read(path).expect("reads")))
        .collect();
    files.sort();
    files
}

fn sentences(count: usize, seed: u64) -> String {
    let mut numbers = Numbers(seed);
    let mut csv = "text,label\n".to_owned();
    for i in 0..count {
        let (words, label) = if i % 2 == 0 { (GOOD, "good") } else { (BAD, "bad") };
        let mut sentence: Vec<&str> = (0..3 + numbers.below(6)).map(|_| NEUTRAL[numbers.below(12)]).collect();
        let place = numbers.below(sentence.len());
        sentence.insert(place, words[numbers.below(4)]);
        let _ = writeln!(csv, "{},{label}", sentence.join(" "));
    }
    csv
}

fn write_backbone(folder: &Path) {
    fs::create_dir_all(folder).expect("creates the folder");
    let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];
    let words: Vec<&str> = specials.into_iter().chain(NEUTRAL).chain(GOOD).chain(BAD).collect();
    let vocabulary: serde_json::Map<String, Value> =
        words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "decoder": null,
        "truncation": {"direction": "Right", "max_length": 128, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": null,
                    "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": vocabulary},
    });
    let config = json!({
        "model_type": "bert", "hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "vocab_size": words.len(), "max_position_embeddings": 24, "type_vocab_size": 2,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12,
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).expect("writes");
    fs::write(folder.join("config.json"), config.to_string()).expect("writes");
    write_weights(&folder.join("model.safetensors"), words.len());
}

fn write_weights(path: &Path, vocabulary: usize) {
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.word_embeddings.weight".into(), vec![vocabulary, HIDDEN]),
        ("embeddings.position_embeddings.weight".into(), vec![24, HIDDEN]),
        ("embeddings.token_type_embeddings.weight".into(), vec![2, HIDDEN]),
    ];
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    let mut linears = vec![("pooler.dense".to_owned(), HIDDEN, HIDDEN)];
    for layer in 0..2 {
        let at = format!("encoder.layer.{layer}");
        for part in
            ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
        {
            linears.push((format!("{at}.{part}"), HIDDEN, HIDDEN));
        }
        linears.push((format!("{at}.intermediate.dense"), 32, HIDDEN));
        linears.push((format!("{at}.output.dense"), HIDDEN, 32));
        norms.extend(["attention.output", "output"].map(|part| format!("{at}.{part}.LayerNorm")));
    }
    for (name, outputs, inputs) in linears {
        shapes.push((format!("{name}.weight"), vec![outputs, inputs]));
        shapes.push((format!("{name}.bias"), vec![outputs]));
    }
    for name in norms {
        shapes.push((format!("{name}.weight"), vec![HIDDEN]));
        shapes.push((format!("{name}.bias"), vec![HIDDEN]));
    }
    let mut numbers = Numbers(7);
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let gain = name.ends_with("LayerNorm.weight");
            let is_words = name.ends_with("word_embeddings.weight");
            let bytes = (0..shape.iter().product::<usize>())
                .map(|i| {
                    let random = numbers.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0;
                    if gain { 1.0 } else { 0.35 * random + if is_words { mood(i) } else { 0.0 } }
                })
                .flat_map(f32::to_le_bytes)
                .collect();
            (name, shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a view"))
    });
    fs::write(path, safetensors::serialize(views, None).expect("serialises")).expect("writes");
}

/// What a real backbone knows from its pre-training: words of one mood are alike.
fn mood(element: usize) -> f32 {
    let (word, dimension) = (element / HIDDEN, element % HIDDEN);
    let first = 4 + NEUTRAL.len();
    match word.checked_sub(first) {
        Some(word) if dimension < 4 => {
            let side = if dimension.is_multiple_of(2) { 0.8 } else { -0.8 };
            if word < GOOD.len() { side } else { -side }
        }
        _ => 0.0,
    }
}
