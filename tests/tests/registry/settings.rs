//! Settings: where each comes from, and what is refused.

use std::process::Command;

use hub_tests::{
    cli::{Said, run},
    hub::server_binary,
};
use serde_json::{Value, json};

/// `hub-server` in `folder`, deaf to the settings of whoever runs the tests.
fn hub_server(folder: &std::path::Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(server_binary());
    command.args(arguments).env_clear().envs(environment.iter().copied()).current_dir(folder);
    command
}

fn setting<'a>(settings: &'a Value, key: &str) -> &'a Value {
    let all = settings.as_array().expect("a list");
    all.iter().find(|s| s["key"] == key).unwrap_or_else(|| panic!("no `{key}` in {settings}"))
}

#[tokio::test]
async fn every_setting_says_where_it_comes_from_and_secrets_are_hidden() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "data = \"/srv/hub\"\nlisten = \"127.0.0.1:1\"\n[limits]\nmax_file_bytes = 10\n[s3]\nendpoint = \
                \"http://s3\"\n";
    std::fs::write(folder.path().join("hub.toml"), text).expect("writes");
    let environment = [
        ("HUB_SERVER_LISTEN", "127.0.0.1:2"),
        ("HUB_SERVER_DATABASE_URL", "postgres://hub:s3cret@db/hub"),
        ("HUB_SERVER_STORAGE_URL", "s3://team-adapters/hub"),
        ("HUB_SERVER_S3_ACCESS_KEY_ID", "s3cret"),
        ("HUB_SERVER_S3_SECRET_ACCESS_KEY", "s3cret"),
        ("HUB_SERVER_OTLP_ENDPOINT", "https://hub:s3cret@collector:4318"),
    ];
    let arguments = ["config", "--config", "hub.toml", "--log-format", "json", "--format", "json"];
    let said = run(hub_server(folder.path(), &arguments, &environment)).await.expect_code(0);
    assert!(!said.to_string().contains("s3cret"), "{said}");
    let settings = said.json();
    for (key, value, source) in [
        ("listen", json!("127.0.0.1:2"), "environment HUB_SERVER_LISTEN"),
        ("log_format", json!("json"), "flag --log-format"),
        ("data", json!("/srv/hub"), "file hub.toml"),
        ("limits.max_file_bytes", json!(10), "file hub.toml"),
        ("limits.max_version_bytes", json!(4_u64 << 30), "default"),
        ("database_url", json!("postgres://hub:hidden@db/hub"), "environment HUB_SERVER_DATABASE_URL"),
        ("s3.endpoint", json!("http://s3"), "file hub.toml"),
        ("s3.secret_access_key", json!("(hidden)"), "environment HUB_SERVER_S3_SECRET_ACCESS_KEY"),
        (
            "otlp_endpoint",
            json!("https://hub:hidden@collector:4318/"),
            "environment HUB_SERVER_OTLP_ENDPOINT",
        ),
        ("tls.certificate", Value::Null, "default"),
    ] {
        let found = setting(&settings, key);
        assert_eq!((&found["value"], &found["from"]), (&value, &json!(source)), "{key}");
    }
    let shown = run(hub_server(folder.path(), &["config"], &[])).await.expect_code(0);
    insta::assert_snapshot!("settings", shown.stdout);
}

#[tokio::test]
async fn a_misspelt_setting_is_refused_with_the_one_that_was_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let refuse = async |text: &str, environment: &[(&str, &str)]| -> Said {
        std::fs::write(folder.path().join("hub.toml"), text).expect("writes");
        let arguments = ["serve", "--config", "hub.toml"];
        run(hub_server(folder.path(), &arguments, environment)).await.expect_code(1)
    };
    let mut said = String::new();
    for text in [
        "lissten = \"127.0.0.1:1\"\n",
        "[limits]\nmax_files_bytes = 1\n",
        "colour = \"green\"\n",
        "listen = \"here\"\n",
        "listen = \n",
        "[tls]\nkey = \"key.pem\"\n",
        "otlp_endpoint = \"collector:4318\"\n",
    ] {
        said += &refuse(text, &[]).await.to_string();
    }
    said += &refuse("", &[("HUB_SERVER_READONLY", "true")]).await.to_string();
    let sampler = [("OTEL_TRACES_SAMPLER", "sometimes")];
    said += &refuse("otlp_endpoint = \"http://collector:4318\"\n", &sampler).await.to_string();
    insta::assert_snapshot!("settings_refused", said);
    assert!(!folder.path().join(".data").exists(), "nothing was begun");
}
