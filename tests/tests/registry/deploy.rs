//! The files of `deploy/` fit the program: arguments and settings it knows, metrics it has.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use hub_tests::{
    cli::run,
    eventually,
    hub::{HubProcess, SampleAdapter, Visitor, certificate, server_binary},
};
use serde_json::Value;

fn deploy(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

/// `hub-server config` with what a file of `deploy/` gives the program.
async fn settings(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(server_binary());
    command.env_clear().envs(environment.iter().copied()).args(arguments);
    run(command).await.expect_code(0).stdout
}

#[tokio::test]
async fn the_unit_starts_the_program_with_settings_that_it_has() {
    let unit = fs::read_to_string(deploy("hub-server.service")).expect("reads");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/hub-server "));
    let file = deploy("hub-server.toml");
    let start = start.expect("a start").replace("/etc/hub-server/hub-server.toml", &file.to_string_lossy());
    let arguments: Vec<&str> =
        start.split(' ').map(|word| if word == "serve" { "config" } else { word }).collect();
    let shown = settings(&arguments, &[]).await;
    assert!(shown.contains("/var/lib/hub-server"), "{shown}");
}

#[tokio::test]
async fn the_container_sets_variables_that_the_program_has() {
    let text = fs::read_to_string(deploy("Containerfile")).expect("reads");
    let line = text.lines().find_map(|line| line.strip_prefix("ENV ")).expect("variables");
    let variables: Vec<_> = line.split(' ').filter_map(|word| word.split_once('=')).collect();
    let shown = settings(&["config"], &variables).await;
    assert!(shown.contains("environment HUB_SERVER_DATA") && shown.contains("0.0.0.0:8080"), "{shown}");
}

/// What a build in the container finds is what the file copies into it, and nothing else.
#[test]
fn the_container_copies_all_that_its_build_needs() {
    let text = fs::read_to_string(deploy("Containerfile")).expect("reads");
    let folder = tempfile::tempdir().expect("a folder");
    let root = deploy("..").canonicalize().expect("the top");
    let copied =
        text.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--"));
    for line in copied {
        let words: Vec<&str> = line.split(' ').collect();
        let (to, from) = words.split_last().expect("where to");
        for name in from {
            let place = if *to == "./" { folder.path().join(name) } else { folder.path().join(to) };
            std::os::unix::fs::symlink(root.join(name), place).expect("links");
        }
    }
    let flags = ["metadata", "--locked", "--offline", "--no-deps", "--format-version=1"];
    let output = Command::new("cargo").args(flags).current_dir(folder.path()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let server = found["packages"].as_array().expect("packages").iter().find(|p| p["name"] == "hub-server");
    let rust = server.expect("the server")["rust_version"].as_str().expect("a version").to_owned();
    let image = text.lines().find_map(|line| line.strip_prefix("FROM rust:")).expect("an image");
    assert!(
        image.starts_with(rust.trim_end_matches(".0")),
        "the image has {image}, the workspace needs {rust}"
    );
    // Files that sources include lie in what is copied.
    for source in ["registry-server", "schemas"] {
        assert!(folder.path().join(source).join("README.md").is_file());
    }
    assert!(folder.path().join("migrations/postgres").is_dir());
}

/// Every name of a metric of ours in the queries of a dashboard.
fn metrics(dashboard: &Value) -> BTreeSet<String> {
    let text = dashboard["panels"].to_string();
    let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    names.filter(|name| name.starts_with("hub_")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_asks_for_metrics_that_there_are() {
    let (data, files) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let ours = certificate();
    let flags = ours.install(files.path());
    let token = HubProcess::token(data.path(), "ada");
    let server = HubProcess::start_with(data.path(), &flags.each_ref().map(String::as_str));
    let ada = Visitor::trusting(server.secure_url(), Some(&token), &ours.certificate);
    ada.publish(&SampleAdapter::lora("ada/sentiment", "1.0.0")).await;
    let text = fs::read_to_string(deploy("grafana-dashboard.json")).expect("reads");
    let wanted = metrics(&serde_json::from_str(&text).expect("JSON"));
    assert!(wanted.len() > 8, "{wanted:?}");
    // The first jobs run a moment after the start.
    for name in wanted {
        eventually(&format!("there is the metric `{name}`"), async || {
            let found = String::from_utf8(ada.get("/metrics").await.body).expect("text");
            found.lines().any(|line| line.starts_with(&name)).then_some(())
        })
        .await;
    }
}
