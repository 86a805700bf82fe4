//! A language model describes pictures that another backbone looks at, both frozen.

use std::{fmt::Write as _, fs, path::Path};

use hub_tests::words::write_base_of_words;
use image::{Rgb, RgbImage};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

use super::world::World;

/// A tiny language model, a tiny vision transformer, and pictures of which half are bright.
fn world() -> World {
    let world = World::new();
    write_base_of_words(&world.path("base"), "llama", &json!({"eos_token_id": 3}));
    let vision = world.path("eyes");
    fs::create_dir_all(&vision).expect("a folder");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods/bases/vit");
    for file in ["config.json", "model.safetensors"] {
        fs::copy(fixture.join(file), vision.join(file)).expect("copied");
    }
    let settings = r#"{"image_processor_type": "ViTImageProcessor", "size": {"height": 12, "width": 16}}"#;
    fs::write(vision.join("preprocessor_config.json"), settings).expect("written");
    fs::create_dir_all(world.path("pictures/in")).expect("a folder");
    let mut rows = "image,caption\n".to_owned();
    for number in 0..24_u32 {
        let bright = number % 2 == 1;
        let value = |x: u32, y: u32| ((x * 7 + y * 13 + number * 29) % 90) as u8 + 140 * u8::from(bright);
        let picture = RgbImage::from_fn(20, 17, |x, y| Rgb([value(x, y), value(y, x), value(x + 3, y)]));
        let name = format!("in/{number}.png");
        picture.save(world.path(&format!("pictures/{name}"))).expect("saved");
        writeln!(rows, "{name},{}", if bright { "w20 w25" } else { "w21 w26" }).expect("written");
    }
    fs::write(world.path("pictures/all.csv"), rows).expect("written");
    world
}

const TRAIN: [&str; 20] = [
    "train",
    "--base",
    "base",
    "--vision",
    "eyes",
    "--data",
    "pictures/all.csv",
    "--validation",
    "pictures/all.csv",
    "--method",
    "llama-adapter-heads",
    "--prompt-length",
    "4",
    "--epochs",
    "60",
    "--batch-size",
    "8",
    "--lr",
    "0.05",
    "--output",
];
const EYES: [&str; 4] = ["--base", "base", "--vision", "eyes"];

