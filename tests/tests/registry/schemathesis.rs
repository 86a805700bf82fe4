//! What the OpenAPI document says is what the server does: schemathesis makes requests from it, right
//! ones and wrong ones, and sequences of them, and checks every answer.

use std::process::Command;

use hub_schemas::api::WhoAmI;
use hub_tests::{
    hub::{SampleAdapter, TestHub},
    interop::{fixture, repository},
};
use serde_json::{Value, json};

/// Requests that are made up for each route in each phase; `HUB_SCHEMATHESIS_EXAMPLES` makes more.
const EXAMPLES: &str = "6";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_that_the_document_allows() {
    let hub = TestHub::start_with(|config| config.webhooks_anywhere = true).await;
    let ada = furnished(&hub).await;
    let program = repository().join("target/tools/schemathesis/bin/st");
    assert!(program.is_file(), "schemathesis is not installed: run scripts/schemathesis");
    let folder = tempfile::tempdir().expect("a folder");
    let examples = std::env::var("HUB_SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned());
    let seed = std::env::var("HUB_SCHEMATHESIS_SEED").unwrap_or_else(|_| "20261126".to_owned());
    // It reads its settings where it runs, and leaves what it found there.
    for name in ["schemathesis.toml", "hooks.py"] {
        let from = fixture("schemathesis").join(name);
        std::fs::copy(from, folder.path().join(name)).expect("copies");
    }
    let mut command = Command::new(program);
    command
        .current_dir(folder.path())
        .arg("run")
        .arg(format!("{}/api/openapi.json", hub.url()))
        .args(["--checks", "all", "--max-examples", &examples, "--seed", &seed])
        .args(["--generation-database", "none", "--no-color", "--output-truncate", "false"])
        .env("HUB_OWN_TOKEN", ada.0)
        .env("HUB_OWN_TOKEN_ID", ada.1)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("no panic").expect("schemathesis starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    // A run that made no requests proves nothing.
    let made = said.lines().find_map(|line| line.trim().strip_suffix(" skipped")?.split_once(" generated, "));
    let made = made.and_then(|(made, _)| made.parse::<u32>().ok());
    assert!(made.is_some_and(|made| made > 1000), "{said}");
}

/// A registry in which the names that the document has as examples exist. The secret and the id of
/// the token of `ada`, who may do everything here.
async fn furnished(hub: &TestHub) -> (String, String) {
    let ada = hub.user("ada").await;
    hub.user("bob").await;
    hub.make_administrator("ada").await;
    ada.publish(&SampleAdapter::lora("ada/sentiment", "1.2.0")).await;
    ada.publish(&SampleAdapter::lora("ada/tone", "0.1.0")).await;
    let _: Value = ada.post("namespaces", &json!({"name": "lab"})).await.expect_ok();
    let _: Value = ada.put_json("namespaces/lab/teams/linguists", &json!({})).await.expect_ok();
    let who: WhoAmI = ada.get("whoami").await.expect_ok();
    let tokens: Vec<Value> = ada.get("tokens").await.expect_ok();
    assert_eq!((who.administrator, tokens.len()), (true, 1));
    (ada.token().to_owned(), tokens[0]["id"].as_str().expect("an id").to_owned())
}
