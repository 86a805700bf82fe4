//! Data that can't be trained on: one clear error, and nothing is left behind.

use std::fs;

use safetensors::SafeTensors;

use super::world::World;

fn refusal(world: &World, name: &str, content: &str) -> String {
    fs::write(world.path(name), content).expect("writes");
    let (code, stdout, stderr) =
        world.run(&["train", "--base", "tiny-bert", "--data", name, "--output", "out"]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(!world.path("out").exists(), "nothing is left behind");
    stderr
}

#[test]
fn empty_data_is_refused() {
    insta::assert_snapshot!(refusal(&World::new(), "empty.csv", ""), @"error: `empty.csv` has no examples: it is empty");
}

#[test]
fn data_with_one_label_is_refused() {
    let world = World::new();
    insta::assert_snapshot!(refusal(&world, "one.csv", "text,label\na great film,good\na story,good\n"), @r"
    error: `one.csv` has a single label, `good`; a classifier needs at least two

    hint: check that `--label-column` names the right column
    ");
}

#[test]
fn ragged_rows_are_refused() {
    let world = World::new();
    insta::assert_snapshot!(refusal(&world, "ragged.csv", "text,label\na great film,good\na story, awful,bad\n"), @r"
    error: `ragged.csv`, line 3: the number of columns is 3, but 2 in the first row

    hint: a text that holds the separator must stand in quotes, or the file must be .jsonl
    ");
}

#[test]
fn a_validation_label_that_training_lacks_is_named() {
    let world = World::new();
    fs::write(world.path("validation.csv"), "text,label\na great film,good\na story,so-so\n")
        .expect("writes");
    let (code, _, stderr) = world.run(&[
        "train",
        "--base",
        "tiny-bert",
        "--data",
        "reviews.csv",
        "--validation",
        "validation.csv",
        "--output",
        "out",
    ]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(stderr, @r"
    error: `validation.csv`, line 3: the label `so-so` is unknown; known are: bad, good

    hint: correct the label, or add examples of it to the training data
    ");
}

#[test]
fn a_folder_that_is_not_empty_is_refused() {
    let world = World::new();
    fs::create_dir(world.path("thesis")).expect("creates");
    fs::write(world.path("thesis/chapter-1.txt"), "important").expect("writes");
    let (code, _, stderr) =
        world.run(&["train", "-q", "--base", "tiny-bert", "--data", "reviews.csv", "--output", "thesis"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("the folder `thesis` is not empty"), "{stderr}");
    assert_eq!(fs::read_dir(world.path("thesis")).expect("lists").count(), 1);
}

#[test]
fn a_flag_of_another_method_is_refused() {
    let world = World::new();
    let (code, _, stderr) = world.run(&[
        "train",
        "--base",
        "tiny-bert",
        "--data",
        "reviews.csv",
        "--output",
        "out",
        "--rank",
        "4",
    ]);
    assert_eq!(code, 1);
    assert!(stderr.contains("`--rank` has no meaning for this method; it belongs to `lora`"), "{stderr}");
}

#[test]
fn a_checkpoint_without_a_pooler_is_read_by_its_mean_and_a_head_that_needs_one_refused_before_anything_is_trained()
 {
    let world = World::new();
    let weights = world.path("tiny-bert/model.safetensors");
    let bytes = fs::read(&weights).expect("reads");
    let read = SafeTensors::deserialize(&bytes).expect("safetensors");
    let kept: Vec<_> = read.iter().filter(|(name, _)| !name.starts_with("pooler")).collect();
    safetensors::serialize_to_file(kept, None, &world.path("kept")).expect("writes");
    fs::rename(world.path("kept"), weights).expect("renames");

    let train = ["train", "--base", "tiny-bert", "--data", "reviews.csv", "--steps", "2", "-o", "out"];
    let (code, _, stderr) = world.run(&[&train[..], &["--method", "lora", "--dry-run"]].concat());
    assert_eq!(code, 1);
    insta::assert_snapshot!(stderr.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join("\n"), @r"
    error: the head reads the pooled output, but the base model's checkpoint has no pooler

    hint: choose a method that `adapters` has, such as `--method pfeiffer`, whose heads may read the mean; those of PEFT read the pooler
    ");
    world.succeed(&[&train[..], &["--method", "pfeiffer", "--reduction-factor", "4"]].concat());
    assert_eq!(world.manifest("out")["head"]["pooling"], "mean");
}