#[test]
fn pictures_are_described_with_two_frozen_base_models() {
    let world = world();
    let (code, _, stderr) = world.run(&[&TRAIN[..], &["out"]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("`hub run out picture.png`"), "{stderr}");
    let manifest = world.manifest("out");
    let image = &manifest["method"]["image"]["base"];
    assert_eq!((&image["architecture"], &manifest["base"]["architecture"]), (&json!("vit"), &json!("llama")));
    assert_ne!(image["weights_digest"], manifest["base"]["weights_digest"]);
    assert_eq!(manifest["format"], "hub", "no library has a file for it");
    let description = manifest["description"].as_str().expect("a description");
    assert!(description.starts_with("Describes pictures"), "{description}");
    let eval = ["eval", "./out", "--data", "pictures/all.csv", "--generate", "--max-new-tokens", "4"];
    let scores = world.json(&[&eval[..], &EYES].concat());
    assert!(scores["accuracy"].as_f64().expect("a number") > 0.9, "{scores}");
    let answers = scores["answers"].as_array().expect("answers");
    let is_right = |answer: &&Value| answer["written"] == answer["right"];
    assert!(answers.iter().filter(is_right).count() >= 22, "{scores}");
    let files = ["pictures/in/0.png", "pictures/in/1.png"];
    let run = |more: &[&str]| world.succeed(&[&["run", "./out"], &files[..], &EYES, more].concat());
    let greedy = run(&["--max-new-tokens", "4"]);
    assert_eq!(greedy.lines().map(str::trim).collect::<Vec<_>>(), ["w21 w26", "w20 w25"]);
    assert_eq!(run(&["--max-new-tokens", "4", "--beams", "3"]), greedy, "beams see the same");
}

#[test]
fn who_can_not_see_is_told_so() {
    let world = world();
    world.succeed(&[&TRAIN[..13], &["--steps", "1", "--output", "out"]].concat());
    let refused = |args: &[&str]| {
        let (code, _, stderr) = world.run(args);
        assert_ne!(code, 0, "{stderr}");
        stderr.lines().find(|line| line.starts_with("error")).unwrap_or_default().to_owned()
    };
    let mut blind = TRAIN;
    blind[4] = "base";
    let run = ["run", "./out", "pictures/in/0.png"];
    let messages = [
        refused(&[&blind[..], &["other"]].concat()),
        refused(&[&TRAIN[..9], &["--method", "lora", "--output", "other"]].concat()),
        refused(&[&TRAIN[..19], &["--head", "classification", "--output", "other"]].concat()),
        refused(&[&run[..], &EYES, &["--raw"]].concat()),
        refused(&[&["run", "./out", "nothing.png"], &EYES[..]].concat()),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    error: `llama` models read no images: what looks at pictures must be a backbone such as ViT or DINOv2
    error: `lora r8 query,value` has no place for what is seen
    error: with `--vision` pictures are described, which is `causal-lm`
    error: a picture is described as in training: `--raw` and `--system` have nothing to change
    error: `nothing.png` can't be read: No such file or directory (os error 2)
    ");
    let wrong = refused(&[&run[..], &["--base", "base", "--vision", "tiny-bert"]].concat());
    assert!(wrong.contains("tiny-bert"), "{wrong}");
}

/// Inputs of `hub forward` about two pictures of which another backbone saw `width` numbers each.
fn write_inputs(path: &Path, seen: Option<(usize, f32)>) {
    let ids: Vec<u8> = [2_i64, 4, 5, 2, 6, 7].iter().flat_map(|id| id.to_le_bytes()).collect();
    let seen = seen.map(|(width, value)| (width, value.to_le_bytes().repeat(2 * width)));
    let ids = TensorView::new(Dtype::I64, vec![2, 3], &ids).expect("a view");
    let seen = seen
        .as_ref()
        .map(|(width, bytes)| TensorView::new(Dtype::F32, vec![2, *width], bytes).expect("a view"));
    let views = [("input_ids", ids)].into_iter().chain(seen.map(|view| ("image_features", view)));
    fs::write(path, safetensors::serialize(views, None).expect("serialises")).expect("writes");
}

#[test]
fn forward_reads_what_was_seen_of_pictures() {
    let world = world();
    world.succeed(&[&TRAIN[..13], &["--steps", "3", "--output", "out"]].concat());
    let plain = ["forward", "--base", "base", "--inputs", "in.safetensors", "--outputs", "out.safetensors"];
    let with = [&plain[..], &["--adapter", "eyes=./out"]].concat();
    let states = |seen: Option<(usize, f32)>| {
        write_inputs(&world.path("in.safetensors"), seen);
        world.succeed(&with);
        fs::read(world.path("out.safetensors")).expect("reads")
    };
    // The first position and the mean of the others, each 24 wide.
    assert_ne!(states(Some((48, 0.5))), states(Some((48, -0.5))));
    let refused = |arguments: &[&str], seen| {
        write_inputs(&world.path("in.safetensors"), seen);
        let (code, _, stderr) = world.run(arguments);
        assert_eq!(code, 1, "{stderr}");
        stderr.lines().find(|line| line.starts_with("error")).unwrap_or_default().to_owned()
    };
    let messages = [refused(&with, None), refused(&with, Some((47, 0.0))), refused(&plain, Some((48, 0.0)))];
    insta::assert_snapshot!(messages.join("\n"), @r"
    error: `eyes` reads images as `eyes` sees them: `image_features` [batch, 48] is missing
    error: `eyes` reads images as `eyes` sees them: `image_features` [batch, 48] has 47
    error: no adapter reads the input `image_features`
    ");
}
