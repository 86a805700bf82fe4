//! Where settings come from.

use hub_tests::{assert_said, cli::Home};

#[tokio::test]
async fn every_value_says_where_it_comes_from() {
    let home = Home::new("http://127.0.0.1:9");
    home.hub(&["config", "set", "registry", "https://hub.example/team/"]).await.expect_code(0);
    home.hub(&["config", "set", "backbones", "models", "/srv/models"]).await.expect_code(0);
    home.hub(&["config", "set", "color", "never"]).await.expect_code(0);
    let listed = home.hub(&["config", "list", "--offline", "--format", "json"]).await.expect_code(0).json();
    let file = format!("file {}", home.path("config.toml").display());
    let items = listed.as_array().expect("a list").iter();
    let found: Vec<_> =
        items.map(|i| (i["key"].as_str(), i["value"].to_string(), i["source"].as_str())).collect();
    let folders = format!("[{:?},\"/srv/models\"]", home.path("models"));
    let expected = [
        (Some("registry"), "\"http://127.0.0.1:9\"".to_owned(), Some("environment HUB_REGISTRY")),
        (Some("base"), "null".to_owned(), Some("default")),
        (Some("backbones"), folders, Some(file.as_str())),
        (Some("cache"), format!("{:?}", home.cache()), Some("environment HUB_CACHE")),
        (Some("offline"), "true".to_owned(), Some("flag --offline")),
        (Some("color"), "\"never\"".to_owned(), Some(file.as_str())),
    ];
    assert_eq!(found, expected);
    let table = home.hub(&["config", "list"]).await.expect_code(0);
    assert!(table.stdout.starts_with("KEY ") && table.stdout.lines().count() == 7, "{table}");
    let said = home.hub_with(&[("HUB_REGISTRY", "")], &["config", "get", "registry"]).await.expect_code(0);
    assert_eq!(said.stdout, "https://hub.example/team\n");
}

#[tokio::test]
async fn a_slip_in_a_key_is_recognised_and_nothing_is_written() {
    let home = Home::new("http://127.0.0.1:9");
    assert_said!(home, home.hub(&["config", "set", "regsitry", "http://a"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: `regsitry` is not a configuration key

    hint: did you mean `registry`?
    hint: the keys are `registry`, `base`, `backbones`, `cache`, `offline`, `color`
    ");
    let said = home.hub(&["config", "set", "registry", "ftp://a"]).await.expect_code(1);
    assert!(said.stderr.contains("`http://` or `https://`"), "{said}");
    assert!(!home.path("config.toml").exists());
}

#[tokio::test]
async fn a_file_with_an_unknown_key_is_refused_and_can_be_repaired() {
    let home = Home::new("http://127.0.0.1:9");
    std::fs::write(home.path("config.toml"), "# mine\nofline = true\ncolor = \"never\"\n").expect("writes");
    assert_said!(home, home.hub(&["list"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: the configuration file `[HOME]/config.toml`: `ofline` is not a configuration key

    hint: did you mean `offline`?
    hint: the keys are `registry`, `base`, `backbones`, `cache`, `offline`, `color`
    hint: `hub config unset ofline` takes it out of the file
    ");
    home.hub(&["config", "unset", "ofline"]).await.expect_code(0);
    let text = std::fs::read_to_string(home.path("config.toml")).expect("reads");
    assert_eq!(text, "# mine\ncolor = \"never\"\n");
    home.hub(&["list"]).await.expect_code(0);
}
