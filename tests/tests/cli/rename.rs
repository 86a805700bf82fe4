//! Adapters with new names, and those of which nothing is left.

use hub_tests::{
    assert_said,
    cli::Home,
    hub::{SampleAdapter, TestHub},
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn pull_follows_an_old_name_and_says_so() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    hub.add_namespace("lab", "ada").await;
    ada.publish(&SampleAdapter::lora("ada/movies", "1.0.0")).await;
    let (home, reader) = (Home::logged_in(&hub.url(), ada.token()).await, Home::new(&hub.url()));
    assert_said!(home, home.hub(&["move", "ada/movies", "lab/reviews"]).await, @r"
    exit: 0
    --- stdout
    --- stderr
    moved `ada/movies` to `lab/reviews`; the old name leads there
    ");
    assert_said!(reader, reader.hub(&["pull", "ada/movies"]).await, @r"
    exit: 0
    --- stdout
    [HOME]/cache/adapters/[REGISTRY-KEY]/ada/movies/1.0.0
    --- stderr
    warning: `ada/movies` is called `lab/reviews` now; use that name from here on
    `lab/reviews@1.0.0` is the newest that fits, of 1 version
    pulling `lab/reviews@1.0.0` from [REGISTRY]
    pulled `lab/reviews@1.0.0` (3.6 KiB in [TIME])

    hint: its base model `tiny-bert` is neither on this machine nor in the registry: name its folder with `--base DIR`
    ");
    // What was pulled under the old name is there under the new one.
    reader.hub(&["pull", "--offline", "lab/reviews"]).await.expect_code(0);
    reader.hub(&["pull", "sentiment"]).await.expect_code(0);
    let info = reader.hub(&["info", "lab/reviews"]).await.expect_code(0).stdout;
    assert!(info.contains("published as  ada/movies") && info.contains("formerly      ada/movies"), "{info}");
    // A version list from before is not believed any more.
    ada.publish(&SampleAdapter::lora("lab/reviews", "1.1.0")).await;
    let newest = reader.hub(&["pull", "ada/movies", "--format", "json"]).await.expect_code(0).json();
    assert_eq!((&newest["name"], &newest["version"]), (&json!("lab/reviews"), &json!("1.1.0")));

    let folder = home.write("trained", &SampleAdapter::biases("ada/movies", "2.0.0"));
    assert_said!(home, home.hub(&["push", &folder.to_string_lossy()]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    pushing `ada/movies@2.0.0` (3 files, 3.6 KiB) to [REGISTRY]
    error: the registry says: `ada/movies` is called `lab/reviews` now, and its old name leads there (409 conflict, request [ID])

    hint: publish under another name, or let an owner of `ada` free this one with `hub free ada/movies`
    ");
    home.hub(&["free", "ada/movies"]).await.expect_code(0);
    home.hub(&["push", &folder.to_string_lossy()]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn info_shows_what_was_deleted_and_why_an_adapter_is_in_quarantine() {
    let hub = TestHub::start().await;
    let (ada, root) = (hub.user("ada").await, hub.user("root").await);
    hub.make_administrator("root").await;
    ada.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    home.hub(&["delete", "ada/x@1.0.0", "--reason", "wrong labels"]).await.expect_code(0);
    let reason = json!({"reason": "the weights leak training data"});
    assert_eq!(root.put_json("adapters/ada/x/quarantine", &reason).await.status, 200);
    let info = home.hub(&["info", "ada/x"]).await.expect_code(0).stdout;
    let plain: Vec<_> =
        info.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(plain[..3], ["name ada/x", "visibility public", "pulls 0"]);
    assert!(
        plain[3].starts_with("quarantine since 20") && plain[3].ends_with("leak training data"),
        "{info}"
    );
    assert!(plain[6].starts_with("1.0.0 20") && plain[6].ends_with("wrong labels"), "{info}");
    root.delete("adapters/ada/x/quarantine").await;
    assert_said!(home, home.hub(&["delete", "ada/x", "--reason", "all of it"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: `ada/x` does not name one version

    hint: name it exactly, as in `ada/sentiment@1.2.0`
    hint: or give `--all-versions` to delete a whole adapter, as in `ada/sentiment`
    ");
    assert_said!(home, home.hub(&["delete", "ada/x", "--all-versions", "--reason", "all of it"]).await, @r"
    exit: 0
    --- stdout
    --- stderr
    deleted `ada/x` with all versions; its name stays taken
    ");
    let said = home.hub(&["info", "ada/x"]).await.expect_code(1);
    assert!(
        said.stderr.contains("`ada/x` was deleted on 20") && said.stderr.contains(": all of it"),
        "{said}"
    );
}
