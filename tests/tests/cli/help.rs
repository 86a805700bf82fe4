//! What `hub` says about itself.

use hub_tests::{assert_said, cli::Home};

#[tokio::test]
async fn every_verb_explains_itself() {
    let home = Home::new("http://127.0.0.1:9");
    assert_said!(home, "help", home.hub(&["--help"]).await.expect_code(0));
    for verb in ["login", "push", "pull", "search", "info", "remove", "yank", "convert", "config", "doctor"] {
        let said = home.hub(&[verb, "-h"]).await.expect_code(0);
        assert!(said.stdout.contains("Usage: hub") && said.stderr.is_empty(), "{verb}: {said}");
    }
    assert_said!(home, "help_push", home.hub(&["push", "--help"]).await.expect_code(0));
    assert_said!(home, "help_pull", home.hub(&["pull", "--help"]).await.expect_code(0));
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_2_and_a_suggestion() {
    let home = Home::new("http://127.0.0.1:9");
    let said = home.hub(&["pul", "sentiment"]).await.expect_code(2);
    assert!(said.stderr.contains("'pull'") && said.stdout.is_empty(), "{said}");
    let said = home.hub(&["pull", "Sentiment!"]).await.expect_code(2);
    assert!(said.stderr.contains("`Sentiment!` is neither a task nor the name of an adapter"), "{said}");
}

#[tokio::test]
async fn completions_are_scripts() {
    let home = Home::new("http://127.0.0.1:9");
    for shell in ["bash", "zsh", "fish"] {
        let said = home.hub(&["completions", shell]).await.expect_code(0);
        assert!(said.stdout.contains("hub") && said.stderr.is_empty(), "{shell}");
    }
}
