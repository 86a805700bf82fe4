//! Every kind of task through the real program: what the data says is trained, measured with the task's own
//! metrics, and answered.

use std::{fmt::Write as _, fs};

use serde_json::{Value, json};

use super::world::{BAD, GOOD, NEUTRAL, Numbers, World};

/// What trains every task here: a bottleneck, whose folder `adapters` loads.
const TRAIN: [&str; 14] = [
    "--base",
    "tiny-bert",
    "--method",
    "pfeiffer",
    "--reduction-factor",
    "2",
    "--epochs",
    "8",
    "--batch-size",
    "16",
    "--lr",
    "0.02",
    "--max-length",
    "16",
];

/// Trains on `data`, measures on `held_out`, and says what was measured.
fn learned(world: &World, data: &str, held_out: &str, more: &[&str]) -> Value {
    learned_with(world, data, held_out, (more, &[]))
}

/// The same with flags of which the second go to the bottleneck only.
fn learned_with(world: &World, data: &str, held_out: &str, (more, own): (&[&str], &[&str])) -> Value {
    let mut train = vec!["train", "--data", data, "--test", held_out, "--output", "out"];
    train.extend(TRAIN.iter().chain(more).chain(own));
    world.succeed(&train);
    let scores = world.json(&["eval", "./out", "--base", "tiny-bert", "--data", held_out]);
    // The same head as PEFT's: a few steps show that it trains, and that its folder is read again.
    let mut train =
        vec!["train", "--base", "tiny-bert", "--data", data, "--test", held_out, "--output", "peft"];
    train
        .extend(["--method", "lora", "--rank", "2", "--steps", "3", "--max-length", "16"].iter().chain(more));
    world.succeed(&train);
    let again = world.json(&["eval", "./peft", "--base", "tiny-bert", "--data", held_out]);
    assert_eq!(again["examples"], scores["examples"]);
    // What was measured while it was trained is what the folder does; windows are as long as training's there.
    for (folder, measured) in [("out", &scores), ("peft", &again)] {
        let first = &world.manifest(folder)["metrics"][0];
        let (found, split) = (value(measured, first["name"].as_str().expect("a name")), &first["split"]);
        let same = (found - first["value"].as_f64().expect("a number")).abs() < 1e-5;
        let has_windows = first["name"] == "answer_f1";
        assert!(split == "test" && (same || has_windows), "{folder}: {found}, {first}");
    }
    scores
}

fn value(scores: &Value, metric: &str) -> f64 {
    scores[metric].as_f64().unwrap_or_else(|| panic!("no {metric}: {scores}"))
}

/// Words without a mood.
fn neutral(numbers: &mut Numbers, least: usize) -> Vec<&'static str> {
    (0..least + numbers.below(3)).map(|_| NEUTRAL[numbers.below(12)]).collect()
}

fn write(world: &World, name: &str, content: &str) {
    fs::write(world.path(name), content).expect("writes");
}

fn pairs(count: usize, seed: u64) -> String {
    let mut numbers = Numbers(seed);
    let mut csv = "premise,hypothesis,label\n".to_owned();
    for i in 0..count {
        let (words, label) = if i % 2 == 0 { (GOOD, "good") } else { (BAD, "bad") };
        let (first, mut second) = (neutral(&mut numbers, 2), neutral(&mut numbers, 2));
        second.insert(numbers.below(2), words[numbers.below(4)]);
        let _ = writeln!(csv, "{},{},{label}", first.join(" "), second.join(" "));
    }
    csv
}

