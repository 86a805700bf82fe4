//! Teams on the command line.

use hub_tests::{
    assert_said,
    cli::Home,
    hub::{SampleAdapter, TestHub},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_team_is_made_filled_and_given_roles() {
    let hub = TestHub::start().await;
    let (ada, _grace) = (hub.user("ada").await, hub.user("grace").await);
    hub.add_namespace("lab", "ada").await;
    ada.publish(&SampleAdapter::lora("lab/x", "1.0.0")).await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    home.hub(&["team", "create", "lab", "linguists"]).await.expect_code(0);
    home.hub(&["team", "add", "lab", "linguists", "grace"]).await.expect_code(0);
    home.hub(&["access", "grant", "lab", "@linguists", "reader"]).await.expect_code(0);
    home.hub(&["access", "grant", "lab/x", "@linguists", "writer"]).await.expect_code(0);
    assert_said!(home, home.hub(&["team", "list", "lab"]).await, @r"
    exit: 0
    --- stdout
    TEAM       ROLE    SINCE       PEOPLE
    linguists  reader  YYYY-MM-DD  grace
    --- stderr
    ");
    assert_said!(home, home.hub(&["access", "show", "lab/x"]).await, @r"
    exit: 0
    --- stdout
    USER        ROLE    SINCE
    @linguists  writer  YYYY-MM-DD
    --- stderr
    `lab/x` is public; members of the namespace have their roles
    ");
    home.hub(&["access", "revoke", "lab/x", "@linguists"]).await.expect_code(0);
    home.hub(&["access", "revoke", "lab", "@linguists"]).await.expect_code(0);
    assert_said!(home, home.hub(&["access", "grant", "lab", "@linguist", "reader"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: `lab` has no team `linguist`

    hint: `hub team create lab linguist` makes it
    ");
    home.hub(&["team", "remove", "lab", "linguists", "grace"]).await.expect_code(0);
    home.hub(&["team", "delete", "lab", "linguists"]).await.expect_code(0);
}
