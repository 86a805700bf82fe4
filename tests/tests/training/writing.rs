//! Language models learn to write, with the real program: answers to prompts, whole texts, texts from texts.

use std::{fmt::Write as _, fs};

use hub_client::training::{Existing, HeadChoice, HyperParameters, TrainingJob};
use hub_schemas::{
    backbone::{LinearSite, Targets},
    method::{BottleneckConfig, LoraConfig, Method},
};
use hub_tests::words::write_base_of_words;
use serde_json::{Value, json};

use super::world::{Numbers, Watcher, World, files, train, train_watched};

/// A tiny language model whose answers end with `w3`.
pub(super) fn world(fixture: &str) -> World {
    let world = World::new();
    let settings = json!({"eos_token_id": 3, "decoder_start_token_id": 2});
    write_base_of_words(&world.path("base"), fixture, &settings);
    fs::write(world.path("train.csv"), prompts(160, 1)).expect("writes");
    fs::write(world.path("held-out.csv"), prompts(30, 2)).expect("writes");
    world
}

/// The first word of a prompt decides the answer: `w10 …` is answered with `w20 w25`, `w11 …` with `w21 w26`.
pub(super) fn prompts(count: usize, seed: u64) -> String {
    let mut numbers = Numbers(seed);
    let mut csv = "prompt,completion\n".to_owned();
    for i in 0..count {
        let first = i % 3;
        let rest: Vec<String> =
            (0..=numbers.below(4)).map(|_| format!("w{}", 30 + numbers.below(10))).collect();
        let _ = writeln!(csv, "w{} {},w{} w{}", 10 + first, rest.join(" "), 20 + first, 25 + first);
    }
    csv
}

/// What learns the prompts in a few seconds.
const LEARN: [&str; 10] =
    ["--method", "lora", "--rank", "8", "--epochs", "12", "--batch-size", "16", "--lr", "0.02"];

fn learn(world: &World, more: &[&str]) {
    let train =
        ["train", "--base", "base", "--data", "train.csv", "--test", "held-out.csv", "--output", "out"];
    world.succeed(&[&train[..], &LEARN, more].concat());
}

fn value(scores: &Value, metric: &str) -> f64 {
    scores[metric].as_f64().unwrap_or_else(|| panic!("no {metric}: {scores}"))
}

fn eval(world: &World, adapter: &str, more: &[&str]) -> Value {
    world.json(&[&["eval", adapter, "--base", "base", "--data", "held-out.csv"], more].concat())
}

#[test]
fn a_decoder_learns_answers_and_writes_them() {
    let world = world("llama");
    learn(&world, &["--targets", "query,key,value,attention_output,ffn_gate,ffn_up,ffn_down"]);
    let manifest = world.manifest("out");
    assert_eq!((&manifest["task"]["name"], &manifest["head"]), (&json!("causal-lm"), &Value::Null));
    let config: Value =
        serde_json::from_slice(&fs::read(world.path("out/adapter_config.json")).expect("reads"))
            .expect("JSON");
    assert_eq!(config["task_type"], "CAUSAL_LM");
    let card = fs::read_to_string(world.path("out/README.md")).expect("a card");
    assert!(card.contains("LlamaForCausalLM") && card.contains("pipeline_tag: text-generation"), "{card}");
    // What was measured while it was trained is what the folder does, and better than nothing.
    let (scores, plain) = (eval(&world, "./out", &["--generate"]), eval(&world, "None", &["--generate"]));
    let first = &manifest["metrics"][0];
    assert_eq!((&first["name"], &first["split"]), (&json!("perplexity"), &json!("test")));
    assert!((value(&scores, "perplexity") - first["value"].as_f64().expect("a number")).abs() < 1e-3);
    assert!(value(&scores, "perplexity") < 1.3 && value(&plain, "perplexity") > 10.0, "{scores}, {plain}");
    assert!(value(&scores, "rouge_1") > 0.9 && value(&plain, "rouge_1") < 0.5, "{scores}, {plain}");
    assert_eq!(scores["answers"].as_array().map(Vec::len), Some(30));
    let answer = world.succeed(&["run", "./out", "--base", "base", "w11 w35 w31"]);
    assert_eq!(answer, "w21 w26\n");
}

