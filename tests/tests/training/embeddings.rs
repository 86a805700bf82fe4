//! Vectors of texts through the real program: learned from pairs with a score, measured by correlation, printed, and
//! compared.

use std::{fmt::Write as _, fs};

use serde_json::{Value, json};

use super::world::{BAD, GOOD, NEUTRAL, Numbers, World};

const BASE: [&str; 2] = ["--base", "tiny-bert"];

/// Pairs of sentences: of one mood nearly the same, of two moods unlike, in steps that a rank can tell. A score is
/// written `scale` times as large as it is learned.
fn pairs(count: usize, seed: u64, scale: f64) -> String {
    let mut numbers = Numbers(seed);
    let mut sentence = |words: [&str; 4]| {
        let mut text: Vec<&str> = (0..3).map(|_| NEUTRAL[numbers.below(12)]).collect();
        let word = numbers.below(4);
        text.insert(numbers.below(3), words[word]);
        text.join(" ")
    };
    let mut csv = "sentence1,sentence2,score\n".to_owned();
    for i in 0..count {
        let first = if i % 4 < 2 { GOOD } else { BAD };
        let (second, score) =
            if i % 2 == 0 { (first, 0.9) } else { (if i % 4 < 2 { BAD } else { GOOD }, 0.1) };
        let _ = writeln!(csv, "{},{},{}", sentence(first), sentence(second), scale * score);
    }
    csv
}

fn world() -> World {
    let world = World::new();
    for (name, count, seed, scale) in
        [("train.csv", 240, 1, 1.0), ("held-out.csv", 60, 2, 1.0), ("to-five.csv", 60, 2, 5.0)]
    {
        fs::write(world.path(name), pairs(count, seed, scale)).expect("writes");
    }
    world
}

/// Trains vectors with these flags into `out`.
fn train(world: &World, out: &str, more: &[&str]) {
    let own = ["train", "--head", "embedding", "--data", "train.csv", "--max-length", "16", "--output", out];
    world.succeed(&[&own[..], &BASE, more].concat());
}

fn eval(world: &World, adapter: &str, data: &str) -> Value {
    world.json(&[&["eval", adapter, "--data", data][..], &BASE].concat())
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("no {name}: {value}"))
}

fn vector(value: &Value) -> Vec<f64> {
    value.as_array().expect("a vector").iter().map(|n| n.as_f64().expect("a number")).collect()
}

