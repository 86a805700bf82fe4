//! The same data, backbone, options and seed give the same bytes.

use hub_client::training::REPORT_FILE;
use hub_formats::checkpoint::AdapterFolder;
use hub_schemas::method::{BottleneckConfig, LoraConfig, Method};

use super::world::{World, files, train};

#[test]
fn the_same_seed_gives_the_same_digest_and_another_seed_another() {
    for method in [
        Method::Bottleneck(BottleneckConfig::pfeiffer(4.0)),
        Method::Lora(LoraConfig::query_value(2, 4.0, 2)),
        Method::LastLayer,
    ] {
        let world = World::new();
        let first = train(world.job(method.clone(), "first"));
        let second = train(world.job(method.clone(), "second"));
        assert_eq!(first.digest, second.digest, "{}", method.summary());
        assert_eq!(files(&world.path("first")), files(&world.path("second")));
        let mut other = world.job(method, "other");
        other.options.seed = 1;
        assert_ne!(train(other).digest, first.digest);
    }
}

#[test]
fn the_folder_is_publishable_and_lists_everything_but_the_log() {
    let world = World::new();
    let finished = train(world.job(Method::Bottleneck(BottleneckConfig::pfeiffer(4.0)), "out"));
    let folder = AdapterFolder::open(&world.path("out")).expect("an adapter's folder");
    let manifest = folder.manifest.expect("a manifest");
    assert_eq!(manifest.digest().expect("canonical"), finished.digest);
    let listed: Vec<&str> = manifest.files.iter().map(|f| f.path.as_str()).collect();
    insta::assert_debug_snapshot!(listed, @r#"
    [
        "README.md",
        "adapter.safetensors",
        "adapter_config.json",
        "head_config.json",
        "model_head.safetensors",
        "report.html",
    ]
    "#);
    let mut on_disk: Vec<String> = files(&world.path("out")).into_iter().map(|(name, _)| name).collect();
    on_disk.retain(|name| name != "manifest.json");
    assert_eq!(on_disk, listed);
    let recipe = manifest.training.expect("a recipe");
    assert_eq!(
        recipe.data.iter().map(|d| (d.split.as_str(), d.rows)).collect::<Vec<_>>(),
        [("train", 216), ("validation", 24)]
    );
}

#[test]
fn the_report_holds_no_time_and_no_path() {
    let world = World::new();
    train(world.job(Method::LastLayer, "out"));
    let report = std::fs::read_to_string(world.path("out").join(REPORT_FILE)).expect("a report");
    let year = "20"; // …26-11-23, 21:37:19 and the like
    let looks_like_a_time = |word: &str| word.starts_with(year) && word.matches('-').count() == 2;
    assert!(!report.split_whitespace().any(looks_like_a_time));
    assert!(!report.contains(&world.path("").display().to_string()));
    assert!(report.contains("<svg") && report.contains("tests/mood 1.0.0"));
    assert!(!report.contains("<script") && !report.contains("http"));
}
