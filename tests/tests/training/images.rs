//! Images instead of texts, with the real program.

use std::{fmt::Write as _, path::Path};

use image::{Rgb, RgbImage};

use super::world::World;

/// A tiny vision transformer, and forty pictures of which half are bright.
fn world() -> World {
    let world = World::new();
    let base = world.path("tiny-vit");
    std::fs::create_dir_all(&base).expect("a folder");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods/bases/vit");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture.join(file), base.join(file)).expect("copied");
    }
    let settings = r#"{"image_processor_type": "ViTImageProcessor", "size": {"height": 12, "width": 16}}"#;
    std::fs::write(base.join("preprocessor_config.json"), settings).expect("written");
    std::fs::create_dir_all(world.path("pictures/in")).expect("a folder");
    let mut rows = "image,label\n".to_owned();
    for number in 0..40_u32 {
        let bright = number % 2 == 1;
        let value = |x: u32, y: u32| ((x * 7 + y * 13 + number * 29) % 90) as u8 + 140 * u8::from(bright);
        let picture = RgbImage::from_fn(20, 17, |x, y| Rgb([value(x, y), value(y, x), value(x + 3, y)]));
        let name = format!("in/{number}.png");
        picture.save(world.path(&format!("pictures/{name}"))).expect("saved");
        writeln!(rows, "{name},{}", if bright { "bright" } else { "dark" }).expect("written");
    }
    std::fs::write(world.path("pictures/all.csv"), rows).expect("written");
    world
}

fn train<'a>(method: &'a str, output: &'a str) -> [&'a str; 13] {
    [
        "train",
        "--base",
        "tiny-vit",
        "--data",
        "pictures/all.csv",
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
fn pictures_are_trained_on_measured_and_labelled() {
    let world = world();
    for method in ["lora", "pfeiffer", "last-layer"] {
        let (code, _, stderr) = world.run(&train(method, method));
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.contains(&format!("`hub run {method} image.png`")), "{stderr}");
        let folder = format!("./{method}");
        let (code, stdout, stderr) =
            world.run(&["eval", &folder, "--base", "tiny-vit", "--data", "pictures/all.csv"]);
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.contains("accuracy  1.0000"), "{method}: {stdout}");
        let files = ["pictures/in/0.png", "pictures/in/1.png"];
        let (_, stdout, _) = world.run(&["run", &folder, "--base", "tiny-vit", files[0], files[1]]);
        let labels: Vec<&str> = stdout.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(labels, ["dark", "bright"], "{method}");
    }
    let card = std::fs::read_to_string(world.path("lora/README.md")).expect("a card");
    assert!(card.contains("pipeline_tag: image-classification"), "{card}");
}

#[test]
fn what_is_no_picture_is_refused_before_training_starts() {
    let world = world();
    std::fs::write(world.path("pictures/in/7.png"), b"no picture").expect("written");
    let (code, _, stderr) = world.run(&train("lora", "out"));
    assert_ne!(code, 0);
    assert!(stderr.contains("7.png` is no image that can be read"), "{stderr}");
    assert!(!world.path("out").exists());
    std::fs::remove_file(world.path("tiny-vit/preprocessor_config.json")).expect("removed");
    let (_, _, stderr) = world.run(&train("lora", "out"));
    assert!(stderr.contains("it says how images are resized and normalised"), "{stderr}");
}
