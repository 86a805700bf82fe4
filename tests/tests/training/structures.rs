//! Trees of sentences and choices among texts through the real program.

use std::{fmt::Write as _, fs};

use serde_json::{Value, json};

use super::world::{BAD, GOOD, Numbers, World};

const TRAIN: [&str; 16] = [
    "train",
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
    "24",
    "--output",
];

fn write(world: &World, name: &str, content: &str) {
    fs::write(world.path(name), content).expect("writes");
}

fn train(world: &World, output: &str, more: &[&str]) {
    world.succeed(&[&TRAIN[..], &[output], more].concat());
}

fn value(scores: &Value, metric: &str) -> f64 {
    scores[metric].as_f64().unwrap_or_else(|| panic!("no {metric}: {scores}"))
}

/// Articles and adjectives in front of a noun, which is the root.
fn trees(count: usize, seed: u64) -> String {
    let mut numbers = Numbers(seed);
    let mut file = String::new();
    for _ in 0..count {
        let mut words = vec![(["the", "a", "this"][numbers.below(3)], "det:of")];
        words
            .extend((0..numbers.below(3)).map(|_| ([GOOD, BAD][numbers.below(2)][numbers.below(4)], "amod")));
        words.push((["film", "story", "plot", "music"][numbers.below(4)], "root"));
        let noun = words.len();
        for (number, (word, relation)) in (1..).zip(&words) {
            let head = if number == noun { 0 } else { noun };
            let _ = writeln!(file, "{number}\t{word}\t_\t_\t_\t_\t{head}\t{relation}\t_\t_");
        }
        file.push('\n');
    }
    file
}

