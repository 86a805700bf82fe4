//! Publishing folders.

use std::{fs, path::Path};

use hub_tests::{
    assert_said,
    cli::Home,
    heads::Case,
    hub::{SampleAdapter, TestHub},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_push_says_what_it_does_and_again_changes_nothing() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    home.write("trained", &SampleAdapter::lora("ada/sentiment", "1.0.0"));
    let dry = home.hub(&["push", "trained", "--dry-run"]).await.expect_code(0);
    assert!(dry.stderr.contains("nothing was sent") && dry.stdout.contains("ada/sentiment@1.0.0"), "{dry}");
    assert_said!(home, home.hub(&["push", "trained"]).await, @r"
    exit: 0
    --- stdout
    ada/sentiment@1.0.0 [DIGEST]
    --- stderr
    pushing `ada/sentiment@1.0.0` (3 files, 3.6 KiB) to [REGISTRY]
    published `ada/sentiment@1.0.0` (3.6 KiB sent, 0 B were there)
    ");
    let again = home.hub(&["push", "trained", "--format", "json"]).await.expect_code(0).json();
    assert_eq!((&again["created"], &again["uploaded"]), (&false.into(), &0.into()));
    let other = home.hub(&["push", "trained", "--description", "Other."]).await;
    assert_said!(home, other, @r"
    exit: 1
    --- stdout
    --- stderr
    pushing `ada/sentiment@1.0.0` (3 files, 3.6 KiB) to [REGISTRY]
    error: `ada/sentiment@1.0.0` was published before with other content
      caused by: the registry says: `ada/sentiment@1.0.0` is published with other content ([DIGEST]); a version never changes (409 version-exists, request [ID])

    hint: versions never change: publish the new content under the next number with `--version`, `hub info ada/sentiment` lists those taken
    ");
    let next = home.hub(&["push", "trained", "--version", "1.1.0"]).await.expect_code(0);
    assert!(next.stderr.contains("published `ada/sentiment@1.1.0`"), "{next}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_or_in_a_strange_namespace_nothing_is_sent() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let home = Home::new(&hub.url());
    home.write("trained", &SampleAdapter::lora("bob/sentiment", "1.0.0"));
    let said = home.hub(&["push", "trained"]).await.expect_code(1);
    assert!(said.stderr.contains("no token for"), "{said}");
    let said = home.hub_with(&[("HUB_TOKEN", ada.token())], &["push", "trained"]).await.expect_code(1);
    assert!(said.stderr.contains("`ada` may not publish in the namespace `bob`"), "{said}");
    assert!(said.stderr.contains("yours: `ada`"), "{said}");
    let arguments = ["push", "trained", "--as", "ada/sentiment", "--private"];
    home.hub_with(&[("HUB_TOKEN", ada.token())], &arguments).await.expect_code(0);
    let found = hub.anonymous().get("search").await.json();
    assert_eq!(found["total"], 0, "it is private");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_peft_wrote_needs_a_task_a_licence_and_its_backbone() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let folder = home.path("from-peft");
    fs::create_dir(&folder).expect("creates");
    for item in fs::read_dir(fixtures.join("peft-lora-classifier/adapter")).expect("lists").flatten() {
        fs::copy(item.path(), folder.join(item.file_name())).expect("copies");
    }
    assert_said!(home, home.hub(&["push", "from-peft"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: `from-peft` has no manifest.json, so `--task` and `--license` must say what it can't

    hint: for example `hub push DIR --base BACKBONE --task sentiment --license Apache-2.0`
    ");
    let facts = ["push", "from-peft", "--task", "sentiment", "--license", "Apache-2.0"];
    let said = home.hub(&facts).await.expect_code(1);
    assert!(said.stderr.contains("no backbone is named"), "{said}");
    let base = fixtures.join("tiny-bert-classifier").to_string_lossy().into_owned();
    let full =
        [&facts[..], &["--base", &base, "--label", "bad", "--label", "so-so", "--label", "good"]].concat();
    let said = home.hub(&full).await.expect_code(0);
    assert!(said.stdout.starts_with("ada/from-peft@1.0.0 sha256:"), "{said}");
    assert!(folder.join("README.md").exists() && folder.join("manifest.json").exists());
    home.hub(&["pull", "ada/from-peft"]).await.expect_code(0);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("creates");
    for item in fs::read_dir(from).expect("lists").flatten() {
        let (from, to) = (item.path(), to.join(item.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).expect("copies");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_of_sentence_transformers_is_published_with_the_vectors_it_makes() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sentence-transformers");
    copy(&fixtures.join("5.7.0/adapter"), &home.path("vectors"));
    let base = fixtures.join("backbone").to_string_lossy().into_owned();
    let run = |adapter: &'static str| ["run", adapter, "--base", &base, "--format", "json", "a great film"];
    let before = home.hub(&run("./vectors")).await.expect_code(0).json();
    let facts = ["push", "vectors", "--base", &base, "--task", "embedding", "--license", "MIT"];
    home.hub(&facts).await.expect_code(0);
    let described = hub.anonymous().get("adapters/ada/vectors").await.json();
    let digest = described["latest"]["digest"].as_str().expect("a digest").to_owned();
    let manifest = hub.anonymous().get(&format!("manifests/{digest}")).await.json();
    let head = serde_json::json!({ "type": "embedding", "pooling": "mean", "max_length": 12 });
    assert_eq!(manifest["head"], head);
    let other = Home::new(&hub.url());
    other.hub(&["pull", "ada/vectors"]).await.expect_code(0);
    let info = other.hub(&["info", "ada/vectors"]).await.expect_code(0);
    assert!(info.stdout.contains("the mean of the tokens, of length one; of 12 tokens at most"), "{info}");
    let after = other.hub(&run("ada/vectors")).await.expect_code(0).json();
    assert_eq!(after["predictions"], before["predictions"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn adapters_with_every_head_are_published_and_pulled() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    for kind in ["head", "peft", "adapters", "own"] {
        for case in Case::of_kind(kind).expect("lists") {
            let folder = home.path(&case.name);
            fs::create_dir(&folder).expect("creates");
            for item in fs::read_dir(case.adapter().expect("a folder")).expect("lists").flatten() {
                if item.file_name() != "expected.safetensors" {
                    fs::copy(item.path(), folder.join(item.file_name())).expect("copies");
                }
            }
            let base = case.base().to_string_lossy().into_owned();
            let arguments = ["push", &case.name, "--base", &base, "--task", "probing", "--license", "MIT"];
            home.hub(&arguments).await.expect_code(0);
            home.hub(&["pull", &format!("ada/{}", case.name)]).await.expect_code(0);
        }
    }
    let described = hub.anonymous().get("adapters/ada/adapters-questions").await.json();
    let digest = described["latest"]["digest"].as_str().expect("a digest").to_owned();
    let manifest = hub.anonymous().get(&format!("manifests/{digest}")).await.json();
    assert_eq!(manifest["head"]["type"], "question-answering");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_changed_under_its_manifest_is_refused() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    let folder = home.write("trained", &SampleAdapter::lora("ada/sentiment", "1.0.0"));
    let weights = folder.join("adapter_model.safetensors");
    let mut bytes = fs::read(&weights).expect("reads");
    *bytes.last_mut().expect("has bytes") ^= 1;
    fs::write(&weights, &bytes).expect("writes");
    let said = home.hub(&["push", "trained"]).await.expect_code(1);
    assert!(said.stderr.contains("is damaged or was changed"), "{said}");
    fs::write(&weights, &bytes[..bytes.len() / 2]).expect("writes");
    let said = home.hub(&["push", "trained"]).await.expect_code(1);
    assert!(said.stderr.contains("is not a usable safetensors file"), "{said}");
    fs::remove_file(&weights).expect("removes");
    home.hub(&["push", "trained"]).await.expect_code(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_refused_whether_the_registry_has_the_one_that_is_stated_or_not() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    let folder = home.write("trained", &SampleAdapter::lora("ada/sentiment", "1.0.0"));
    let weights = folder.join("adapter_model.safetensors");
    let (stated, mut changed) = (fs::read(&weights).expect("reads"), fs::read(&weights).expect("reads"));
    *changed.last_mut().expect("has bytes") ^= 1;
    let refused = async |version: &str, flags: &[&str]| {
        let arguments = [&["push", "trained", "--version", version], flags].concat();
        let said = home.hub(&arguments).await.expect_code(1);
        assert!(said.stderr.contains("is damaged or was changed"), "{said}");
        assert!(said.stderr.contains("to describe the folder anew"), "{said}");
        assert_eq!(said.stdout, "");
    };
    fs::write(&weights, &changed).expect("writes");
    refused("1.0.0", &["--dry-run"]).await;
    // Its bytes are sent, and the registry compares them with the digest.
    refused("1.0.0", &[]).await;
    assert_eq!(hub.anonymous().get("adapters/ada/sentiment").await.status, 404, "nothing is half-published");
    fs::write(&weights, &stated).expect("writes");
    home.hub(&["push", "trained", "--version", "1.0.0"]).await.expect_code(0);
    // The registry has what is stated, so no byte of it is sent.
    fs::write(&weights, &changed).expect("writes");
    refused("1.1.0", &[]).await;
    let versions = hub.anonymous().get("index/ada/sentiment").await.json()["versions"].clone();
    assert_eq!(versions.as_array().map(Vec::len), Some(1), "{versions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_adapter_needs_is_stated_and_pulled_with_it() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/english", "1.2.0")).await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    home.write("trained", &SampleAdapter::lora("ada/sentiment", "1.0.0"));
    let said = home.hub(&["push", "trained", "--depends", "english"]).await.expect_code(2);
    assert!(said.stderr.contains("a dependency needs its full name"), "{said}");
    let said = home.hub(&["push", "trained", "--depends", "ada/english@^2"]).await.expect_code(1);
    assert!(said.stderr.contains("ada/english"), "{said}");
    home.hub(&["push", "trained", "--depends", "ada/english@^1"]).await.expect_code(0);
    let pulled = home.hub(&["pull", "ada/sentiment", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(pulled["dependencies"][0]["name"], "ada/english");
}