#[test]
fn a_pair_of_texts_is_labelled_by_both() {
    let world = World::new();
    write(&world, "train.csv", &pairs(240, 1));
    write(&world, "held-out.csv", &pairs(60, 2));
    let scores = learned(&world, "train.csv", "held-out.csv", &[]);
    assert!(value(&scores, "accuracy") > 0.9, "{scores}");
    assert!(value(&scores, "mcc") > 0.8, "{scores}");
    let answers = world.json(&[
        "run",
        "./out",
        "--base",
        "tiny-bert",
        "the film",
        "a story",
        "--pair",
        "this plot great",
    ]);
    let answers = answers["predictions"].as_array().expect("predictions");
    assert_eq!(answers.iter().map(|a| &a["label"]).collect::<Vec<_>>(), ["good", "good"]);
    assert_eq!(answers[1]["pair"], "this plot great");
    let tabbed = world.succeed(&["run", "./out", "--base", "tiny-bert", "--pairs", "the film\tawful story"]);
    assert!(tabbed.starts_with("bad\t"), "{tabbed}");
    // Texts of which nothing is left but their first words have no label that could be known.
    let eval = ["eval", "./out", "--base", "tiny-bert", "--data", "held-out.csv", "--max-length"];
    assert_eq!(world.json(&[&eval[..], &["16"]].concat()), scores);
    let cut = world.json(&[&eval[..], &["4"]].concat());
    assert!(value(&cut, "accuracy") < 0.8, "{cut}");
    let short = ["train", "--base", "tiny-bert", "--data", "held-out.csv", "--steps", "1", "-o", "short"];
    let (_, _, stderr) = world.run(&short);
    assert!(stderr.contains("`hub run short \"a text\" --pair \"another\"`"), "{stderr}");
    // Columns without well-known names have to be told.
    let renamed = pairs(60, 2).replacen("premise,hypothesis", "one,two", 1);
    write(&world, "renamed.csv", &renamed);
    let told = ["--text-column", "one", "--pair-column", "two", "--label-column", "label"];
    let mut eval = vec!["eval", "./out", "--base", "tiny-bert", "--data", "renamed.csv"];
    eval.extend(told);
    assert_eq!(world.json(&eval)["accuracy"], scores["accuracy"]);
}

fn numbers(count: usize, seed: u64) -> String {
    let mut numbers = Numbers(seed);
    let mut csv = "text,score\n".to_owned();
    for i in 0..count {
        let (words, base) = if i % 2 == 0 { (GOOD, 3.25) } else { (BAD, 0.25) };
        let word = numbers.below(4);
        let mut text = neutral(&mut numbers, 3);
        text.insert(numbers.below(3), words[word]);
        let _ = writeln!(csv, "{},{}", text.join(" "), base + 0.1 * word as f64);
    }
    csv
}

#[test]
fn a_number_is_predicted_and_scored_by_correlation() {
    let world = World::new();
    write(&world, "train.csv", &numbers(240, 1));
    write(&world, "held-out.csv", &numbers(60, 2));
    let scores = learned(&world, "train.csv", "held-out.csv", &[]);
    assert!(value(&scores, "pearson") > 0.9, "{scores}");
    assert!(value(&scores, "spearman") > 0.7, "{scores}");
    assert!(value(&scores, "mean_squared_error") < 0.6, "{scores}");
    let manifest = world.manifest("out");
    assert_eq!(manifest["head"]["type"], "regression");
    assert_eq!(manifest["metrics"][0]["name"], "pearson");
    assert_eq!(manifest["training"]["hyper_parameters"]["selection"], "pearson");
    let answers = world.json(&["run", "./out", "--base", "tiny-bert", "a great film", "awful music"]);
    let of = |i: usize| answers["predictions"][i]["value"].as_f64().expect("a number");
    assert!(of(0) > 2.0 && of(1) < 2.0, "{answers}");
}

fn sentences(count: usize, seed: u64, line: impl Fn(usize, &str, &str) -> String) -> String {
    let mut numbers = Numbers(seed);
    let mut file = String::new();
    for _ in 0..count {
        let mut tagged: Vec<(&str, &str)> =
            neutral(&mut numbers, 2).into_iter().map(|word| (word, "O")).collect();
        for (words, tag) in [(GOOD, "B-good"), (BAD, "B-bad")] {
            let place = numbers.below(tagged.len());
            tagged.insert(place, (words[numbers.below(4)], tag));
        }
        for (number, (word, tag)) in (1..).zip(&tagged) {
            file.push_str(&line(number, word, tag));
        }
        file.push('\n');
    }
    file
}