#[test]
fn an_encoder_decoder_learns_to_write_a_text_from_another() {
    for base in ["t5", "bart-scaled"] {
        let world = world(base);
        // Nobody says what is learned: the base model does.
        learn(&world, &["--targets", "query,key,value,attention_output,ffn_up,ffn_down"]);
        assert_eq!(world.manifest("out")["task"]["name"], "seq2seq-lm");
        let config = fs::read_to_string(world.path("out/adapter_config.json")).expect("reads");
        assert!(config.contains("SEQ_2_SEQ_LM"), "{config}");
        let (scores, plain) = (eval(&world, "./out", &["--generate"]), eval(&world, "None", &[]));
        assert!(value(&scores, "accuracy") > 0.9 && value(&scores, "rouge_1") > 0.9, "{base}: {scores}");
        assert!(
            value(&scores, "perplexity") < 0.5 * value(&plain, "perplexity"),
            "{base}: {scores}, {plain}"
        );
        assert_eq!(world.succeed(&["run", "./out", "--base", "base", "w12 w35 w31"]), "w22 w27\n", "{base}");
    }
}

#[test]
fn a_chat_template_stands_around_prompts_as_when_they_are_answered() {
    let world = world("llama");
    let template = "{% for m in messages %}{% if m.role == 'user' %}w1 {{ m.content }} w2 {% else %}{{ m.content }} \
                    w3 w4{% endif %}{% endfor %}{% if add_generation_prompt %}w5 {% endif %}";
    fs::write(world.path("base/tokenizer_config.json"), json!({"chat_template": template}).to_string())
        .expect("written");
    learn(&world, &["--targets", "query,key,value,attention_output,ffn_gate,ffn_up,ffn_down"]);
    assert_eq!(world.succeed(&["run", "./out", "--base", "base", "w10 w35 w31"]), "w20 w25\n");
    // The same as the template written out.
    let raw = ["run", "./out", "--base", "base", "--raw", "w1 w10 w35 w31 w2 w5"];
    assert_eq!(world.succeed(&raw), "w20 w25\n");
}

#[test]
fn plain_texts_are_learned_whole() {
    let world = world("gpt2");
    let text = (0..40).map(|_| "w10 w11 w12 w13 w14 w15 w16\n").collect::<String>();
    fs::write(world.path("texts.txt"), &text).expect("writes");
    fs::write(world.path("held-out.txt"), "w10 w11 w12 w13 w14 w15 w16\n").expect("writes");
    world.succeed(
        &[
            &[
                "train",
                "--base",
                "base",
                "--data",
                "texts.txt",
                "--validation",
                "held-out.txt",
                "--output",
                "out",
            ],
            &LEARN[..],
        ]
        .concat(),
    );
    let scores = world.json(&["eval", "./out", "--base", "base", "--data", "held-out.txt"]);
    assert!(value(&scores, "accuracy") > 0.9 && value(&scores, "perplexity") < 4.0, "{scores}");
    assert_eq!(world.succeed(&["run", "./out", "--base", "base", "w10 w11"]), "w12 w13 w14 w15 w16\n");
}

/// Every method that trains encoders and can write.
pub(super) const METHODS: [&str; 37] = [
    "pfeiffer",
    "houlsby",
    "parallel",
    "scaled-parallel",
    "adapter-plus",
    "compacter",
    "compacter++",
    "lora",
    "dora",
    "adalora",
    "loha",
    "lokr",
    "vera",
    "oft",
    "boft",
    "beft",
    "c3a",
    "delora",
    "gralora",
    "hira",
    "hra",
    "miss",
    "randlora",
    "road",
    "shira",
    "vblora",
    "glora",
    "deft",
    "ia3",
    "prefix",
    "prefix-flat",
    "prompt",
    "p-tuning",
    "llama-adapter",
    "llama-adapter-heads",
    "layer-norm",
    "full",
];

/// Dimensions of the tiny bases that a method's usual size does not fit.
pub(super) fn fitting(method: &str) -> &'static [&'static str] {
    match method {
        "pfeiffer" | "houlsby" | "adapter-plus" | "compacter" | "compacter++" => &["--reduction-factor", "2"],
        "prefix" | "prefix-flat" | "prompt" | "p-tuning" | "llama-adapter" | "llama-adapter-heads" => {
            &["--prompt-length", "3"]
        }
        _ => &[],
    }
}