fn product(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

#[test]
fn texts_that_are_alike_get_vectors_that_are() {
    let world = world();
    train(&world, "untrained", &["--method", "pfeiffer", "--steps", "1", "--lr", "0.000001"]);
    let before = eval(&world, "./untrained", "held-out.csv");
    let flags = ["--method", "pfeiffer", "--reduction-factor", "2", "--epochs", "8", "--lr", "0.02"];
    train(&world, "out", &[&flags[..], &["--batch-size", "16", "--test", "held-out.csv"]].concat());
    let after = eval(&world, "./out", "held-out.csv");
    assert_eq!(after["examples"], 60);
    let (low, high) = (number(&before, "spearman"), number(&after, "spearman"));
    assert!(high > 0.8 && high > low + 0.3, "{low} became {high}");
    assert!(number(&after, "pearson") > 0.9, "{after}");
    assert!(number(&after, "loss") < 0.05 && number(&after, "loss") < number(&before, "loss"), "{after}");
    // Correlations do not depend on the scale of the scores.
    let scaled = eval(&world, "./out", "to-five.csv");
    assert!((number(&scaled, "spearman") - high).abs() < 1e-9, "{scaled}");

    let manifest = world.manifest("out");
    assert_eq!(manifest["head"], json!({ "type": "embedding", "pooling": "mean" }));
    assert_eq!(manifest["task"]["name"], "embedding");
    assert_eq!(manifest["metrics"][0]["name"], "spearman");
    assert!((manifest["metrics"][0]["value"].as_f64().expect("a number") - high).abs() < 1e-5);
    assert_eq!(manifest["training"]["hyper_parameters"]["selection"], "spearman");

    let ask = |more: &[&str]| [&["run", "./out"][..], &BASE, more].concat();
    let answers = world.json(&ask(&["a great film", "the lovely story", "awful music"]));
    let vectors: Vec<Vec<f64>> = (0..3).map(|i| vector(&answers["predictions"][i]["embedding"])).collect();
    assert!(vectors.iter().all(|x| x.len() == 16 && (product(x, x) - 1.0).abs() < 1e-5), "{answers}");
    assert!(product(&vectors[0], &vectors[1]) > product(&vectors[0], &vectors[2]) + 0.4, "{answers}");
    let compared = world.json(&ask(&["a great film", "--pair", "awful music"]));
    let compared = &compared["predictions"][0];
    assert_eq!(compared["pair"], "awful music");
    assert!((number(compared, "similarity") - product(&vectors[0], &vectors[2])).abs() < 1e-5, "{compared}");
    for (name, expected) in [("embedding", &vectors[0]), ("pair_embedding", &vectors[2])] {
        let found = vector(&compared[name]);
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{name}: {compared}");
    }
    // For people a cosine, or how a vector begins.
    let text = world.succeed(&ask(&["--pairs", "a great film\tawful music"]));
    assert_eq!(text.trim(), format!("{:.4}", number(compared, "similarity")));
    let text = world.succeed(&ask(&["a great film"]));
    let first: Vec<String> = vectors[0][..4].iter().map(|number| format!("{number:.4}")).collect();
    assert_eq!(text, format!("{} …\t16 numbers\n", first.join(" ")));
}

#[test]
fn every_kind_of_folder_holds_vectors_of_every_mode() {
    let world = world();
    let cases = [
        ("lora", "weighted-mean", "weighted_mean"),
        ("bitfit", "max", "max"),
        ("hadamard", "mean-sqrt-len", "mean_sqrt_len"),
        ("reft", "first", "first"),
        ("prefix-tuning", "last", "last"),
    ];
    for (method, pooling, name) in cases {
        let steps = ["--steps", "3", "--test", "held-out.csv"];
        train(&world, method, &[&["--method", method, "--pooling", pooling][..], &steps].concat());
        let manifest = world.manifest(method);
        assert_eq!(manifest["head"], json!({ "type": "embedding", "pooling": name }), "{method}");
        let found = number(&eval(&world, &format!("./{method}"), "held-out.csv"), "spearman");
        let measured = manifest["metrics"][0]["value"].as_f64().expect("a number");
        assert!((found - measured).abs() < 1e-5, "{method}: {found} is not {measured}");
    }
}

#[test]
fn scores_that_no_cosine_reaches_are_refused_by_line() {
    let world = world();
    fs::write(world.path("single.csv"), "text,score\na film,0.5\nthe plot,0.1\n").expect("writes");
    let refused = |data: &str, more: &[&str]| {
        let own = ["train", "--head", "embedding", "--data", data, "--output", "out"];
        let (code, _, stderr) = world.run(&[&own[..], &BASE, more].concat());
        assert!(code == 1 && !world.path("out").exists(), "{stderr}");
        stderr.lines().find(|line| line.starts_with("error")).unwrap_or_default().to_owned()
    };
    let messages = [
        refused("to-five.csv", &[]),
        refused("train.csv", &["--validation", "to-five.csv"]),
        refused("single.csv", &[]),
        refused("train.csv", &["--method", "last-layer"]),
        refused("train.csv", &["--head-layers", "2"]),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    error: `to-five.csv`, line 2: the score 4.5 is no cosine, which lies between -1 and 1; scale the scores, as in score / 5 where they reach from 0 to 5
    error: `to-five.csv`, line 2: the score 4.5 is no cosine, which lies between -1 and 1; scale the scores, as in score / 5 where they reach from 0 to 5
    error: `single.csv`: the column `text` holds one text of a row, and a score compares two; name the other's column with `--pair-column`
    error: a head for `embedding` has no weights: `last-layer` has nothing to train; choose another `--method`
    error: a head for `embedding` has no linear layers: `--head-layers` has nothing to choose
    ");
}