#[test]
fn words_are_tagged_and_scored_by_entities() {
    let world = World::new();
    let line = |_, word: &str, tag: &str| format!("{word}\t{tag}\n");
    write(&world, "train.conll", &sentences(160, 1, line));
    write(&world, "held-out.conll", &sentences(40, 2, line));
    let scores = learned(&world, "train.conll", "held-out.conll", &[]);
    assert!(value(&scores, "entity_f1") > 0.9, "{scores}");
    assert_eq!(scores["labels"][1]["label"], "good");
    assert_eq!(scores["labels"][1]["examples"], 40);
    assert_eq!(world.manifest("out")["task"]["labels"], json!(["B-bad", "B-good", "O"]));
    let text = world.succeed(&["run", "./out", "--base", "tiny-bert", "a great, awful film"]);
    let rows: Vec<Vec<&str>> = text.trim().lines().map(|line| line.split('\t').take(2).collect()).collect();
    assert_eq!(rows[1], ["great", "B-good"], "{text}");
    assert_eq!(rows[2][0], ",", "{text}");
    assert_eq!(rows[3], ["awful", "B-bad"], "{text}");
}

#[test]
fn universal_tags_are_scored_by_accuracy() {
    let world = World::new();
    let line = |number: usize, word: &str, tag: &str| {
        let tag = if tag == "O" { "NOUN" } else { "ADJ" };
        format!("{number}\t{word}\t_\t{tag}\t_\t_\t0\troot\t_\t_\n")
    };
    write(&world, "train.conllu", &sentences(160, 1, line));
    write(&world, "held-out.conllu", &sentences(40, 2, line));
    let scores = learned(&world, "train.conllu", "held-out.conllu", &[]);
    assert!(value(&scores, "accuracy") > 0.95, "{scores}");
    assert_eq!(scores["labels"][0]["label"], "ADJ");
}

/// Passages longer than the 16 tokens of a window, each with one word that answers.
fn questions(count: usize, seed: u64) -> String {
    let mut numbers = Numbers(seed);
    let questions = (0..count).map(|i| {
        let mut words = neutral(&mut numbers, 16);
        let place = numbers.below(words.len());
        let answer = if i % 2 == 0 { GOOD } else { BAD }[numbers.below(4)];
        words.insert(place, answer);
        let start = words[..place].iter().map(|word| word.len() + 1).sum::<usize>();
        let answers = json!([{ "text": answer, "answer_start": start }]);
        let question = json!({ "id": i.to_string(), "question": "with this", "answers": answers });
        json!({ "title": format!("Article {i}"), "paragraphs": [{ "context": words.join(" "), "qas": [question] }] })
    });
    json!({ "version": "1.1", "data": questions.collect::<Vec<_>>() }).to_string()
}

