//! Vectors of texts through the real program: learned from pairs with a score, measured by correlation, printed, and
//! compared.

use std::{fmt::Write as _, fs};

use serde_json::{Value, json};

use super::world::{BAD, GOOD, Numbers, World};

const BASE: [&str; 2] = ["--base", "tiny-bert"];
/// Words of two topics, and others that belong to any.
const TOPICS: [[&str; 2]; 2] = [["film", "story"], ["music", "scenes"]];
const OTHERS: [&str; 4] = ["the", "a", "with", "and"];

/// Pairs of texts: alike where they have one topic, whatever their moods, which the backbone tells apart best. A score
/// is written `scale` times as large as it is learned.
fn pairs(count: usize, seed: u64, scale: f64) -> String {
    let mut numbers = Numbers(seed);
    let mut csv = "sentence1,sentence2,score\n".to_owned();
    for i in 0..count {
        let first = numbers.below(2);
        let (second, score) = if i % 2 == 0 { (first, 0.9) } else { (1 - first, 0.1) };
        let mut text = |topic: usize| {
            let mood = if numbers.below(2) == 0 { GOOD } else { BAD };
            let mood = mood[numbers.below(4)];
            format!("{} {mood} {}", OTHERS[numbers.below(4)], TOPICS[topic][numbers.below(2)])
        };
        let _ = writeln!(csv, "{},{},{}", text(first), text(second), scale * score);
    }
    csv
}

fn world() -> World {
    let world = World::new();
    for (name, count, seed, scale) in
        [("train.csv", 320, 1, 1.0), ("held-out.csv", 80, 2, 1.0), ("to-five.csv", 80, 2, 5.0)]
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
    assert_eq!(after["examples"], 80);
    let (low, high) = (number(&before, "spearman"), number(&after, "spearman"));
    // With two scores only, ranks that are all right give the root of 3/4.
    assert!(high > 0.8 && low < 0.4, "{low} became {high}");
    assert!(number(&after, "pearson") > 0.8, "{after}");
    assert!(number(&after, "loss") < number(&before, "loss") / 2.0, "{after}, before {before}");
    // Correlations do not depend on the scale of the scores.
    let scaled = eval(&world, "./out", "to-five.csv");
    assert!((number(&scaled, "spearman") - high).abs() < 1e-9, "{scaled}");

    let manifest = world.manifest("out");
    assert_eq!(manifest["head"], json!({ "type": "embedding", "pooling": "mean" }));
    assert_eq!(manifest["task"]["name"], "embedding");
    assert_eq!(manifest["metrics"][0]["name"], "spearman");
    assert!((manifest["metrics"][0]["value"].as_f64().expect("a number") - high).abs() < 1e-5);
    assert_eq!(manifest["training"]["hyper_parameters"]["selection"], "spearman");

    let ask = |more: &[&'static str]| [&["run", "./out"][..], &BASE, more].concat();
    let answers = world.json(&ask(&["a great film", "the awful story", "a great music"]));
    let vectors: Vec<Vec<f64>> = (0..3).map(|i| vector(&answers["predictions"][i]["embedding"])).collect();
    assert!(vectors.iter().all(|x| x.len() == 16 && (product(x, x) - 1.0).abs() < 1e-5), "{answers}");
    assert!(product(&vectors[0], &vectors[1]) > product(&vectors[0], &vectors[2]) + 0.15, "{answers}");
    let compared = world.json(&ask(&["a great film", "--pair", "a great music"]));
    let compared = &compared["predictions"][0];
    assert_eq!(compared["pair"], "a great music");
    assert!((number(compared, "similarity") - product(&vectors[0], &vectors[2])).abs() < 1e-5, "{compared}");
    for (name, expected) in [("embedding", &vectors[0]), ("pair_embedding", &vectors[2])] {
        let found = vector(&compared[name]);
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{name}: {compared}");
    }
    // For people a cosine, or how a vector begins.
    let text = world.succeed(&ask(&["--pairs", "a great film\ta great music"]));
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
        ("loreft", "first", "first"),
        ("prefix", "last", "last"),
        ("full", "", "mean"),
    ];
    for (method, pooling, name) in cases {
        let mut flags = vec!["--method", method, "--steps", "3", "--test", "held-out.csv"];
        if !pooling.is_empty() {
            flags.extend(["--pooling", pooling]);
        }
        train(&world, method, &flags);
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
