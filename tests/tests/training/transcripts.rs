//! Recordings written down, with the real program.

use std::{fmt::Write as _, path::Path};

use serde_json::{Value, json};

use super::{
    audio::{SETTINGS, record},
    world::World,
};

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
