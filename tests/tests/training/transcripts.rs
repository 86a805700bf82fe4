//! Recordings written down, with the real program.

use std::{fmt::Write as _, path::Path};

use hub_tests::sounds::{SETTINGS, record};
use serde_json::{Value, json};

use super::world::World;

/// A tiny Whisper with its decoder, whose tokens are words, and two recordings of which one is long.
fn world() -> World {
    let world = World::new();
    let base = world.path("whisper");
    std::fs::create_dir_all(&base).expect("a folder");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods/bases/whisper");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture.join(file), base.join(file)).expect("copied");
    }
    let words: serde_json::Map<String, Value> = (0..40).map(|i| (format!("w{i}"), json!(i))).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "w0"},
    });
    let generation = json!({"decoder_start_token_id": 1, "eos_token_id": 2, "no_timestamps_token_id": 35,
        "is_multilingual": true, "forced_decoder_ids": [[1, null], [2, 30]],
        "lang_to_id": {"<|en|>": 25, "<|de|>": 26}, "task_to_id": {"transcribe": 30, "translate": 31}});
    for (name, text) in [
        ("tokenizer.json", tokenizer.to_string()),
        ("generation_config.json", generation.to_string()),
        ("preprocessor_config.json", SETTINGS.to_owned()),
    ] {
        std::fs::write(base.join(name), text).expect("written");
    }
    record(&world.path("short.wav"), 440.0, 0.7);
    record(&world.path("long.wav"), 440.0, 2.4);
    world
}

fn transcripts(world: &World, arguments: &[&str]) -> (Vec<Value>, String) {
    let fixed = ["--format", "json", "run", "None", "--base", "whisper"];
    let (code, stdout, stderr) = world.run(&[&fixed[..], arguments].concat());
    assert_eq!(code, 0, "{stderr}");
    let json: Value = serde_json::from_str(&stdout).expect("JSON");
    (json["transcripts"].as_array().expect("transcripts").clone(), stderr)
}

#[test]
fn recordings_are_written_down_and_long_ones_in_pieces() {
    let world = world();
    let (found, stderr) = transcripts(&world, &["short.wav"]);
    assert_eq!((&found[0]["file"], &found[0]["pieces"]), (&json!("short.wav"), &json!(1)));
    assert!(["en", "de"].contains(&found[0]["language"].as_str().expect("a language")), "{found:?}");
    let text = found[0]["text"].as_str().expect("a text").to_owned();
    assert!(text.starts_with('w') && !stderr.contains("pieces"), "{text}: {stderr}");
    let (code, stdout, stderr) = world.run(&["run", "None", "--base", "whisper", "short.wav"]);
    assert_eq!((code, stdout.trim_end()), (0, text.as_str()), "{stderr}");
    let (found, stderr) = transcripts(&world, &["--language", "de", "--beams", "2", "long.wav"]);
    assert_eq!((&found[0]["pieces"], &found[0]["language"]), (&json!(3), &Value::Null));
    assert!(stderr.contains("`long.wav` is longer than what the base model reads"), "{stderr}");
}

#[test]
fn what_can_not_be_asked_is_refused_by_name() {
    let world = world();
    let refused = |arguments: &[&str]| {
        let (code, _, stderr) = world.run(&[&["run", "None", "--base", "whisper"], arguments].concat());
        assert_ne!(code, 0, "{stderr}");
        stderr
    };
    let stderr = refused(&["--language", "xx", "short.wav"]);
    assert!(stderr.contains("`xx` is no language of the base model; it has: `de`, `en`"), "{stderr}");
    let stderr = refused(&["--raw", "short.wav"]);
    assert!(stderr.contains("a recording is no prompt"), "{stderr}");
    let stderr = refused(&["a text"]);
    assert!(stderr.contains("`a text` can't be read"), "{stderr}");
}

#[test]
fn transcripts_are_measured_and_an_adapter_of_the_encoder_leaves_them_alone() {
    let world = world();
    let (before, _) = transcripts(&world, &["short.wav"]);
    let right = before[0]["text"].as_str().expect("a text");
    let rows = format!("audio,text\nshort.wav,{right}\nlong.wav,w1 w2\n");
    std::fs::write(world.path("spoken.csv"), rows).expect("written");
    let measure = ["--format", "json", "eval", "None", "--base", "whisper", "--data", "spoken.csv"];
    let (code, stdout, stderr) = world.run(&measure);
    assert_eq!(code, 0, "{stderr}");
    let json: Value = serde_json::from_str(&stdout).expect("JSON");
    let long = json["transcripts"][1]["text"].as_str().expect("a text").split(' ').count();
    assert_eq!(json["transcripts"][0]["text"], json!(right));
    let rate = json["word_error_rate"].as_f64().expect("a rate");
    // The first is right; the second has that many words for two.
    let words = right.split(' ').count() + 2;
    assert!(rate > 0.0 && rate <= long.max(2) as f64 / words as f64, "{stdout}");
    let mut rows = "audio,label\n".to_owned();
    for number in 0..20_u8 {
        record(&world.path(&format!("{number}.wav")), 300.0 + 20.0 * f32::from(number), 0.3);
        let label = if number % 2 == 0 { "even" } else { "odd" };
        writeln!(rows, "{number}.wav,{label}").expect("written");
    }
    std::fs::write(world.path("tones.csv"), rows).expect("written");
    let train = ["train", "--base", "whisper", "--data", "tones.csv", "--method", "lora", "--epochs", "1"];
    let (code, _, stderr) = world.run(&[&train[..], &["--output", "ab"]].concat());
    assert_eq!(code, 0, "{stderr}");
    let (code, stdout, stderr) = world.run(&["run", "./ab", "--base", "whisper", "short.wav"]);
    assert!(code == 0 && stdout.contains('\t'), "{stderr}");
    assert_eq!(transcripts(&world, &["short.wav"]).0, before);
}