#[test]
fn answers_are_found_in_passages_longer_than_the_model_reads() {
    let world = World::new();
    write(&world, "train.json", &questions(160, 1));
    write(&world, "held-out.json", &questions(40, 2));
    let scores = learned(&world, "train.json", "held-out.json", &["--doc-stride", "4"]);
    assert!(value(&scores, "answer_f1") > 0.9, "{scores}");
    assert!(value(&scores, "exact_match") > 0.9, "{scores}");
    // In windows like those of training it is what training measured.
    let windows = ["--max-length", "16", "--doc-stride", "4"];
    let eval = ["eval", "./out", "--base", "tiny-bert", "--data", "held-out.json"];
    let again = value(&world.json(&[&eval[..], &windows].concat()), "answer_f1");
    let measured = world.manifest("out")["metrics"][0]["value"].as_f64().expect("a number");
    assert!((again - measured).abs() < 1e-9, "{again} is not {measured}");
    // PEFT's wrapper for question answering drops segments, so that its folders are trained without them.
    assert_eq!(world.manifest("peft")["semantics"]["drops_segments"], true);
    assert_eq!(world.manifest("out")["semantics"]["drops_segments"], Value::Null);
    let passage = "the film the film the film the film the film the film the film the film a dull story";
    let answers = world.json(&["run", "./out", "--base", "tiny-bert", "with this", "--pair", passage]);
    assert_eq!(answers["predictions"][0]["answer"]["text"], "dull");
    assert_eq!(answers["predictions"][0]["answer"]["start"], json!(passage.find("dull")));
    let (code, _, stderr) = world.run(&["run", "./out", "--base", "tiny-bert", "with this"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(stderr, @r#"
    error: two texts with a tab between them are needed; there is no tab in "with this"

    hint: pass the second text, such as the passage, with `--pair`
    "#);
}

/// One word several times: what is hidden stands beside it.
fn repeated(count: usize, seed: u64) -> String {
    let mut numbers = Numbers(seed);
    let words: Vec<&str> = NEUTRAL.iter().take(8).chain(&GOOD).chain(&BAD).copied().collect();
    let line = |_| [words[numbers.below(words.len())]; 6].join(" ") + "\n\n";
    (0..count).map(line).collect()
}

#[test]
fn hidden_tokens_are_found_from_their_surroundings() {
    let world = World::new();
    // The last word of the vocabulary becomes the mask.
    let path = world.base().join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).expect("reads")).expect("JSON");
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().expect("a vocabulary");
    let id = vocabulary.remove("plot").expect("a word");
    vocabulary.insert("[MASK]".to_owned(), id.clone());
    tokenizer["added_tokens"] = json!([{ "id": id, "content": "[MASK]", "special": true, "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false }]);
    fs::write(&path, tokenizer.to_string()).expect("writes");
    write(&world, "train.txt", &repeated(320, 1));
    write(&world, "held-out.txt", &repeated(60, 2));
    let mut train = vec!["train", "--data", "train.txt", "--output", "out"];
    train.extend(TRAIN);
    let (code, _, stderr) = world.run(&train);
    assert!(code == 0 && stderr.contains("`hub run out \"a text with a [MASK]\"`"), "{stderr}");
    let eval = ["eval", "./out", "--base", "tiny-bert", "--data", "held-out.txt"];
    let scores = world.json(&eval);
    assert!(value(&scores, "perplexity") < 3.0 && value(&scores, "accuracy") > 0.7, "{scores}");
    assert_eq!(world.json(&eval), scores, "two evaluations hide the same tokens");
    let head = String::from_utf8_lossy(&fs::read(world.path("out/model_head.safetensors")).expect("reads"))
        .into_owned();
    assert!(
        head.contains("heads.out.2.bias") && !head.contains("heads.out.3.weight"),
        "the table is not saved again"
    );
    let (code, _, stderr) = world.run(&[&eval[..], &["--doc-stride", "4"]].concat());
    assert!(code == 1 && stderr.contains("`masked-lm` reads no passages in windows"), "{stderr}");
    assert_eq!(world.manifest("out")["metrics"][0]["name"], "perplexity");
    let answers =
        world.json(&["run", "./out", "--base", "tiny-bert", "great great [MASK] great great great"]);
    let found = answers["predictions"][0]["masks"][0].as_array().expect("suggestions");
    assert!(found[..2].iter().any(|token| token["label"] == "great"), "{answers}");
    let (code, _, stderr) = world.run(&["run", "./out", "--base", "tiny-bert", "great film"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("there is no `[MASK]` in the text"), "{stderr}");
    let mut lora = vec!["train", "--base", "tiny-bert", "--data", "train.txt", "--method", "lora"];
    lora.extend(["--output", "peft"]);
    let (code, _, stderr) = world.run(&lora);
    assert_eq!(code, 1);
    assert!(stderr.contains("PEFT saves no head for `masked-lm`"), "{stderr}");
}

fn sets(count: usize, seed: u64) -> String {
    let mut numbers = Numbers(seed);
    let mut jsonl = String::new();
    for i in 0..count {
        let (has_good, has_bad) = (i % 2 == 0, i % 4 < 2);
        let mut text = neutral(&mut numbers, 3);
        for (there, words) in [(has_good, GOOD), (has_bad, BAD)] {
            if there {
                text.insert(numbers.below(3), words[numbers.below(4)]);
            }
        }
        let labels: Vec<&str> =
            [(has_good, "good"), (has_bad, "bad")].iter().filter(|l| l.0).map(|l| l.1).collect();
        let _ = writeln!(jsonl, "{}", json!({ "text": text.join(" "), "labels": labels }));
    }
    jsonl
}

#[test]
fn any_number_of_labels_is_predicted() {
    let world = World::new();
    write(&world, "train.jsonl", &sets(320, 1));
    write(&world, "held-out.jsonl", &sets(80, 2));
    let scores = learned_with(&world, "train.jsonl", "held-out.jsonl", (&[], &["--pooling", "mean"]));
    assert!(value(&scores, "micro_f1") > 0.85, "{scores}");
    assert_eq!(world.manifest("out")["head"]["type"], "multi-label-classification");
    let answers = world.json(&["run", "./out", "--base", "tiny-bert", "a great film", "the story"]);
    assert_eq!(answers["predictions"][0]["labels"], json!(["good"]), "{answers}");
    assert_eq!(answers["predictions"][1]["probabilities"].as_array().map(Vec::len), Some(2));
}

#[test]
fn heads_on_tokens_train_without_features_to_keep() {
    let world = World::new();
    let line = |_, word: &str, tag: &str| format!("{word} {tag}\n");
    write(&world, "train.conll", &sentences(40, 1, line));
    // The last layer alone, and a head before its adapter: heads on tokens have no features to keep.
    for method in ["last-layer", "hadamard"] {
        let out = format!("./{method}");
        world.succeed(&[
            "train",
            "--base",
            "tiny-bert",
            "--data",
            "train.conll",
            "--method",
            method,
            "--output",
            &out,
            "--steps",
            "3",
            "--select",
            "loss",
        ]);
        assert_eq!(world.manifest(method)["training"]["hyper_parameters"]["selection"], "loss");
    }
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    let world = World::new();
    write(&world, "words.conll", "great B-good\nfilm\n");
    write(&world, "tags.conll", "great B-good\nfilm O\n\nthe O\nplot O\n");
    write(
        &world,
        "answers.json",
        r#"{"data": [{"paragraphs": [{"context": "a film", "qas": [
        {"question": "what", "answers": [{"text": "plot", "answer_start": 2}]}]}]}]}"#,
    );
    write(&world, "odd.json", "[1, 2]");
    write(&world, "numbers.csv", "text,label\na film,1.5\nthe plot,high\n");
    let refused = |data: &str, more: &[&str]| {
        let mut train = vec!["train", "--base", "tiny-bert", "--data", data, "--output", "out"];
        train.extend(more);
        let (code, _, stderr) = world.run(&train);
        assert_eq!(code, 1, "{stderr}");
        assert!(!world.path("out").exists(), "nothing is left behind");
        stderr.lines().find(|line| line.starts_with("error")).unwrap_or_default().to_owned()
    };
    let messages = [
        refused("words.conll", &[]),
        refused("tags.conll", &["--head", "question-answering"]),
        refused("tags.conll", &["--pooling", "mean", "--validation", "tags.conll"]),
        refused("tags.conll", &["--select", "pearson", "--validation", "tags.conll"]),
        refused("answers.json", &[]),
        refused("odd.json", &[]),
        refused("numbers.csv", &["--head", "regression"]),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    error: `words.conll`, line 2: the word `film` has no tag: a line has a word and, behind a tab or a space, its tag
    error: `tags.conll` can't hold examples for `question-answering`: they stand in files that end in .json
    error: a head for `tagging` reads every token: `--pooling` has nothing to choose
    error: `pearson` is not measured for `tagging`; there are: entity_f1, entity_precision, entity_recall, accuracy, loss
    error: `answers.json`, question 1: the answer `plot` does not stand at character 2 of its passage
    error: `odd.json` is not in the layout of SQuAD: invalid type: integer `1`, expected a sequence at line 1 column 2
    error: `numbers.csv`, line 3: `high` in the column `label` is not a number
    ");
    let (code, _, stderr) =
        world.run(&["train", "--data", "tags.conll", "--head", "poetry", "--output", "out"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("`poetry` is no kind of task"), "{stderr}");
}
