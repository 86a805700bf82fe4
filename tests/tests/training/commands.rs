//! The computing verbs of the real program.

use std::{
    io::Write as _,
    process::Stdio,
    time::{Duration, Instant},
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

use super::world::World;

const TRAIN: [&str; 15] = [
    "train",
    "--base",
    "tiny-bert",
    "--data",
    "reviews.csv",
    "--method",
    "pfeiffer",
    "--reduction-factor",
    "2",
    "--epochs",
    "6",
    "--lr",
    "0.02",
    "--output",
    "out",
];

fn trained() -> World {
    let world = World::new();
    let (code, _, stderr) = world.run(&TRAIN);
    assert_eq!(code, 0, "{stderr}");
    world
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let world = World::new();
    let plan = world.json(&[
        "train",
        "--base",
        "tiny-bert",
        "--data",
        "reviews.csv",
        "--method",
        "lora",
        "--dry-run",
    ]);
    // 2 layers x (query, value) x rank 8 x (16 + 16), and a head of 16 x 2 + 2.
    assert_eq!(plan["trainable"]["method"], 2 * 2 * 8 * 32);
    assert_eq!(plan["trainable"]["head"], 34);
    assert_eq!(plan["format"], "peft");
    assert_eq!(plan["labels"], serde_json::json!(["bad", "good"]));
    assert!(!world.path("out").exists());
}

#[test]
fn train_run_and_eval_work_together() {
    let world = trained();
    let answers = world.json(&["run", "./out", "--base", "tiny-bert", "a great film", "a dull story"]);
    let labels: Vec<&Value> =
        answers["predictions"].as_array().expect("predictions").iter().map(|p| &p["label"]).collect();
    assert_eq!(labels, ["good", "bad"]);
    assert_eq!(answers["predictions"][0]["logits"].as_array().map(Vec::len), Some(2));

    let (code, stdout, _) = world.run(&["run", "./out", "--base", "tiny-bert", "a great film"]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with("good\t0.") || stdout == "good\t1.0000\n", "{stdout}");

    let score = world.json(&["eval", "./out", "--base", "tiny-bert", "--data", "held-out.csv"]);
    assert_eq!(score["examples"], 80);
    assert!(score["accuracy"].as_f64().expect("a number") > 0.9, "{score}");
    assert_eq!(score["labels"].as_array().map(Vec::len), Some(2));
}

#[test]
fn lines_of_standard_input_are_answered_in_order() {
    let world = trained();
    let mut child = world
        .hub(&["run", "./out", "--base", "tiny-bert"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    let lines =
        ["a great film", "dull", "a lovely story with music", "the plot of this film and a weak story"];
    let input = lines.join("\n");
    child.stdin.take().expect("an input").write_all(input.as_bytes()).expect("writes");
    let output = child.wait_with_output().expect("ends");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let answers: Vec<(&str, &str)> = stdout
        .lines()
        .map(|line| (line.split('\t').next().expect("a label"), line.rsplit('\t').next().expect("a text")))
        .collect();
    assert_eq!(answers, ["good", "bad", "good", "bad"].into_iter().zip(lines).collect::<Vec<_>>());
}

#[test]
fn forward_writes_states_and_logits() {
    let world = trained();
    let ids: Vec<u8> = [2_i64, 4, 5, 3, 2, 16, 3, 0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let mask: Vec<u8> = [1_i32, 1, 1, 1, 1, 1, 1, 0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let views = [
        ("input_ids", TensorView::new(Dtype::I64, vec![2, 4], &ids).expect("a view")),
        ("attention_mask", TensorView::new(Dtype::I32, vec![2, 4], &mask).expect("a view")),
    ];
    std::fs::write(world.path("in.safetensors"), safetensors::serialize(views, None).expect("serialises"))
        .expect("writes");
    let forward =
        ["forward", "--base", "tiny-bert", "--inputs", "in.safetensors", "--outputs", "states.safetensors"];
    let shapes = |extra: &[&str]| {
        let (code, _, stderr) = world.run(&[&forward[..], extra].concat());
        assert_eq!(code, 0, "{stderr}");
        let bytes = std::fs::read(world.path("states.safetensors")).expect("reads");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let mut shapes: Vec<_> =
            file.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
        shapes.sort();
        shapes
    };
    assert_eq!(shapes(&[]), [("last_hidden_state".to_owned(), vec![2, 4, 16])]);
    assert_eq!(
        shapes(&["--adapter", "mood=./out"]),
        [("last_hidden_state".to_owned(), vec![2, 4, 16]), ("logits".to_owned(), vec![2, 2])]
    );
    let refused = |extra: &[&str]| world.run(&[&forward[..], extra].concat());
    let (code, _, stderr) = refused(&["--fusion", "f"]);
    assert!(code == 1 && stderr.contains("there is no folder `f`"), "{stderr}");
    let (code, _, stderr) = refused(&["--adapter", "a=./out", "--adapter", "b=./out"]);
    assert!(code == 1 && stderr.contains("not how they work together"), "{stderr}");
    let (code, _, stderr) = refused(&["--adapter", "a=./out", "--compose", "MultiTask(a)"]);
    assert!(code == 1 && stderr.contains("MultiTask needs the task of every row"), "{stderr}");
}

#[cfg(unix)]
fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_resume_ends_with_the_same_digest() {
    let world = World::new();
    let train = |output: &str, extra: &[&str]| -> Vec<String> {
        let fixed = [
            "train",
            "--base",
            "tiny-bert",
            "--data",
            "reviews.csv",
            "--name",
            "tests/mood",
            "--steps",
            "3000",
            "--evaluate-every",
            "500",
            "--output",
            output,
        ];
        fixed.iter().chain(extra).map(ToString::to_string).collect()
    };
    let whole = world.json(&borrowed(&train("whole", &[])));
    let mut child = world
        .hub(&borrowed(&train("parts", &[])))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    let log = world.path("parts").join(hub_client::training::LOG_FILE);
    let began = Instant::now();
    while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("\"step\":20}")) {
        assert!(began.elapsed() < Duration::from_mins(1), "training starts");
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    assert!(!world.path("parts/manifest.json").exists());
    let resumed = world.json(&borrowed(&train("parts", &["--resume"])));
    assert_eq!(whole["digest"], resumed["digest"]);
}

#[test]
fn every_method_trains_and_predicts() {
    let world = World::new();
    let methods = [
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
        "loreft",
        "noreft",
        "direft",
        "mam",
        "unipelt",
        "hadamard",
        "bitfit",
        "layer-norm",
        "full",
        "last-layer",
    ];
    for method in methods {
        let (out, name) = (format!("./{method}"), format!("local/{}", method.replace('+', "p")));
        let mut train = vec!["train", "--base", "tiny-bert", "--data", "reviews.csv", "--output", &out];
        train.extend(["--name", &name, "--method", method, "--steps", "2", "--batch-size", "4"]);
        let sizes: &[&str] = match method {
            "adapter-plus" | "compacter" | "compacter++" => &["--reduction-factor", "2"],
            "prefix" | "prefix-flat" | "prompt" | "p-tuning" | "mam" | "unipelt" => &["--prompt-length", "2"],
            _ => &[],
        };
        train.extend(sizes);
        let (code, _, stderr) = world.run(&train);
        assert_eq!(code, 0, "{method}: {stderr}");
        let (code, stdout, stderr) = world.run(&["run", &out, "--base", "tiny-bert", "good film"]);
        assert!(code == 0 && stdout.contains('\t'), "{method}: {stdout}{stderr}");
    }
}

#[test]
fn a_method_with_fields_of_its_own_is_trained_from_a_file() {
    let world = World::new();
    // What `adapters` calls a configuration.
    let config = r#"{"mh_adapter": true, "output_adapter": true, "reduction_factor": {"0": 2, "default": 4},
        "non_linearity": "gelu_new", "ln_after": true, "scaling": "channel", "leave_out": []}"#;
    std::fs::write(world.path("method.json"), config).expect("writes");
    let train = |config: &str, out: &str, name: &str| {
        let mut args = vec!["train", "--base", "tiny-bert", "--data", "reviews.csv", "--output", out];
        args.extend(["--name", name, "--method-file", config, "--steps", "2", "--batch-size", "4"]);
        world.run(&args)
    };
    let (code, _, stderr) = train("method.json", "first", "local/first");
    assert_eq!(code, 0, "{stderr}");
    // The same method once more, from what the first run says of itself.
    let (code, _, stderr) = train("first/manifest.json", "second", "local/second");
    assert_eq!(code, 0, "{stderr}");
    let method = |folder: &str| -> Value {
        let bytes = std::fs::read(world.path(folder).join("manifest.json")).expect("reads");
        serde_json::from_slice::<Value>(&bytes).expect("JSON")["method"].clone()
    };
    assert_eq!(method("first"), method("second"));
    assert_eq!(method("first")["scaling"], "channel", "{}", method("first"));
}

#[test]
fn a_method_file_with_a_field_that_nobody_reads_is_refused() {
    let world = World::new();
    let refused = |config: &str| {
        std::fs::write(world.path("method.json"), config).expect("writes");
        let (code, _, stderr) = world.run(&[
            "train",
            "--base",
            "tiny-bert",
            "--data",
            "reviews.csv",
            "--output",
            "out",
            "--method-file",
            "method.json",
        ]);
        assert_eq!(code, 1, "{stderr}");
        stderr.lines().next().unwrap_or_default().to_owned()
    };
    let messages = [
        refused(r#"{"type": "prompt", "prompt_length": 4, "place": "words", "prompt_lenght": 5}"#),
        refused(
            r#"{"mh_adapter": true, "output_adapter": true, "reduction_factor": 4, "non_linearity": "relu", "warp": 9}"#,
        ),
        refused(
            r#"{"mh_adapter": true, "output_adapter": true, "reduction_factor": 4, "non_linearity": "relu", "init_weights_seed": 7}"#,
        ),
        refused(
            r#"{"architecture": "union", "configs": [{"architecture": "prompt_tuning", "prompt_init": "from_string"}]}"#,
        ),
        refused(r#"{"peft_type": "LORA", "r": 8}"#),
        refused("[]"),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r#"
    error: `method.json`: `prompt_lenght` is no field of the method `prompt`
    error: `method.json`: `warp` is 9, which this version does not know
    error: `method.json`: `init_weights_seed` is 7, which nothing here reads: `--seed` draws all fresh weights; remove it
    error: `method.json`: `prompt_init` is "from_string", which nothing here reads: a fresh prompt is drawn evenly around zero; remove it
    error: `method.json`: `peft_type` can't be read here: only with the weights does a PEFT configuration say which layers it means; pull the adapter and give its `manifest.json`
    error: `method.json` is not valid JSON: invalid type: sequence, expected a map at line 1 column 0
    "#);
}

#[test]
fn a_lora_on_any_architecture_has_the_head_that_peft_loads() {
    let world = World::new();
    for base in ["roberta", "llama", "mistral", "gpt2", "qwen2", "qwen3", "gemma"] {
        let folder = hub_tests::golden::fixtures().join("methods/bases").join(base);
        let (folder, out) = (folder.display().to_string(), format!("./{base}"));
        // These backbones have no tokenizer; the tests' own fits their vocabularies.
        let own = world.path(&format!("base-{base}"));
        std::fs::create_dir(&own).expect("creates");
        for item in std::fs::read_dir(&folder).expect("lists").flatten() {
            std::fs::copy(item.path(), own.join(item.file_name())).expect("copies");
        }
        std::fs::write(own.join("tokenizer.json"), TOKENIZER).expect("writes");
        let has_biases = ["roberta", "gpt2", "qwen2"].contains(&base);
        let base = own.display().to_string();
        for (method, flag, value) in [
            ("lora", "--rank", "2"),
            ("p-tuning", "--prompt-length", "2"),
            ("layer-norm", "--seed", "1"),
            ("bitfit", "--seed", "1"),
            ("full", "--seed", "1"),
        ] {
            // The others have no bias.
            if method == "bitfit" && !has_biases {
                continue;
            }
            let out = format!("{out}-{method}");
            let mut train = vec!["train", "--base", &base, "--data", "reviews.csv", "--output", &out];
            train.extend(["--name", "local/a", "--method", method, flag, value, "--steps", "2"]);
            let (code, _, stderr) = world.run(&train);
            assert_eq!(code, 0, "{base} {method}: {stderr}");
            let (code, stdout, stderr) = world.run(&["run", &out, "--base", &base, "good film"]);
            assert!(code == 0 && stdout.contains('\t'), "{base} {method}: {stdout}{stderr}");
        }
    }
}

/// Twenty words.
const TOKENIZER: &str = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
    "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
    "model": {"type": "WordLevel", "unk_token": "<unk>", "vocab": {"<pad>": 0, "<unk>": 1, "good": 2, "film": 3, "awful": 4,
        "boring": 5, "great": 6, "plot": 7, "music": 8, "a": 9, "the": 10, "and": 11}}}"#;