/// Three tones with a word each, three times, as Common Voice calls the columns.
fn spoken(world: &World, name: &str) {
    let mut rows = "path,sentence\n".to_owned();
    for (number, word) in [(0_u8, "w5 w6"), (1, "w7"), (2, "w8 w9 w10")] {
        let file = format!("tone{number}.wav");
        record(&world.path(&file), 200.0 + 900.0 * f32::from(number), 0.5);
        (0..3).for_each(|_| writeln!(rows, "{file},{word}").expect("written"));
    }
    std::fs::write(world.path(name), rows).expect("written");
}

fn word_error_rate(world: &World, adapter: &str) -> (f64, Value) {
    let command = ["--format", "json", "eval", adapter, "--base", "whisper", "--data", "spoken.csv"];
    let (code, stdout, stderr) = world.run(&command);
    assert_eq!(code, 0, "{stderr}");
    let json: Value = serde_json::from_str(&stdout).expect("JSON");
    (json["word_error_rate"].as_f64().expect("a rate"), json["transcripts"].clone())
}

#[test]
fn an_adapter_learns_to_write_down_what_is_said_and_is_gone_when_it_is_off() {
    let world = world();
    spoken(&world, "spoken.csv");
    let (plain, written) = word_error_rate(&world, "None");
    let train = [
        "train",
        "--base",
        "whisper",
        "--data",
        "spoken.csv",
        "--validation",
        "spoken.csv",
        "--language",
        "de",
    ];
    let how = [
        "--method",
        "pfeiffer",
        "--reduction-factor",
        "1",
        "--epochs",
        "60",
        "--batch-size",
        "3",
        "--lr",
        "0.02",
    ];
    let (code, _, stderr) = world.run(&[&train[..], &how, &["--output", "dictation"]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("the task is `seq2seq-lm`: its columns are recordings"), "{stderr}");
    assert!(stderr.contains("column `sentence` is what is said in `path`"), "{stderr}");
    assert!(stderr.contains("hub run dictation recording.wav"), "{stderr}");
    let (code, stdout, stderr) = world
        .run(&[&train[..], &["--output", "x", "--method", "lora", "--dry-run", "--format", "json"]].concat());
    let plan: Value = serde_json::from_str(&stdout).expect("JSON");
    // Rank 8 on queries and values, 24 wide: two layers of the encoder, two of the decoder with two attentions each.
    assert_eq!((code, &plan["trainable"]["method"]), (0, &json!(6 * 2 * 8 * (24 + 24))), "{stderr}");
    let (tuned, _) = word_error_rate(&world, "./dictation");
    assert!(tuned == 0.0 && plain > 0.5, "{plain} without, {tuned} with the adapter");
    let (code, stdout, stderr) = world.run(&["run", "./dictation", "--base", "whisper", "tone2.wav"]);
    assert_eq!((code, stdout.as_str()), (0, "w8 w9 w10\n"), "{stderr}");
    assert_eq!(word_error_rate(&world, "None"), (plain, written), "without it nothing has changed");
}

#[test]
fn a_model_of_many_languages_has_to_be_told_which_one_it_learns_to_write() {
    let world = world();
    spoken(&world, "spoken.csv");
    let train = ["train", "--base", "whisper", "--data", "spoken.csv", "--method", "lora", "--output", "x"];
    let (code, _, stderr) = world.run(&train);
    assert_ne!(code, 0);
    assert!(
        stderr.contains("one has to be named that the transcripts are in; it has: `de`, `en`"),
        "{stderr}"
    );
    assert!(stderr.contains("hint: name one, as in `--language de`"), "{stderr}");
    let (code, _, stderr) = world.run(&[&train[..], &["--language", "fr"]].concat());
    assert!(code != 0 && stderr.contains("it has: `de`, `en`"), "{stderr}");
}

#[test]
fn a_recording_that_is_heard_in_part_is_said_to_be() {
    let world = world();
    std::fs::write(world.path("long.csv"), "audio,text\nlong.wav,w3\nshort.wav,w4\nlong.wav,w3\n")
        .expect("written");
    let train =
        ["train", "--base", "whisper", "--data", "long.csv", "--validation", "long.csv", "--language", "en"];
    let (code, _, stderr) =
        world.run(&[&train[..], &["--method", "lora", "--epochs", "1", "--output", "x"]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("2 of 3 recordings are longer than what the base model hears"), "{stderr}");
}
