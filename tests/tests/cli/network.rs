//! No registry there, or none that works.

use hub_tests::{
    assert_said,
    cli::Home,
    hub::{SampleAdapter, TestHub},
    proxy::{Fault, Proxy},
};

#[tokio::test]
async fn where_nothing_listens_the_url_and_the_next_step_are_told_at_once() {
    let home = Home::new("http://127.0.0.1:9");
    let started = std::time::Instant::now();
    assert_said!(home, home.hub(&["pull", "ada/sentiment"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: can't reach the registry at [REGISTRY]/api/v1/index/ada/sentiment: connection refused

    hint: nothing listens there: start a registry with `hub-server serve`, or name another one with `--registry URL` or `hub config set registry URL`
    hint: `hub doctor --registry [REGISTRY]` checks the connection
    ");
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_is_no_registry_is_recognised() {
    let hub = TestHub::start().await;
    let proxy = Proxy::start(&hub.url()).await;
    proxy.set(Fault::Refuse(418));
    let home = Home::new(proxy.url());
    let said = home.hub(&["search", "x"]).await.expect_code(1);
    assert!(said.stderr.contains("answered 418, but not as a registry does"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_for_a_moment_is_asked_again() {
    let hub = TestHub::start().await;
    let proxy = Proxy::start(&hub.url()).await;
    proxy.set(Fault::Refuse(503));
    let home = Home::new(proxy.url());
    let child = tokio::task::spawn_blocking({
        let mut command = home.command(&["search"]);
        move || command.output().expect("runs")
    });
    proxy.wait_for("search").await;
    proxy.set(Fault::None);
    let said = hub_tests::cli::Said::new(&child.await.expect("no panic")).expect_code(0);
    assert!(said.stderr.contains("trying again in"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_a_pulled_adapter_is_there_and_another_one_is_not() {
    let mut hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/sentiment", "1.0.0")).await;
    let home = Home::new(&hub.url());
    home.hub(&["pull", "ada/sentiment"]).await.expect_code(0);
    hub.stop().await;
    for reference in ["ada/sentiment@1.0.0", "ada/sentiment@^1", "ada/sentiment", "sentiment"] {
        let said = home.hub(&["pull", "--offline", reference]).await.expect_code(0);
        assert!(said.stdout.trim_end().ends_with("ada/sentiment/1.0.0"), "{reference}: {said}");
    }
    // Named exactly, it takes no request even when nobody said offline.
    home.hub(&["pull", "ada/sentiment@1.0.0"]).await.expect_code(0);
    home.hub(&["info", "--offline", "ada/sentiment"]).await.expect_code(0);
    assert_said!(home, home.hub(&["pull", "--offline", "bob/other"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: `bob/other` is not in the cache at `[HOME]/cache`, and no request is made offline

    hint: `hub list` shows what is there; without `--offline` it would be fetched
    ");
    assert_said!(home, home.hub(&["search", "--offline", "x"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: this needs the registry, and no request is made offline

    hint: leave out `--offline`
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_what_is_missing() {
    let hub = TestHub::start().await;
    let home = Home::new(&hub.url());
    let report = home.hub(&["doctor", "--format", "json"]).await.expect_code(0).json();
    let status = |name: &str| {
        let checks = report.as_array().expect("a list");
        checks.iter().find(|c| c["name"] == name).map(|c| c["status"].as_str().expect("text").to_owned())
    };
    assert_eq!(status("registry").as_deref(), Some("ok"), "{report}");
    assert_eq!(status("token").as_deref(), Some("warn"), "{report}");
    assert_eq!(status("cache").as_deref(), Some("ok"), "{report}");
    let home = Home::new("http://127.0.0.1:9");
    let said = home.hub(&["doctor"]).await.expect_code(1);
    assert!(said.stdout.contains("FAIL  registry") && said.stderr.contains("hint: registry:"), "{said}");
}
