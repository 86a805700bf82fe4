//! Finding adapters: words, names, versions, slips.

use hub_tests::{
    assert_said,
    cli::Home,
    hub::{SampleAdapter, TestHub},
};

async fn world() -> (TestHub, Home) {
    let hub = TestHub::start().await;
    let (ada, bob) = (hub.user("ada").await, hub.user("bob").await);
    ada.publish(&SampleAdapter::bottleneck("ada/movies", "1.0.0").with_metric("accuracy", 0.912)).await;
    ada.publish(&SampleAdapter::bottleneck("ada/movies", "1.1.0").with_metric("accuracy", 0.9)).await;
    bob.publish(&SampleAdapter::lora("bob/reviews", "0.2.0").with_metric("accuracy", 0.87)).await;
    let home = Home::new(&hub.url());
    (hub, home)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_becomes_the_best_adapter_and_the_choice_is_explained() {
    let (_hub, home) = world().await;
    assert_said!(home, home.hub(&["pull", "sentiment"]).await, @r"
    exit: 0
    --- stdout
    [HOME]/cache/adapters/[REGISTRY-KEY]/ada/movies/1.1.0
    --- stderr
    `sentiment` means `ada/movies@1.1.0`: its task, accuracy 0.9
      rather than `bob/reviews@0.2.0`: its task, accuracy 0.87
    pulling `ada/movies@1.1.0` from [REGISTRY]
    pulled `ada/movies@1.1.0` (4.4 KiB in [TIME])

    hint: its base model `tiny-bert` is neither on this machine nor in the registry: name its folder with `--base DIR`
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn search_and_info_show_what_there_is() {
    let (_hub, home) = world().await;
    assert_said!(home, "search", home.hub(&["search", "--task", "sentiment"]).await.expect_code(0));
    assert_said!(home, "info", home.hub(&["info", "ada/movies"]).await.expect_code(0));
    let page = home.hub(&["search", "--method", "lora", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(page["total"], 1);
    assert_eq!(page["items"][0]["name"], "bob/reviews");
    let info = home.hub(&["info", "bob/reviews", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(info["manifest"]["version"], "0.2.0");
    let said = home.hub(&["search", "zzz"]).await.expect_code(0);
    assert!(said.stdout.is_empty() && said.stderr.contains("nothing at"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_in_a_name_is_recognised() {
    let (_hub, home) = world().await;
    assert_said!(home, home.hub(&["pull", "ada/movie"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: there is no adapter `ada/movie` at [REGISTRY]

    hint: did you mean `ada/movies`?
    hint: if it is private, log in first with `hub login`
    ");
    let said = home.hub(&["pull", "bob/movies"]).await.expect_code(1);
    assert!(said.stderr.contains("did you mean `ada/movies`?"), "{said}");
    let said = home.hub(&["pull", "sentimnet"]).await.expect_code(1);
    assert!(said.stderr.contains("no adapter at"), "{said}");
    assert_said!(home, home.hub(&["pull", "ada/movies@^2"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: `ada/movies` has no version that fits `^2`; it has 1.1.0, 1.0.0

    hint: `hub info ada/movies` lists the versions
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yanked_version_is_only_given_to_whoever_names_it() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/sst", "1.0.0")).await;
    ada.publish(&SampleAdapter::lora("ada/sst", "1.1.0").with(|m| m.description = "Newer.".into())).await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    home.hub(&["yank", "ada/sst@1.1.0", "--reason", "wrong labels"]).await.expect_code(0);
    let said = home.hub(&["pull", "ada/sst"]).await.expect_code(0);
    assert!(said.stdout.trim_end().ends_with("1.0.0"), "{said}");
    let said = home.hub(&["pull", "ada/sst@1.1.0"]).await.expect_code(0);
    assert!(said.stderr.contains("warning: `ada/sst@1.1.0` was yanked: wrong labels"), "{said}");
    home.hub(&["yank", "ada/sst@1.1.0", "--undo"]).await.expect_code(0);
    let said = home.hub(&["pull", "ada/sst"]).await.expect_code(0);
    assert!(said.stdout.trim_end().ends_with("1.1.0"), "{said}");
    let said = home.hub(&["yank", "ada/sst", "--reason", "x"]).await.expect_code(1);
    assert!(said.stderr.contains("does not name one version"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_adapter_looks_like_none_to_others() {
    let hub = TestHub::start().await;
    let (ada, bob) = (hub.user("ada").await, hub.user("bob").await);
    let sample = SampleAdapter::lora("ada/secret", "1.0.0");
    ada.publish_private(&sample).await;
    let owner = Home::logged_in(&hub.url(), ada.token()).await;
    owner.hub(&["pull", "ada/secret"]).await.expect_code(0);
    let other = Home::logged_in(&hub.url(), bob.token()).await;
    let secret = other.hub(&["pull", "ada/secret"]).await.expect_code(1);
    let nothing = other.hub(&["pull", "ada/nothing"]).await.expect_code(1);
    assert_eq!(secret.stderr.replace("secret", "nothing"), nothing.stderr);
    let digest = sample.digest().to_string();
    other.hub(&["pull", &digest]).await.expect_code(1);
    let found = other.hub(&["search", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(found["total"], 0);
}
