//! Base models: pushed once, brought along by their adapters.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use hub_server::{
    config::{MirrorConfig, MirrorKind},
    domain::mirror::LicenseRules,
};
use hub_tests::{assert_said, cli::Home, hub::TestHub, interop::fixture};

/// A copy of a folder with fixtures: pushing an adapter writes into its folder.
fn copied(home: &Home, from: &str, name: &str) -> PathBuf {
    let folder = home.path(name);
    fs::create_dir_all(&folder).expect("creates the folder");
    for item in fs::read_dir(fixture(from)).expect("lists the fixture") {
        let item = item.expect("an entry");
        if item.path().is_file() {
            fs::copy(item.path(), folder.join(item.file_name())).expect("copies");
        }
    }
    folder
}

/// A registry with `ada/tiny-bert` and an adapter of it, `ada/mood`.
pub(crate) async fn with_base_and_adapter(hub: &TestHub) -> Home {
    let ada = hub.user("ada").await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    copied(&home, "tiny-bert", "tiny-bert");
    copied(&home, "peft-lora-classifier/adapter", "mood");
    let base = ["push", "tiny-bert", "--license", "Apache-2.0", "--base-id", "tests/tiny-bert"];
    home.hub(&base).await.expect_code(0);
    let adapter = ["push", "mood", "--as", "ada/mood", "--base", "tiny-bert"];
    let stated = ["--task", "sentiment", "--license", "MIT", "--base-id", "tests/tiny-bert"];
    home.hub(&[&adapter[..], &stated].concat()).await.expect_code(0);
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_machine_pulls_an_adapter_with_its_base_model_and_runs_it() {
    let hub = TestHub::start().await;
    with_base_and_adapter(&hub).await;
    let reader = Home::new(&hub.url());
    let pulled = reader.hub(&["pull", "sentiment", "--format", "json"]).await.expect_code(0).json();
    assert_eq!((&pulled["name"], &pulled["base"]["name"]), (&"ada/mood".into(), &"ada/tiny-bert".into()));
    let folder = Path::new(pulled["base"]["folder"].as_str().expect("a path"));
    for file in ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt"] {
        let original = fs::read(fixture("tiny-bert").join(file)).expect("reads");
        assert_eq!(fs::read(folder.join(file)).expect("reads"), original, "{file}");
    }
    // Offline from now on: both are here.
    let said = reader.hub(&["run", "ada/mood@1.0.0", "a good film", "--offline"]).await.expect_code(0);
    assert!(!said.stdout.is_empty(), "{said}");
    let listed = reader.hub(&["list", "--format", "json"]).await.expect_code(0).json();
    let kinds: Vec<_> = listed.as_array().expect("a list").iter().map(|item| item["kind"].clone()).collect();
    assert_eq!(kinds, ["adapter", "base"]);
    let removed = reader.hub(&["remove", "ada/tiny-bert"]).await.expect_code(0);
    assert!(removed.stderr.contains("removed `ada/tiny-bert@1.0.0`"), "{removed}");
    // What is missing again is fetched when it is needed, and by its name where it is named.
    reader.hub(&["run", "ada/mood@1.0.0", "a good film"]).await.expect_code(0);
    reader.hub(&["remove", "--all"]).await.expect_code(0);
    reader.hub(&["run", "ada/mood", "--base", "ada/tiny-bert", "a good film"]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_model_is_shown_searched_and_never_taken_for_an_adapter() {
    let hub = TestHub::start().await;
    let home = with_base_and_adapter(&hub).await;
    assert_said!(home, home.hub(&["info", "ada/tiny-bert"]).await, @r"
    exit: 0
    --- stdout
    name          ada/tiny-bert
    version       1.0.0
    digest        [DIGEST]
    kind          a base model
    license       Apache-2.0
    base          tests/tiny-bert (bert)
    base weights  [DIGEST]
    size          30.5 KiB
    visibility    public
    pulls         0

    FILE                     SIZE      DIGEST
    config.json              574 B     [12-DIGITS]
    model.safetensors        25.4 KiB  [12-DIGITS]
    special_tokens_map.json  125 B     [12-DIGITS]
    tokenizer.json           3.1 KiB   [12-DIGITS]
    tokenizer_config.json    1.2 KiB   [12-DIGITS]
    vocab.txt                148 B     [12-DIGITS]

    VERSION  PUBLISHED   SIZE      DIGEST        YANKED
    1.0.0    YYYY-MM-DD  30.5 KiB  [12-DIGITS]
    --- stderr
    `ada/tiny-bert@1.0.0` is the newest that fits, of 1 version
    ");
    let found = home.hub(&["search", "--kind", "base", "--format", "json"]).await.expect_code(0).json();
    assert_eq!((&found["total"], &found["items"][0]["task"]), (&1.into(), &"base-model".into()));
    let found = home.hub(&["search", "--kind", "adapter", "--format", "json"]).await.expect_code(0).json();
    assert_eq!((&found["total"], &found["items"][0]["name"]), (&1.into(), &"ada/mood".into()));
    let reader = Home::new(&hub.url());
    assert_said!(reader, reader.hub(&["run", "ada/tiny-bert", "text"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    `ada/tiny-bert@1.0.0` is the newest that fits, of 1 version
    pulling `ada/tiny-bert@1.0.0` from [REGISTRY]
    error: `ada/tiny-bert@1.0.0` is a base model, not an adapter

    hint: use it as a backbone: `--base ada/tiny-bert@1.0.0`
    ");
    // A bare word means an adapter.
    let said = reader.hub(&["pull", "tiny-bert"]).await.expect_code(1);
    assert!(said.stderr.contains("no adapter at"), "{said}");
    let again = ["push", "mood", "--as", "ada/tiny-bert", "--version", "2.0.0"];
    assert_said!(home, home.hub(&again).await, @r"
    exit: 1
    --- stdout
    --- stderr
    pushing `ada/tiny-bert@2.0.0` (3 files, 5.0 KiB) to [REGISTRY]
    error: the registry says: `ada/tiny-bert` is a base model; a version of it can't be an adapter (409 conflict, request [ID])

    hint: publish it under another name
    ");
    assert_said!(home, home.hub(&["push", "tiny-bert", "--task", "x", "--license", "MIT"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: `tiny-bert` is a base model; `--task` is for adapters

    hint: leave `--task` out
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_model_stays_while_adapters_need_it() {
    let hub = TestHub::start().await;
    let home = with_base_and_adapter(&hub).await;
    let delete = ["delete", "ada/tiny-bert@1.0.0", "--reason", "a test"];
    assert_said!(home, home.hub(&delete).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: the registry says: `ada/mood` needs `1.0.0`, and no other version would do (409 conflict, request [ID])

    hint: yank it: it is not chosen any more, but whoever needs it still gets it
    ");
    home.hub(&["delete", "ada/mood@1.0.0", "--reason", "a test"]).await.expect_code(0);
    home.hub(&delete).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_are_not_those_of_the_manifest_are_refused() {
    let hub = TestHub::start().await;
    with_base_and_adapter(&hub).await;
    // Whoever publishes a base model states the digest of its weights; who pulls it computes it.
    let index = hub.anonymous().get("adapters/ada/tiny-bert").await.json();
    let digest = index["versions"][0]["digest"].as_str().expect("a digest").to_owned();
    let mut manifest = hub.anonymous().get(&format!("manifests/{digest}")).await.json();
    manifest["version"] = "1.1.0".into();
    let lie = hub_schemas::Digest::of(b"other weights").to_string();
    manifest["base"]["weights_digest"] = lie.clone().into();
    let bytes = hub_schemas::canonical::to_bytes(&manifest).expect("canonical");
    let ada = hub.visitor(&hub.token("ada", &hub_schemas::token::Scope::ALL, None).await);
    let answer = ada.put("adapters/ada/tiny-bert/versions/1.1.0", bytes).await;
    assert_eq!(answer.status, 201);
    let reader = Home::new(&hub.url());
    let said = reader.hub(&["pull", "ada/tiny-bert"]).await.expect_code(1);
    assert!(said.stderr.contains("its manifest states") && said.stderr.contains(&lie), "{said}");
    assert_eq!(reader.stored("adapters"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_can_take_no_base_models() {
    let hub = TestHub::start_with(|config| config.limits.max_base_bytes = 0).await;
    let ada = hub.user("ada").await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    copied(&home, "tiny-bert", "tiny-bert");
    let said = home.hub(&["push", "tiny-bert", "--license", "MIT"]).await.expect_code(1);
    assert!(said.stderr.contains("this registry takes no base models"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_model_that_moved_to_another_name_is_still_brought_along() {
    let hub = TestHub::start().await;
    let home = with_base_and_adapter(&hub).await;
    home.hub(&["move", "ada/tiny-bert", "ada/small-bert"]).await.expect_code(0);
    let reader = Home::new(&hub.url());
    let pulled = reader.hub(&["pull", "ada/mood", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(pulled["base"]["kind"], "base");
    reader.hub(&["run", "ada/mood", "a good film", "--offline"]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_brings_the_base_model_along_too() {
    let upstream = TestHub::start().await;
    with_base_and_adapter(&upstream).await;
    let config = MirrorConfig {
        kind: MirrorKind::Hub,
        url: upstream.url().parse().expect("an address"),
        namespaces: vec!["ada".parse().expect("a name")],
        token_file: None,
        replicate_as: None,
        fresh: Duration::from_mins(10),
        licenses: LicenseRules::default(),
    };
    let mirror = TestHub::start_with(|settings| settings.mirrors = vec![config]).await;
    let eve = mirror.user("eve").await;
    let reader = Home::logged_in(&mirror.url(), eve.token()).await;
    let pulled = reader.hub(&["pull", "ada/mood", "--format", "json"]).await.expect_code(0).json();
    assert_eq!((&pulled["name"], &pulled["base"]["name"]), (&"ada/mood".into(), &"ada/tiny-bert".into()));
    // It is here now, for those who may not make this registry ask.
    drop(upstream);
    let anyone = Home::new(&mirror.url());
    let pulled = anyone.hub(&["pull", "ada/mood", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(pulled["base"]["name"], "ada/tiny-bert");
}
