//! Merging, extracting and baking as a person meets them: answers, refusals, and folders that can be published.

use std::{fmt::Write, fs, io};

use hub_tests::{assert_said, cli::Home, hub::TestHub, interop::fixture};

/// A home with the fixtures' backbone and two LoRAs that PEFT saved.
fn world(url: &str) -> io::Result<Home> {
    let home = Home::new(url);
    let copies = [
        ("backbone", fixture("tiny-bert")),
        ("one", fixture("peft-lora-every-linear").join("adapter")),
        ("two", fixture("peft-rslora-one-layer").join("adapter")),
        ("bottleneck", fixture("adapters-pfeiffer").join("adapter")),
    ];
    for (name, from) in copies {
        fs::create_dir_all(home.path(name))?;
        for item in fs::read_dir(from)? {
            let item = item?;
            fs::copy(item.path(), home.path(name).join(item.file_name()))?;
        }
    }
    Ok(home)
}

const NOWHERE: &str = "http://127.0.0.1:9";
const MERGE: [&str; 5] = ["merge", "./one", "./two", "--base", "backbone"];

fn merge<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    MERGE.iter().chain(rest).copied().collect()
}

#[tokio::test]
async fn the_help_has_examples() {
    let home = Home::new(NOWHERE);
    assert_said!(home, "help_merge", home.hub(&["merge", "--help"]).await.expect_code(0));
    for verb in ["extract", "bake", "unbake"] {
        let said = home.hub(&[verb, "--help"]).await.expect_code(0);
        assert!(said.stdout.contains("Example") && said.stderr.is_empty(), "{verb}: {said}");
    }
}

#[tokio::test]
async fn merging_says_what_it_made_and_the_manifest_keeps_it() {
    let home = world(NOWHERE).expect("a home");
    let said =
        home.hub(&merge(&["--weights", "0.7,-0.3", "-o", "out", "--head", "none"])).await.expect_code(0);
    assert_said!(home, "merge", said);
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(home.path("out/manifest.json")).expect("reads")).expect("JSON");
    let origin = &manifest["origin"];
    assert_eq!((&origin["how"], &origin["options"]["rule"]), (&"merge".into(), &"cat".into()));
    let named = origin["sources"].as_array().expect("sources").iter();
    let named: Vec<_> = named.map(|s| (s["name"].as_str(), s["weight"].as_f64())).collect();
    assert_eq!(named, [(Some("one"), Some(0.7)), (Some("two"), Some(-0.3))]);
    assert!(fs::read_to_string(home.path("out/README.md")).expect("reads").contains("made of"));

    // The same once more gives the same bytes, and never writes over what is there.
    let again = home
        .hub(&merge(&["--weights", "0.7,-0.3", "-o", "again/out", "--head", "none", "--format", "json"]))
        .await
        .expect_code(0);
    let digest = hub_schemas::Digest::of(&fs::read(home.path("out/manifest.json")).expect("reads"));
    assert_eq!(again.json()["digest"], digest.to_string());
    let said = home.hub(&merge(&["-o", "out"])).await.expect_code(1);
    assert!(said.stderr.contains("`out` is not empty"), "{said}");
}

#[tokio::test]
async fn what_can_not_be_merged_is_refused_with_the_next_step() {
    let home = world(NOWHERE).expect("a home");
    let refusals = [
        ("refused_ranks", merge(&["-o", "out", "--rule", "linear"])),
        ("refused_rank", merge(&["-o", "out", "--rule", "cat", "--rank", "4"])),
        ("refused_weights", merge(&["-o", "out", "--weights", "1"])),
        ("refused_head", merge(&["-o", "out", "--head", "2"])),
        ("refused_method", merge(&["./bottleneck", "-o", "out"])),
    ];
    let mut all = String::new();
    for (name, arguments) in refusals {
        let said = home.hub(&arguments).await;
        writeln!(all, "# {name}\n{said}").expect("a string takes everything");
        assert!(!home.path("out").exists(), "{name}");
    }
    assert_said!(home, "merge_refused", all);
    let said = home.hub(&merge(&["-o", "out", "--rule", "best"])).await.expect_code(2);
    assert!(said.stderr.contains("`best` is not a rule of merging; these are: linear, cat,"), "{said}");
}

#[tokio::test]
async fn baking_and_unbaking_say_what_changed() {
    let home = world(NOWHERE).expect("a home");
    let bake = ["bake", "--base", "backbone", "--adapter", "./one", "-o", "baked"];
    assert_said!(home, "bake", home.hub(&bake).await.expect_code(0));
    let said =
        home.hub(&["bake", "--base", "baked", "--adapter", "./one", "-o", "twice"]).await.expect_code(1);
    assert!(said.stderr.contains("adapters are baked into `baked` already"), "{said}");
    assert!(said.stderr.contains("hint: take them out with `hub unbake` first"), "{said}");
    let said = home.hub(&["bake", "--base", "backbone", "--adapter", "./bottleneck", "-o", "no"]).await;
    assert!(said.stderr.contains("only a LoRA is a sum on a weight"), "{said}");
    assert!(!home.path("no").exists());
    assert_said!(home, "unbake", home.hub(&["unbake", "baked", "-o", "again"]).await.expect_code(0));
    let bytes = |folder: &str| fs::read(home.path(folder).join("model.safetensors")).expect("reads");
    assert!(bytes("again") == bytes("backbone") && bytes("baked") != bytes("backbone"));
    let said = home.hub(&["unbake", "backbone", "-o", "no"]).await.expect_code(1);
    assert!(said.stderr.contains("nothing was baked into `backbone`"), "{said}");
}

#[tokio::test]
async fn extracting_says_how_much_was_kept() {
    let home = world(NOWHERE).expect("a home");
    home.hub(&["bake", "--base", "backbone", "--adapter", "./one", "-o", "baked"]).await.expect_code(0);
    let extract = ["extract", "--base", "backbone", "--tuned", "baked", "--rank", "1", "-o", "out"];
    let said = home.hub(&extract).await.expect_code(0);
    assert!(
        said.stdout.contains("of the squared difference") && said.stdout.contains("least kept"),
        "{said}"
    );
    let same = ["extract", "--base", "backbone", "--tuned", "backbone", "--rank", "1", "-o", "no"];
    assert_said!(home, "extract_refused", home.hub(&same).await.expect_code(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_merged_can_be_published_and_its_making_seen() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let home = world(&hub.url()).expect("a home");
    home.hub(&["login", "--token", ada.token()]).await.expect_code(0);
    let arguments = merge(&["-o", "out", "--head", "none", "--name", "ada/both", "--license", "MIT"]);
    home.hub(&arguments).await.expect_code(0);
    home.hub(&["push", "./out"]).await.expect_code(0);
    let said = home.hub(&["info", "ada/both"]).await.expect_code(0);
    assert!(said.stdout.contains("merge by cat of one (0.5), two (0.5)"), "{said}");
    // A reference is as good as a folder.
    home.hub(&["merge", "ada/both", "--rule", "svd", "--rank", "2", "-o", "small"]).await.expect_code(0);
    let said = home.hub(&["bake", "--adapter", "ada/both@0.1.0", "--base", "backbone", "-o", "baked"]).await;
    said.expect_code(0);
}