#[test]
fn every_method_trains_a_decoder_and_its_folder_writes() {
    let world = world("llama");
    let mut unlike = Vec::new();
    for method in METHODS {
        let train =
            ["train", "--base", "base", "--data", "train.csv", "--test", "held-out.csv", "--steps", "2"];
        world.succeed(&[&train[..], &["--output", method, "--method", method], fitting(method)].concat());
        let scores = eval(&world, &format!("./{method}"), &[]);
        let stated = world.manifest(method)["metrics"][0]["value"].as_f64().expect("a number");
        if (value(&scores, "perplexity") / stated - 1.0).abs() > 1e-5 {
            unlike.push((method, value(&scores, "perplexity"), stated));
        }
        world.succeed(&["run", &format!("./{method}"), "--base", "base", "w10 w30", "--max-new-tokens", "3"]);
    }
    assert!(unlike.is_empty(), "the folder measures otherwise than training did: {unlike:?}");
}

#[test]
fn prefixes_and_prompts_are_in_a_form_that_a_library_computes_as_they_were_trained() {
    let formats = |base: &str, more: &[(&str, &str)]| {
        let world = world(base);
        let always = [("prefix-flat", "peft"), ("prompt", "peft"), ("mam", "hub")];
        for (method, format) in always.iter().chain(more) {
            let train =
                ["train", "--base", "base", "--data", "train.csv", "--steps", "2", "--prompt-length", "3"];
            let bottleneck: &[&str] = if *format == "hub" { &["--reduction-factor", "2"] } else { &[] };
            world.succeed(&[&train[..], &["--output", method, "--method", method], bottleneck].concat());
            assert_eq!(world.manifest(method)["format"], json!(format), "{method} on {base}");
        }
        world
    };
    // A network ends with the training, as with PEFT.
    let world = formats("llama", &[("prefix", "peft")]);
    let method = &world.manifest("prefix")["method"];
    assert_eq!((&method["bottleneck_size"], &method["shifts_positions"]), (&Value::Null, &json!(true)));
    formats("bart-scaled", &[("prefix", "peft")]);

    let convert = |adapter: &str, to: &str| {
        let (code, _, stderr) = world.run(&["convert", adapter, "--to", to, "--out", "converted"]);
        assert!(code == 1 && !world.path("converted").exists(), "{stderr}");
        stderr
    };
    assert!(convert("mam", "adapters").contains("hides it behind the decoder's mask"));
    assert!(convert("prompt", "adapters").contains("a prompt in front of the word embeddings"));
}

#[test]
fn learned_tokens_that_take_positions_leave_the_text_the_others() {
    // It reads 32 tokens, three of which stand in front.
    let world = world("gpt2");
    let long = ["w12"; 60].join(" ");
    fs::write(world.path("long.csv"), format!("text\n{long}\n{long} w5\n")).expect("writes");
    for method in ["prefix-flat", "prompt"] {
        let train =
            ["train", "--base", "base", "--data", "long.csv", "--validation", "long.csv", "--steps", "2"];
        let method_of =
            ["--method", method, "--prompt-length", "3", "--max-length", "500", "--output", method];
        world.succeed(&[&train[..], &["--head", "causal-lm"], &method_of].concat());
        let adapter = format!("./{method}");
        let run =
            |text: &str| world.run(&["run", &adapter, "--base", "base", text, "--max-new-tokens", "50"]);
        assert_eq!(run(&["w9"; 20].join(" ")).0, 0);
        let (code, _, stderr) = run(&long);
        assert!(code != 0 && stderr.contains("has 60 tokens; this backbone reads 29"), "{stderr}");
    }
}

/// The first word of a text decides its label; its last one is the end of text of the base.
fn labels(count: usize, seed: u64, end: usize) -> String {
    let mut numbers = Numbers(seed);
    let mut csv = "text,label\n".to_owned();
    for i in 0..count {
        let rest: Vec<String> =
            (0..=numbers.below(4)).map(|_| format!("w{}", 30 + numbers.below(10))).collect();
        let _ = writeln!(csv, "w{} {} w{end},{}", 10 + i % 2, rest.join(" "), ["no", "yes"][i % 2]);
    }
    csv
}

