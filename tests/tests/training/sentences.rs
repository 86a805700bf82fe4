//! Folders that `sentence-transformers` wrote, through the real program: the vectors are those of the library.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

use super::world::World;

/// Largest difference in single precision.
const BAR: f64 = 1e-4;
const VERSIONS: [&str; 2] = ["5.1.2", "5.7.0"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sentence-transformers")
}

/// The texts and, by case, what the library makes of them.
fn expected(version: &str) -> (Vec<String>, BTreeMap<String, Vec<Vec<f64>>>) {
    let bytes = fs::read(fixtures().join(version).join("expected.json")).expect("a file");
    let json: Value = serde_json::from_slice(&bytes).expect("JSON");
    let parse = |name: &str| json[name].clone();
    let texts = serde_json::from_value(parse("texts")).expect("texts");
    (texts, serde_json::from_value(parse("vectors")).expect("vectors"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("creates");
    for item in fs::read_dir(from).expect("lists") {
        let (from, name) = item.map(|item| (item.path(), item.file_name())).expect("an entry");
        if from.is_dir() {
            copy(&from, &to.join(name));
        } else {
            fs::copy(&from, to.join(name)).expect("copies");
        }
    }
}

/// The backbone as `backbone`, every case of a base model on it as `NAME`, and the adapter as `adapter`.
fn world(version: &str) -> World {
    let world = World::new();
    copy(&fixtures().join("backbone"), &world.path("backbone"));
    for item in fs::read_dir(fixtures().join(version)).expect("lists") {
        let case = item.expect("an entry").path();
        let Some(name) = case.file_name().filter(|_| case.is_dir()).and_then(|name| name.to_str()) else {
            continue;
        };
        if name != "adapter" {
            copy(&fixtures().join("backbone"), &world.path(name));
        }
        copy(&case, &world.path(name));
    }
    fs::write(world.path("pairs.csv"), pairs()).expect("writes");
    world
}

/// Twelve pairs with scores.
fn pairs() -> String {
    let words = ["great", "dull", "long", "very"];
    let pair = |i: usize| {
        let (first, second) = (words[i % 4], words[(i / 2) % 4]);
        format!("a {first} film,the {second} story,{}\n", f64::from(u8::from(first == second)) * 0.8)
    };
    format!("sentence1,sentence2,score\n{}", (0..12).map(pair).collect::<String>())
}

fn vectors(answers: &Value) -> Vec<Vec<f64>> {
    let answers = answers["predictions"].as_array().expect("answers");
    answers
        .iter()
        .map(|answer| serde_json::from_value(answer["embedding"].clone()).expect("a vector"))
        .collect()
}

fn run(world: &World, adapter: &str, base: &str, texts: &[String]) -> Vec<Vec<f64>> {
    let asked = ["run", adapter, "--base", base];
    let texts = texts.iter().map(String::as_str);
    vectors(&world.json(&asked.into_iter().chain(texts).collect::<Vec<_>>()))
}

#[track_caller]
fn assert_near(found: &[Vec<f64>], expected: &[Vec<f64>], bar: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len(), "{what}");
        let far = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(far <= bar, "{what}: off by {far}");
    }
}

#[test]
fn a_base_folder_gives_the_vectors_of_the_library() {
    for version in VERSIONS {
        let world = world(version);
        let (texts, cases) = expected(version);
        assert_eq!(cases.len(), 11);
        for (case, expected) in cases.iter().filter(|(case, _)| *case != "adapter") {
            assert_near(&run(&world, "None", case, &texts), expected, BAR, &format!("{version} {case}"));
        }
    }
}

#[test]
fn what_the_folder_states_is_said() {
    let world = world("5.7.0");
    let said = |arguments: &[&str]| {
        let (code, _, stderr) = world.run(arguments);
        assert_eq!(code, 0, "{stderr}");
        stderr
    };
    let told = [
        said(&["run", "None", "--base", "normalized", "a film"]),
        said(&["run", "None", "--base", "prompt", "a film"]),
        said(&["run", "./adapter", "--base", "backbone", "a film"]),
        said(&["eval", "None", "--base", "cls", "--data", "pairs.csv"]),
    ];
    insta::assert_snapshot!(told.concat());
    let info = world.json(&["info", "./adapter"]);
    let head = json!({ "type": "embedding", "pooling": "mean", "max_length": 12 });
    assert_eq!(info["head"], head, "{info}");
    let info = world.succeed(&["info", "./adapter"]);
    assert!(info.contains("the mean of the tokens, of length one; of 12 tokens at most"), "{info}");
}

#[test]
fn an_adapter_folder_gives_the_vectors_of_the_library() {
    for version in VERSIONS {
        let world = world(version);
        let (texts, cases) = expected(version);
        // On a base model that states nothing, and on one that states something else.
        for base in ["backbone", "cls"] {
            let found = run(&world, "./adapter", base, &texts);
            assert_near(&found, &cases["adapter"], BAR, &format!("{version} {base}"));
        }
        let scores = world.json(&["eval", "./adapter", "--base", "backbone", "--data", "pairs.csv"]);
        assert_eq!(scores["examples"], 12, "{scores}");
        assert!(scores["spearman"].is_number(), "{scores}");
        // `a great film` between the special tokens.
        let ids: Vec<u8> = [2_i64, 6, 13, 7, 3].iter().flat_map(|id| id.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::I64, vec![1, 5], &ids).expect("a tensor");
        safetensors::serialize_to_file([("input_ids", view)], None, &world.path("in.safetensors"))
            .expect("writes");
        let files = ["--inputs", "in.safetensors", "--outputs", "out.safetensors"];
        world.succeed(&[&["forward", "--base", "backbone", "--adapter", "adapter"][..], &files].concat());
        let bytes = fs::read(world.path("out.safetensors")).expect("a file");
        let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
        let vector = tensors.tensor("sentence_embedding").expect("a vector");
        let numbers =
            vector.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        assert_near(&[numbers.collect()], &cases["adapter"][..1], BAR, version);
    }
}