#[test]
fn sentences_get_trees_that_are_written_as_conllu() {
    let world = World::new();
    write(&world, "train.conllu", &trees(160, 1));
    write(&world, "held-out.conllu", &trees(40, 2));
    train(
        &world,
        "out",
        &["--data", "train.conllu", "--head", "dependency-parsing", "--test", "held-out.conllu"],
    );
    let scores = world.json(&["eval", "./out", "--base", "tiny-bert", "--data", "held-out.conllu"]);
    assert!(value(&scores, "las") > 0.9 && value(&scores, "uas") > 0.9, "{scores}");
    let manifest = world.manifest("out");
    assert_eq!(manifest["task"]["name"], "dependency-parsing");
    assert_eq!(
        manifest["task"]["labels"],
        json!(["amod", "det", "root"]),
        "without what belongs to one language"
    );
    assert_eq!(
        (&manifest["metrics"][0]["name"], &manifest["metrics"][1]["name"]),
        (&json!("las"), &json!("uas"))
    );
    let measured = value(&manifest["metrics"][0], "value");
    assert!((measured - value(&scores, "las")).abs() < 1e-9, "{measured}: {scores}");
    let tree = world.succeed(&["run", "./out", "--base", "tiny-bert", "the awful film", "a story"]);
    insta::assert_snapshot!(tree, @"
    1\tthe\t_\t_\t_\t_\t3\tdet\t_\t_
    2\tawful\t_\t_\t_\t_\t3\tamod\t_\t_
    3\tfilm\t_\t_\t_\t_\t0\troot\t_\t_

    1\ta\t_\t_\t_\t_\t2\tdet\t_\t_
    2\tstory\t_\t_\t_\t_\t0\troot\t_\t_
    ");
    // What was answered can be measured: it is right by its own lights.
    write(&world, "answers.conllu", &tree);
    let own = world.json(&["eval", "./out", "--base", "tiny-bert", "--data", "answers.conllu"]);
    assert_eq!((value(&own, "las"), own["examples"].as_u64()), (1.0, Some(2)));
    let answers = world.json(&["run", "./out", "--base", "tiny-bert", "the film"]);
    assert_eq!(answers["predictions"][0]["words"][0]["arc"]["head"], 2, "{answers}");
    // A relation of another language is wrong, and a file of other relations altogether is refused.
    write(&world, "other.conllu", &trees(40, 2).replace("\tamod\t", "\tclf\t"));
    let other = world.json(&["eval", "./out", "--base", "tiny-bert", "--data", "other.conllu"]);
    assert!(value(&other, "las") < value(&other, "uas"), "{other}");
    let strange = trees(4, 2).replace("\tamod\t", "\tATT\t").replace("det:of", "DET").replace("root", "HED");
    write(&world, "strange.conllu", &strange);
    let (code, _, stderr) = world.run(&["eval", "./out", "--base", "tiny-bert", "--data", "strange.conllu"]);
    assert!(code == 1 && stderr.contains("known are: amod, det, root"), "{stderr}");
}

#[test]
fn words_that_are_not_read_are_wrong_and_words_may_share_a_token() {
    let world = World::new();
    write(&world, "train.conllu", &trees(40, 1));
    train(&world, "out", &["--data", "train.conllu", "--head", "dependency-parsing", "--layers", "1"]);
    let eval = ["eval", "./out", "--base", "tiny-bert", "--data", "train.conllu", "--max-length", "4"];
    let scores = world.json(&eval);
    assert!(value(&scores, "uas") < 0.8, "{scores}");
    let marks = world.succeed(&["run", "./out", "--base", "tiny-bert", "film.........................."]);
    assert_eq!(marks.lines().filter(|line| line.contains("\t0\t")).count(), 1, "{marks}");
    assert_eq!(marks.trim_end().lines().count(), 27, "{marks}");
}

/// One of three choices is of the good kind, wherever it stands.
fn choices(count: usize, seed: u64, label: impl Fn(usize, &[String]) -> String) -> String {
    let mut numbers = Numbers(seed);
    let mut csv = "premise,choice1,choice2,choice3,label\n".to_owned();
    for _ in 0..count {
        let right = numbers.below(3);
        let texts: Vec<String> = (0..3)
            .map(|place| {
                let word = if place == right { GOOD } else { BAD }[numbers.below(4)];
                format!("the {} {word}", ["film", "story", "plot"][numbers.below(3)])
            })
            .collect();
        let _ = writeln!(csv, "a film,{},{}", texts.join(","), label(right, &texts));
    }
    csv
}

#[test]
fn the_right_one_of_several_texts_is_chosen() {
    let world = World::new();
    write(&world, "train.csv", &choices(160, 1, |right, _| right.to_string()));
    write(&world, "held-out.csv", &choices(60, 2, |right, _| (right + 1).to_string()));
    train(&world, "out", &["--data", "train.csv", "--test", "held-out.csv", "--pooling", "mean"]);
    let eval = |data: &str| world.json(&["eval", "./out", "--base", "tiny-bert", "--data", data]);
    let scores = eval("held-out.csv");
    assert!(value(&scores, "accuracy") > 0.9, "{scores}");
    let manifest = world.manifest("out");
    assert_eq!(
        (&manifest["head"]["type"], &manifest["head"]["num_choices"]),
        (&json!("multiple-choice"), &json!(3))
    );
    assert_eq!(manifest["metrics"][0]["name"], "accuracy");
    // The right one may be named by its letter, by its column, or by its text.
    write(&world, "letters.csv", &choices(60, 2, |right, _| ["A", "B", "C"][right].to_owned()));
    write(&world, "columns.csv", &choices(60, 2, |right, _| format!("choice{}", right + 1)));
    let named = choices(60, 2, |right, texts| texts[right].clone());
    let mut lists = String::new();
    for line in named.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let row = json!({ "text": cells[0], "choices": cells[1..4], "answer": cells[4] });
        let _ = writeln!(lists, "{row}");
    }
    write(&world, "lists.jsonl", &lists);
    for data in ["letters.csv", "columns.csv", "lists.jsonl"] {
        assert_eq!(eval(data)["accuracy"], scores["accuracy"], "{data}");
    }
    let run = ["run", "./out", "--base", "tiny-bert", "a film"];
    let told = world.json(&[&run[..], &["--choice", "the plot dull", "--choice", "the plot great"]].concat());
    assert_eq!(told["predictions"][0]["answer"]["text"], "the plot great", "{told}");
    assert_eq!(told["predictions"][0]["answer"]["choice"], 1);
    let tabbed =
        world.succeed(&["run", "./out", "--base", "tiny-bert", "a film\tthe plot dull\tthe plot great"]);
    assert!(tabbed.starts_with("the plot great\t"), "{tabbed}");
    let mut messages = Vec::new();
    for more in [&["--pair", "x"][..], &[][..]] {
        let (code, _, stderr) = world.run(&[&run[..], more].concat());
        assert_eq!(code, 1);
        messages.push(stderr);
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
    error: every text has choices behind it: `--pair` has nothing to add

    hint: pass each of them with `--choice`

    error: a text with two choices or more is needed, tabs between them: "a film"

    hint: pass each choice with `--choice`
    "#);
}

#[test]
fn what_is_no_tree_and_no_choice_is_refused_by_name() {
    let world = World::new();
    let tree = "1\tthe\t_\t_\t_\t_\t2\tdet\t_\t_\n2\tfilm\t_\t_\t_\t_\t0\troot\t_\t_\n";
    write(&world, "beyond.conllu", &tree.replace("\t2\tdet", "\t3\tdet"));
    write(&world, "itself.conllu", &tree.replace("\t2\tdet", "\t1\tdet"));
    write(&world, "numbers.conllu", &tree.replace("2\tfilm", "3\tfilm"));
    write(&world, "one.csv", "text,choice1,choice2,choice3,label\na,b,c,d,1\ne,f,g,h,2\n");
    write(&world, "other.csv", "text,choice1,choice2,label\na,b,c,A\ne,f,g,h\n");
    write(
        &world,
        "lists.jsonl",
        "{\"text\": \"a\", \"choices\": [\"b\", \"c\"], \"label\": 0}\n{\"text\": \"a\", \"choices\": [\"b\"], \"label\": 0}\n",
    );
    let refused = |data: &str, more: &[&str]| {
        let mut train = vec!["train", "--base", "tiny-bert", "--data", data, "--output", "out"];
        train.extend(more);
        let (code, _, stderr) = world.run(&train);
        assert_eq!(code, 1, "{stderr}");
        stderr.lines().find(|line| line.starts_with("error")).unwrap_or_default().to_owned()
    };
    let parse = ["--head", "dependency-parsing"];
    write(&world, "tree.conllu", &[tree, "\n", &tree.replace("film", "plot")].concat());
    let messages = [
        refused("beyond.conllu", &parse),
        refused("itself.conllu", &parse),
        refused("numbers.conllu", &parse),
        refused("one.csv", &parse),
        refused("tree.conllu", &[&parse[..], &["--method", "lora"]].concat()),
        refused("tree.conllu", &[&parse[..], &["--method", "prompt"]].concat()),
        refused("tree.conllu", &[&parse[..], &["--head-layers", "2"]].concat()),
        refused("one.csv", &[]),
        refused("other.csv", &[]),
        refused("lists.jsonl", &[]),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    error: `beyond.conllu`, line 1: the head of `the` is `3`; it must be 0 for the root, or the number of another word of the sentence
    error: `itself.conllu`, line 1: the head of `the` is `1`; it must be 0 for the root, or the number of another word of the sentence
    error: `numbers.conllu`, line 2: the word has the number `3`; the words of a sentence count from 1, and here 2 is next
    error: `one.csv` can't hold examples for `dependency-parsing`: they stand in files that end in .conllu
    error: PEFT saves no head for `dependency-parsing` beside an adapter
    error: `dependency-parsing` finds words by the numbers of their tokens, which is not computed with a prompt in front of them
    error: a head for `dependency-parsing` has no linear layers: `--head-layers` has nothing to choose
    error: `one.csv`: the column `label` holds neither 0 nor 3: it could count the choices from 0 or from 1
    error: `other.csv`, line 2: `A` is none of the 2 choices
    error: `lists.jsonl`, line 2: the number of choices is 1; every example needs as many, two or more, and the first has 2
    ");
}
