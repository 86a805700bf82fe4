//! Recordings instead of texts, with the real program.

use std::{fmt::Write as _, path::Path};

use hub_tests::sounds::{SETTINGS, record};

use super::world::World;

/// A tiny encoder, and forty tones of which half are high.
fn world() -> World {
    let world = World::new();
    let base = world.path("tiny-whisper");
    std::fs::create_dir_all(&base).expect("a folder");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods/bases/whisper-classifier");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture.join(file), base.join(file)).expect("copied");
    }
    std::fs::write(base.join("preprocessor_config.json"), SETTINGS).expect("written");
    std::fs::create_dir_all(world.path("sounds/in")).expect("a folder");
    let mut rows = "audio,label\n".to_owned();
    for number in 0..40_u16 {
        let high = number % 2 == 1;
        let hertz = if high { 2500.0 } else { 300.0 } + f32::from(number) * 7.0;
        let name = format!("in/{number}.wav");
        record(&world.path(&format!("sounds/{name}")), hertz, 0.3 + f32::from(number % 5) * 0.1);
        writeln!(rows, "{name},{}", if high { "high" } else { "low" }).expect("written");
    }
    std::fs::write(world.path("sounds/all.csv"), rows).expect("written");
    world
}

fn train<'a>(method: &'a str, output: &'a str) -> [&'a str; 13] {
    [
        "train",
        "--base",
        "tiny-whisper",
        "--data",
        "sounds/all.csv",
        "--method",
        method,
        "--epochs",
        "12",
        "--lr",
        "0.01",
        "--output",
        output,
    ]
}

#[test]
fn recordings_are_trained_on_measured_and_labelled() {
    let world = world();
    for method in ["lora", "pfeiffer"] {
        let (code, _, stderr) = world.run(&train(method, method));
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.contains(&format!("`hub run {method} recording.wav`")), "{stderr}");
        let folder = format!("./{method}");
        let (code, stdout, stderr) =
            world.run(&["eval", &folder, "--base", "tiny-whisper", "--data", "sounds/all.csv"]);
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.contains("accuracy  1.0000"), "{method}: {stdout}");
        let files = ["sounds/in/0.wav", "sounds/in/1.wav"];
        let (_, stdout, _) = world.run(&["run", &folder, "--base", "tiny-whisper", files[0], files[1]]);
        let labels: Vec<&str> = stdout.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(labels, ["low", "high"], "{method}");
    }
    let card = std::fs::read_to_string(world.path("lora/README.md")).expect("a card");
    assert!(card.contains("pipeline_tag: audio-classification"), "{card}");
    assert!(card.contains("WhisperForAudioClassification"), "{card}");
    let config = std::fs::read_to_string(world.path("lora/adapter_config.json")).expect("a configuration");
    assert!(config.contains("\"projector\""), "{config}");
}

#[test]
fn what_is_no_recording_is_refused_before_training_starts() {
    let world = world();
    std::fs::write(world.path("sounds/in/7.wav"), b"RIFF\0\0\0\0WAVE").expect("written");
    let (code, _, stderr) = world.run(&train("lora", "out"));
    assert_ne!(code, 0);
    assert!(stderr.contains("7.wav` is no recording that can be read"), "{stderr}");
    assert!(!world.path("out").exists());
    let other = SETTINGS.replace("1142", "160");
    std::fs::write(world.path("tiny-whisper/preprocessor_config.json"), other).expect("written");
    let (_, _, stderr) = world.run(&train("lora", "out"));
    assert!(stderr.contains("has 6 filters and 100 frames; this backbone reads 6 and 14"), "{stderr}");
}
