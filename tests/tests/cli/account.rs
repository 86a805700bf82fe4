//! Logging in and out.

use hub_tests::{
    assert_said,
    cli::Home,
    hub::{SampleAdapter, TestHub},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_tried_kept_for_its_registry_and_forgotten() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let home = Home::new(&hub.url());
    assert_said!(home, home.hub(&["whoami"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: no token for [REGISTRY]

    hint: log in with `hub login`, or set `HUB_TOKEN`
    ");
    assert_said!(home, home.hub(&["login", "--token", ada.token()]).await, @r"
    exit: 0
    --- stdout
    --- stderr
    logged in to [REGISTRY] as `ada`
    ");
    assert_said!(home, home.hub(&["whoami"]).await, @r"
    exit: 0
    --- stdout
    user        ada
    registry    [REGISTRY]
    namespaces  ada
    token       test
    scopes      read, publish-new, publish-update, yank, admin
    expires     never
    --- stderr
    ");
    let elsewhere =
        home.hub_with(&[("HUB_REGISTRY", "http://127.0.0.1:9")], &["whoami"]).await.expect_code(1);
    assert!(elsewhere.stderr.contains("no token for http://127.0.0.1:9"), "{elsewhere}");
    home.hub(&["logout"]).await.expect_code(0);
    home.hub(&["whoami"]).await.expect_code(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_changes_nothing_and_is_never_shown() {
    let hub = TestHub::start().await;
    let home = Home::new(&hub.url());
    let wrong = "hubt_wrong0123456789wrong0123456789";
    let said = home.hub(&["-v", "login", "--token", wrong]).await.expect_code(1);
    assert!(!said.to_string().contains("wrong0123"), "{said}");
    assert!(!home.path("data/credentials.json").exists());
    assert_said!(home, home.hub(&["login", "--token", wrong]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: [REGISTRY] does not accept this token
      caused by: the registry says: the token is unknown, revoked or expired (401 unauthorized, request [ID])

    hint: is it complete, for this registry, and not expired? nothing was changed
    ");
    let said = home.hub_with(&[("HUB_TOKEN", wrong)], &["whoami"]).await.expect_code(1);
    assert!(said.stderr.contains("unauthorized") && !said.to_string().contains("wrong0123"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_comes_from_standard_input_and_its_file_is_for_the_owner_only() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let home = Home::new(&hub.url());
    std::fs::write(home.path("token"), format!("{}\n", ada.token())).expect("writes");
    let mut command = home.command(&["login", "--token-stdin", "--format", "json"]);
    command.stdin(std::fs::File::open(home.path("token")).expect("opens"));
    let said = hub_tests::cli::run(command).await.expect_code(0);
    assert_eq!(said.json()["user"], "ada");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let file = std::fs::metadata(home.path("data/credentials.json")).expect("is there");
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
    let said = home.hub(&["login"]).await.expect_code(1);
    assert!(said.stderr.contains("--token-stdin"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_lets_people_in_and_a_token_does_what_it_is_for() {
    let hub = TestHub::start().await;
    let (ada, grace) = (hub.user("ada").await, hub.user("grace").await);
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    assert_said!(home, home.hub(&["org", "create", "lab"]).await, @r"
    exit: 0
    --- stdout
    --- stderr
    created `lab`, which you own; `hub access grant lab USER ROLE` lets others in
    ");
    assert_said!(home, home.hub(&["access", "grant", "lab", "grace", "writer"]).await, @r"
    exit: 0
    --- stdout
    --- stderr
    granted `grace` the role writer in `lab`
    ");
    let said = home.hub(&["access", "show", "lab"]).await.expect_code(0);
    let columns = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(
        said.stdout.lines().map(columns).collect::<Vec<_>>(),
        ["USER ROLE", "ada owner", "grace writer"]
    );
    grace.publish(&SampleAdapter::lora("lab/x", "1.0.0")).await;
    assert_said!(home, home.hub(&["access", "visibility", "lab/x", "internal"]).await, @r"
    exit: 0
    --- stdout
    --- stderr
    made `lab/x` internal
    ");
    assert_said!(home, home.hub(&["access", "revoke", "lab", "grace"]).await, @r"
    exit: 0
    --- stdout
    --- stderr
    revoked the role of `grace` in `lab`
    ");
    home.hub(&["access", "grant", "lab/x", "grace", "reader"]).await.expect_code(0);
    let said = home.hub(&["access", "show", "lab/x", "--format", "json"]).await.expect_code(0).json();
    assert_eq!((&said["visibility"], &said["people"][0]["user"]), (&"internal".into(), &"grace".into()));
    assert_said!(home, home.hub(&["access", "grant", "nowhere", "grace", "reader"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: the registry says: there is no namespace `nowhere` that you belong to (404 not-found, request [ID])

    hint: check the name; an owner of the namespace can give you a role in it
    ");

    let said = home.hub(&["webhook", "add", "lab", "https://example.org/hub"]).await.expect_code(0);
    assert!(said.stdout.starts_with("whsec_"), "{said}");
    let said = home.hub(&["webhook", "list", "lab", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(said[0]["url"], "https://example.org/hub");
    home.hub(&["webhook", "remove", "lab", said[0]["id"].as_str().expect("an id")]).await.expect_code(0);

    let said = home
        .hub(&["token", "create", "ci", "--scope", "read,publish", "--names", "lab/*"])
        .await
        .expect_code(0);
    let ci = Home::logged_in(&hub.url(), said.stdout.trim()).await;
    assert_said!(ci, ci.hub(&["whoami"]).await, @r"
    exit: 0
    --- stdout
    user        ada
    registry    [REGISTRY]
    namespaces  ada, lab
    token       ci
    scopes      read, publish-new, publish-update
    names       lab/*
    expires     never
    --- stderr
    ");
    assert_said!(ci, ci.hub(&["token", "list"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: the registry says: the token `ci` has no scope `admin` (403 forbidden, request [ID])

    hint: use a token with the scope `admin`; `hub token create` or the registry's operator makes one
    ");
    let listed = home.hub(&["token", "list", "--format", "json"]).await.expect_code(0).json();
    let made =
        listed.as_array().expect("a list").iter().find(|token| token["name"] == "ci").expect("is there");
    home.hub(&["token", "revoke", made["id"].as_str().expect("an id")]).await.expect_code(0);
    ci.hub(&["whoami"]).await.expect_code(1);
    let said = home.hub(&["token", "create", "x", "--scope", "reed"]).await.expect_code(2);
    assert!(said.stderr.contains("`reed` is not a scope"), "{said}");
}
