//! Pulling: what arrives, what is asked for, and what is left.

use hub_tests::{
    cli::Home,
    hub::{SampleAdapter, TestHub},
    proxy::Proxy,
};

#[tokio::test(flavor = "multi_thread")]
async fn two_people_with_separate_homes_share_an_adapter() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::bottleneck("ada/sentiment", "1.0.0").with_metric("accuracy", 0.9);
    let author = Home::logged_in(&hub.url(), ada.token()).await;
    let folder = author.write("trained", &sample);
    author.hub(&["push", &folder.to_string_lossy()]).await.expect_code(0);
    let reader = Home::new(&hub.url());
    let pulled = reader.hub(&["pull", "sentiment", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(pulled["digest"], sample.digest().to_string());
    let at = std::path::PathBuf::from(pulled["folder"].as_str().expect("a path"));
    for (path, bytes) in &sample.files {
        assert_eq!(&std::fs::read(at.join(path)).expect("reads"), bytes, "{path}");
    }
    assert_eq!(std::fs::read(at.join("manifest.json")).expect("reads"), sample.manifest_bytes());
    assert!(reader.stored("partial").is_empty() && reader.stored("staging").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_exactly_and_there_takes_no_request() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    ada.publish(&sample).await;
    let proxy = Proxy::start(&hub.url()).await;
    let home = Home::new(proxy.url());
    home.hub(&["pull", "ada/sentiment"]).await.expect_code(0);
    assert!(proxy.take_requests().len() > 2);
    home.hub(&["pull", "ada/sentiment@1.0.0"]).await.expect_code(0);
    home.hub(&["pull", &sample.digest().to_string()]).await.expect_code(0);
    assert_eq!(proxy.take_requests(), Vec::<String>::new());
    // The newest version has to be asked for: one small request, answered "still right".
    home.hub(&["pull", "ada/sentiment"]).await.expect_code(0);
    assert_eq!(proxy.take_requests(), ["GET /api/v1/index/ada/sentiment"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_share_files_and_removing_frees_what_nobody_needs() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/sst", "1.0.0")).await;
    ada.publish(&SampleAdapter::lora("ada/sst", "1.1.0").with_file("notes.txt", b"new")).await;
    let home = Home::new(&hub.url());
    home.hub(&["pull", "ada/sst@1.0.0"]).await.expect_code(0);
    let second = home.hub(&["pull", "ada/sst@1.1.0", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(second["fetched"], 3, "only the new file is fetched");
    let listed = home.hub(&["list", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    let removed = home.hub(&["remove", "ada/sst@1.1.0", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(removed["freed"], 3);
    home.hub(&["pull", "--offline", "ada/sst@1.0.0"]).await.expect_code(0);
    home.hub(&["remove", "ada/sst"]).await.expect_code(0);
    assert!(home.stored("blobs").is_empty() && home.stored("adapters").iter().all(|n| n == ".registry"));
    let said = home.hub(&["remove", "ada/ssst"]).await.expect_code(1);
    assert!(said.stderr.contains("is not in the cache"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pulls_at_once_do_not_fight() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/sentiment", "1.0.0")).await;
    let home = Home::new(&hub.url());
    let pull = || home.hub(&["pull", "ada/sentiment"]);
    let (a, b, c) = tokio::join!(pull(), pull(), pull());
    for said in [a, b, c] {
        said.expect_code(0);
    }
    assert_eq!(home.stored("blobs").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_can_be_edited() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/sentiment", "1.0.0")).await;
    let home = Home::new(&hub.url());
    home.hub(&["pull", "ada/sentiment", "--to", "mine"]).await.expect_code(0);
    std::fs::write(home.path("mine/README.md"), "changed").expect("is writable");
    let said = home.hub(&["pull", "ada/sentiment", "--to", "mine"]).await.expect_code(1);
    assert!(said.stderr.contains("`mine` is not empty"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_in_the_store_is_noticed_before_it_gives_wrong_numbers() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/sentiment", "1.0.0")).await;
    let home = Home::new(&hub.url());
    let pulled = home.hub(&["pull", "ada/sentiment", "--format", "json"]).await.expect_code(0).json();
    let weights = std::path::PathBuf::from(pulled["folder"].as_str().expect("a path"))
        .join("adapter_model.safetensors");
    let mut bytes = std::fs::read(&weights).expect("reads");
    *bytes.last_mut().expect("has bytes") ^= 1;
    std::fs::remove_file(&weights).expect("removes");
    std::fs::write(&weights, bytes).expect("writes");
    let base = hub_tests::golden::fixtures().join("tiny-bert").display().to_string();
    let run = ["run", "ada/sentiment", "--base", &base, "--force", "a text"];
    let said = home.hub(&run).await.expect_code(1);
    assert!(said.stderr.contains("is damaged or was changed"), "{said}");
    home.hub(&["remove", "ada/sentiment"]).await.expect_code(0);
    home.hub(&["pull", "ada/sentiment"]).await.expect_code(0);
    let said = home.hub(&run).await;
    assert!(!said.stderr.contains("is damaged"), "{said}");
}
