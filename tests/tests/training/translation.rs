//! Translation with the real program: an encoder with a decoder behind it learns sentences of one language beside those of
//! another, and is measured by BLEU on sentences that it has not seen.

use std::fs;

use hub_tests::words::write_base_of_words;
use serde_json::{Value, json};

use super::world::World;

/// A sentence of four words, each one of three, and the same in the other language.
fn sentence(choice: usize) -> (String, String) {
    let words = |first: usize| {
        let word = |place: usize| format!("w{}", first + 3 * place + choice / 3_usize.pow(place as u32) % 3);
        (0..4).map(word).collect::<Vec<_>>().join(" ")
    };
    (words(4), words(20))
}

/// Two thirds of all sentences, or the others.
fn sentences(held_out: bool) -> String {
    let sum = |choice: usize| (0..4).map(|place| choice / 3_usize.pow(place) % 3).sum::<usize>();
    let rows = (0..81).filter(|&choice| (sum(choice) % 3 == 0) == held_out).map(sentence);
    let rows = rows.map(|(source, target)| format!("{source},{target}"));
    std::iter::once("english,french".to_owned()).chain(rows).collect::<Vec<_>>().join("\n")
}

const COLUMNS: [&str; 4] = ["--text-column", "english", "--label-column", "french"];

fn eval(world: &World, adapter: &str) -> Value {
    let flags = ["--data", "held-out.csv", "--generate", "--max-new-tokens", "8"];
    world.json(&[&["eval", adapter, "--base", "base"], &COLUMNS[..], &flags].concat())
}

fn bleu(scores: &Value) -> f64 {
    scores["bleu"].as_f64().unwrap_or_else(|| panic!("no BLEU: {scores}"))
}

#[test]
fn sentences_that_were_not_seen_are_translated_and_measured_by_bleu() {
    for base in ["t5", "bart-scaled"] {
        let world = World::new();
        let settings = json!({ "eos_token_id": 3, "decoder_start_token_id": 2 });
        write_base_of_words(&world.path("base"), base, &settings);
        for (name, held_out) in [("train.csv", false), ("held-out.csv", true)] {
            fs::write(world.path(name), sentences(held_out)).expect("writes");
        }
        let data =
            ["--data", "train.csv", "--validation", "train.csv", "--head", "seq2seq-lm", "--language", "fr"];
        let method = [
            "--method",
            "lora",
            "--rank",
            "8",
            "--targets",
            "query,key,value,attention_output,ffn_up,ffn_down",
        ];
        let steps = ["--epochs", "60", "--batch-size", "18", "--lr", "0.02", "--output", "out"];
        world.succeed(&[&["train", "--base", "base"], &COLUMNS[..], &data, &method, &steps].concat());
        let manifest = world.manifest("out");
        assert_eq!(
            (&manifest["task"]["name"], &manifest["languages"]),
            (&json!("seq2seq-lm"), &json!(["fr"]))
        );
        let (tuned, untuned) = (eval(&world, "./out"), eval(&world, "None"));
        assert_eq!(tuned["examples"], 27, "{tuned}");
        assert!(bleu(&tuned) > 60.0 && bleu(&untuned) < 5.0, "{base}: {tuned}, {untuned}");
        // What was measured is what a person gets.
        for answer in &tuned["answers"].as_array().expect("answers")[..3] {
            let asked = answer["prompt"].as_str().expect("a text");
            let run = world.succeed(&["run", "./out", "--base", "base", "--max-new-tokens", "8", asked]);
            assert_eq!(Some(run.trim_end()), answer["written"].as_str(), "{base}");
        }
    }
}