#[test]
fn an_encoder_with_a_decoder_behind_it_learns_to_label_texts() {
    for (base, end) in [("t5", 1), ("bart-scaled", 2)] {
        let world = world(base);
        fs::write(world.path("labels.csv"), labels(160, 1, end)).expect("writes");
        fs::write(world.path("more-labels.csv"), labels(30, 2, end)).expect("writes");
        for (method, size) in [("lora", "--rank"), ("pfeiffer", "--reduction-factor")] {
            let train = ["train", "--base", "base", "--data", "labels.csv", "--test", "more-labels.csv"];
            let learn = ["--epochs", "12", "--batch-size", "16", "--lr", "0.02", size, "4"];
            world.succeed(&[&train[..], &learn, &["--method", method, "--output", method]].concat());
            let adapter = format!("./{method}");
            let scores = world.json(&["eval", &adapter, "--base", "base", "--data", "more-labels.csv"]);
            assert!(value(&scores, "accuracy") > 0.9, "{method} on {base}: {scores}");
            let text = format!("w11 w33 w35 w{end}");
            let answer = world.json(&["run", &adapter, "--base", "base", &text]);
            assert_eq!(answer["predictions"][0]["label"], "yes", "{method} on {base}: {answer}");
        }
    }
}

#[test]
fn what_peft_would_not_compute_at_a_shared_table_is_not_trained() {
    let world = world("t5");
    let train = |module: &str| {
        let config = json!({"type": "lora", "r": 2, "lora_alpha": 4.0, "targets": [module]});
        fs::write(world.path("method.json"), config.to_string()).expect("writes");
        let train = ["train", "--base", "base", "--data", "train.csv", "--steps", "2", "--output", "out"];
        world.run(&[&train[..], &["--method-file", "method.json"]].concat())
    };
    let (code, _, stderr) = train("embeddings.word");
    assert!(code == 1 && !world.path("out").exists(), "{stderr}");
    assert!(stderr.contains("PEFT changes nothing by `shared` of a `t5` model"), "{stderr}");
    let (code, _, stderr) = train("embeddings.encoder_word");
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn a_fusion_of_adapters_that_write_writes() {
    let world = world("gpt2");
    for name in ["first", "second"] {
        let seed = if name == "first" { "1" } else { "2" };
        let train = ["train", "--base", "base", "--data", "train.csv", "--output", name, "--steps", "3"];
        world.succeed(
            &[&train[..], &["--method", "pfeiffer", "--reduction-factor", "2", "--seed", seed]].concat(),
        );
    }
    let train =
        ["train", "--base", "base", "--data", "train.csv", "--test", "held-out.csv", "--output", "fused"];
    world.succeed(&[&train[..], &["--fuse", "./first", "--fuse", "./second", "--steps", "3"]].concat());
    let scores = eval(&world, "./fused", &[]);
    let stated = world.manifest("fused")["metrics"][0]["value"].as_f64().expect("a number");
    assert!((value(&scores, "perplexity") / stated - 1.0).abs() < 1e-5, "{scores}");
    world.succeed(&["run", "./fused", "--base", "base", "w10 w30", "--max-new-tokens", "3"]);
}

#[test]
fn a_plan_counts_the_adapter_alone() {
    let world = world("llama-tied");
    let plan =
        world.json(&["train", "--base", "base", "--data", "train.csv", "--method", "lora", "--dry-run"]);
    // Rank 8 on queries `[24, 24]` and values `[12, 24]` of two layers.
    assert_eq!(plan["trainable"]["method"], json!(2 * 8 * (24 + 24 + 12 + 24)));
    assert_eq!((&plan["trainable"]["head"], &plan["task"]), (&json!(0), &json!("causal-lm")));
}

pub(super) fn job(world: &World, method: Method, output: &str) -> TrainingJob {
    let options =
        HyperParameters { steps: Some(20), evaluate_every: Some(6), ..HyperParameters::defaults(&method) };
    TrainingJob {
        base: world.path("base"),
        data: world.path("train.csv"),
        head: HeadChoice::default(),
        options,
        ..world.job(method, output)
    }
}

#[test]
fn a_run_repeats_exactly_and_is_resumed_exactly() {
    for base in ["llama", "t5"] {
        let world = world(base);
        let sites = [LinearSite::Query, LinearSite::Value];
        let methods = [
            Method::Lora(LoraConfig {
                lora_dropout: 0.1,
                ..LoraConfig::on(2, 4.0, Targets::everywhere(&sites, 2))
            }),
            Method::Bottleneck(BottleneckConfig::parallel(4.0)),
        ];
        for method in methods {
            let whole = train(job(&world, method.clone(), "whole"));
            assert_eq!(whole.digest, train(job(&world, method.clone(), "again")).digest);
            for (existing, steps) in [(Existing::Refuse, 5), (Existing::Resume, 8)] {
                let mut watcher = Watcher { stop_after: Some(steps), ..Watcher::default() };
                let part = TrainingJob { existing, ..job(&world, method.clone(), "parts") };
                assert!(train_watched(part, &mut watcher).is_none(), "stopped");
            }
            let rest = TrainingJob { existing: Existing::Resume, ..job(&world, method, "parts") };
            assert_eq!(whole.digest, train(rest).digest);
            assert_eq!(files(&world.path("whole")), files(&world.path("parts")));
            for folder in ["whole", "again", "parts"] {
                fs::remove_dir_all(world.path(folder)).expect("removed");
            }
        }
    }
}

#[test]
fn what_can_not_be_learned_is_refused_with_the_reason() {
    let world = world("llama");
    write_base_of_words(&world.path("t5"), "t5", &json!({"eos_token_id": 3}));
    write_base_of_words(&world.path("templated"), "llama", &json!({"eos_token_id": 3}));
    let template = json!({"chat_template": "{% for m in messages %}w1 w2 {{ m.content }} w4 {% endfor %}"});
    fs::write(world.path("templated/tokenizer_config.json"), template.to_string()).expect("writes");
    fs::write(world.path("named.csv"), "one,two,three\nw1,w2,w3\n").expect("writes");
    fs::write(world.path("labels.csv"), "text,label\nw1 w2,a\nw3,b\nw5,a\n").expect("writes");
    fs::write(world.path("texts.txt"), "w1 w2\nw3 w4 w5\n").expect("writes");
    let refusal = |base: &str, data: &str, more: &[&str]| {
        let (code, _, stderr) =
            world.run(&[&["train", "--base", base, "--data", data, "--output", "out"], more].concat());
        assert_eq!(code, 1, "{stderr}");
        assert!(!world.path("out").exists(), "nothing is left behind");
        stderr
    };
    let messages = [
        refusal("tiny-bert", "train.csv", &[]),
        refusal("t5", "train.csv", &["--head", "causal-lm"]),
        refusal("base", "train.csv", &["--head", "seq2seq-lm"]),
        refusal("t5", "texts.txt", &[]),
        refusal("base", "train.csv", &["--method", "loreft"]),
        refusal("base", "train.csv", &["--method", "last-layer"]),
        refusal("templated", "train.csv", &["--max-length", "3"]),
        refusal("base", "named.csv", &["--head", "causal-lm"]),
        refusal("t5", "labels.csv", &["--head", "seq2seq-lm", "--label-column", "text"]),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    error: `causal-lm` is learned under the language model's head of a decoder; the base model is `bert`

    hint: choose another base model, or say with `--head` what is learned, as in `--head classification`

    error: `causal-lm` is learned under the language model's head of a decoder; the base model is `t5`

    hint: choose another base model, or say with `--head` what is learned, as in `--head classification`

    error: `seq2seq-lm` is learned under the language model's head of an encoder with a decoder behind it; the base model is `llama`

    hint: choose another base model, or say with `--head` what is learned, as in `--head classification`

    error: `masked-lm` is not learned on `t5` models, which have a decoder behind their encoder

    hint: they learn to write (`--head seq2seq-lm`), to label texts (`classification`, `multi-label-classification`, `regression`) and to find answers (`question-answering`)

    error: `causal-lm` can't be learned with this method: ReFT changes the first and the last tokens of a sequence, and what comes next is not known yet

    error: `causal-lm` is learned under the base model's own head: there is none to choose or to train alone

    error: a length of 3 tokens leaves no room for an answer: what stands in front of it has 3 tokens even without its text

    error: `named.csv` has no column `prompt`; it has: one, two, three

    hint: name the columns with `--text-column` and `--label-column`

    error: `labels.csv` has no column `prompt`; it has: text, label

    hint: name the columns with `--text-column` and `--label-column`
    ");
}