#[test]
fn an_adapter_without_a_head_gives_the_vectors_of_its_base_folder() {
    let world = world("5.7.0");
    let (texts, cases) = expected("5.7.0");
    copy(&world.path("adapter"), &world.path("bare"));
    for name in ["modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"] {
        fs::remove_file(world.path("bare").join(name)).expect("removes");
    }
    assert_near(&run(&world, "./bare", "normalized", &texts), &cases["adapter"], BAR, "bare");
    let (code, _, stderr) = world.run(&["run", "./bare", "--base", "backbone", "a film"]);
    assert!(code == 1 && stderr.contains("has no head"), "{stderr}");
}

/// Trains vectors on a base, so little that they stay what they were.
fn train(world: &World, base: &str, out: &str, more: &[&str]) -> (i32, String) {
    let own = ["train", "--base", base, "--head", "embedding", "--data", "pairs.csv", "--output", out];
    let (code, _, stderr) = world.run(&[&own[..], &["--steps", "1", "--lr", "1e-9"], more].concat());
    (code, stderr)
}

#[test]
fn what_is_trained_on_such_a_folder_has_its_vectors() {
    let world = world("5.7.0");
    let (texts, cases) = expected("5.7.0");
    for (base, method, head) in [
        ("max", "lora", json!({ "pooling": "max", "normalize": false, "max_length": 12 })),
        (
            "prompt",
            "pfeiffer",
            json!({ "pooling": "mean", "normalize": false, "max_length": 12, "prompt": "query : " }),
        ),
        ("normalized", "full", json!({ "pooling": "mean", "max_length": 12 })),
    ] {
        let out = format!("{base}-{method}");
        let (code, stderr) = train(&world, base, &out, &["--method", method]);
        assert!(
            code == 0 && stderr.contains("vectors as the base model's `modules.json` states them"),
            "{stderr}"
        );
        let mut stated = world.manifest(&out)["head"].clone();
        assert_eq!(stated.as_object_mut().and_then(|head| head.remove("type")), Some(json!("embedding")));
        assert_eq!(stated, head, "{base}");
        // The folder says it all: the plain backbone is enough.
        let found = run(&world, &format!("./{out}"), "backbone", &texts);
        // A bottleneck begins near nothing, the others with nothing at all.
        let bar = if method == "pfeiffer" { 1e-2 } else { BAR };
        assert_near(&found, &cases[base], bar, base);
    }
    let (code, stderr) = train(&world, "max", "asked", &["--pooling", "first"]);
    assert!(code == 0 && !stderr.contains("modules.json"), "{stderr}");
    assert_eq!(world.manifest("asked")["head"], json!({ "type": "embedding", "pooling": "first" }));
}

#[test]
fn what_is_not_computed_is_refused_by_name_where_vectors_are_asked_for() {
    for version in VERSIONS {
        let world = world(version);
        let refused = |base: &str| {
            let (code, stdout, stderr) = world.run(&["run", "None", "--base", base, "a film"]);
            assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
            stderr
        };
        let messages = ["dense", "layers", "lstm", "side-by-side"].map(refused);
        insta::allow_duplicates! { insta::assert_snapshot!("refused_modules", messages.concat()) };
        let (code, stderr) = train(&world, "dense", "out", &[]);
        assert!(code == 1 && stderr.contains("names the module `Dense`"), "{stderr}");
        // Whoever says which vectors are meant, or learns something else, does not ask for these.
        let (code, stderr) = train(&world, "dense", "own", &["--pooling", "mean"]);
        assert_eq!(code, 0, "{stderr}");
        let classes = ["train", "--base", "dense", "--data", "reviews.csv", "--output", "classes"];
        world.succeed(&[&classes[..], &["--steps", "1"]].concat());
        assert_eq!(world.manifest("classes")["head"]["type"], "classification");
        let answers = world.json(&["run", "./classes", "--base", "dense", "a film"]);
        assert!(answers["predictions"][0]["label"].is_string(), "{answers}");
    }
}

#[test]
fn an_adapter_whose_modules_leave_its_folder_is_refused() {
    let world = world("5.7.0");
    let path = world.path("adapter/modules.json");
    let mut modules: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    modules[1]["path"] = json!("../cls/1_Pooling");
    fs::write(&path, modules.to_string()).expect("writes");
    for command in [&["run", "./adapter", "--base", "backbone", "a film"][..], &["info", "./adapter"]] {
        let (code, _, stderr) = world.run(command);
        assert!(code == 1 && stderr.contains("`path` of `Pooling`: the file path"), "{stderr}");
    }
    // A length that leaves no room for a word.
    fs::write(world.path("cls/sentence_bert_config.json"), json!({ "max_seq_length": 1 }).to_string())
        .expect("writes");
    let (code, _, stderr) = world.run(&["run", "None", "--base", "cls", "a film"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(stderr);
}
