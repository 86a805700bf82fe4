//! Users and tokens: scoped, expiring, revocable.

use hub_schemas::{problem::ProblemCode, token::Scope};
use hub_tests::hub::{HubProcess, SampleAdapter, TestHub};
use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::json;

#[tokio::test]
async fn whoami_says_who_and_what_may_be_done() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    hub.add_namespace("a-lab", "ada").await;
    assert_json_snapshot!(ada.get("whoami").await.json(), @r#"
    {
      "namespaces": [
        "ada",
        "a-lab"
      ],
      "token": {
        "name": "test",
        "scopes": [
          "read",
          "publish-new",
          "publish-update",
          "yank",
          "admin"
        ]
      },
      "user": "ada"
    }
    "#);
}

#[tokio::test]
async fn no_token_and_a_wrong_token_are_told_apart() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let none = hub.anonymous().get("whoami").await;
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"adapter-hub\"");
    let mut wrong = ada.token().to_owned();
    wrong.replace_range(10..11, if &wrong[10..11] == "a" { "b" } else { "a" });
    let wrong = hub.visitor(&wrong);
    assert_snapshot!(
        [none.problem().detail, wrong.get("whoami").await.problem().detail].join("\n"),
        @r"
    this needs a token
    the token is unknown, revoked or expired
    "
    );
    // A wrong token is not ignored on public routes either.
    assert_eq!(wrong.get("search").await.code(), ProblemCode::Unauthorized);
    assert_eq!(hub.visitor("\u{fffd}not a token").get("search").await.code(), ProblemCode::Unauthorized);
}

#[tokio::test]
async fn an_expired_token_is_no_token() {
    let hub = TestHub::start().await;
    hub.user("ada").await;
    let expired = hub.visitor(&hub.token("ada", &Scope::ALL, Some("0s")).await);
    assert_eq!(expired.get("whoami").await.code(), ProblemCode::Unauthorized);
    let valid = hub.visitor(&hub.token("ada", &Scope::ALL, Some("1h")).await);
    assert!(valid.get("whoami").await.json()["token"]["expires_at"].is_string());
}

#[tokio::test]
async fn a_token_does_only_what_its_scopes_say() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    ada.publish(&sample).await;
    let reader = hub.visitor(&hub.token("ada", &[Scope::Read], None).await);
    let publisher = hub.visitor(&hub.token("ada", &[Scope::PublishUpdate], None).await);
    let yank = json!({"yanked": true});
    let path = "adapters/ada/sentiment/versions/1.0.0";

    let refused = reader.put_manifest(&sample).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, ProblemCode::Forbidden));
    assert_eq!(refused.problem().detail, "the token `test` has no scope `publish-update`");
    assert_eq!(reader.start_upload("ada/sentiment", sample.digest(), 1).await.code(), ProblemCode::Forbidden);
    assert_eq!(publisher.patch(path, &yank).await.code(), ProblemCode::Forbidden);
    assert_eq!(publisher.put_manifest(&sample).await.status, 200);
}

#[tokio::test]
async fn nobody_publishes_in_a_namespace_of_others() {
    let hub = TestHub::start().await;
    hub.user("ada").await;
    let eve = hub.user("eve").await;
    let refused = eve.put_manifest(&SampleAdapter::lora("ada/sentiment", "1.0.0")).await;
    assert_eq!(refused.code(), ProblemCode::Forbidden);
    assert_eq!(refused.problem().detail, "`eve` is not a member of the namespace `ada`");
}

#[tokio::test]
async fn the_operators_verbs_work_beside_a_running_server() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let server = HubProcess::start(data.path());
    let ada = server.visitor(&token);
    assert_eq!(ada.get("whoami").await.status, 200);

    let admin = |verb: &[&str]| {
        let output = HubProcess::admin(data.path(), verb);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (ok, secret, _) =
        admin(&["token", "create", "--user", "ada", "--name", "ci", "--scope", "read", "--expires", "30d"]);
    assert!(ok && secret.starts_with("hubt_") && secret.len() == 43, "only the secret is printed: {secret}");
    let ci = server.visitor(&secret);
    assert_eq!(ci.get("whoami").await.json()["token"]["scopes"], json!(["read"]));

    let (_, listed, _) = admin(&["token", "list"]);
    let row = listed.lines().find(|line| line.contains("\tci\t")).expect("the token is listed");
    assert!(!listed.contains(&secret), "a secret is shown once");
    let id = row.split('\t').next().expect("an id");
    assert!(admin(&["token", "revoke", id]).0);
    assert_eq!(ci.get("whoami").await.code(), ProblemCode::Unauthorized);
    assert_eq!(ada.get("whoami").await.status, 200, "the other token still works");

    let errors = [
        admin(&["user", "add", "ada"]),
        admin(&["token", "create", "--user", "nobody"]),
        admin(&["token", "revoke", id]),
        admin(&["namespace", "member", "add", "nowhere", "ada"]),
    ]
    .map(|(ok, _, stderr)| {
        assert!(!ok);
        stderr.replace(id, "[id]")
    });
    assert_snapshot!(errors.join("\n"), @r"
    error: the user `ada` exists already
    error: there is no user `nobody`; `hub-server user add nobody` makes one
    error: there is no working token with the id `[id]`; `hub-server token list` shows them
    error: there is no namespace `nowhere`; `hub-server namespace add nowhere --owner USER` makes one
    ");
    assert!(admin(&["user", "add", "grace"]).0 && admin(&["namespace", "add", "lab", "--owner", "ada"]).0);
    assert!(admin(&["namespace", "member", "add", "lab", "grace"]).0);
    assert_eq!(admin(&["user", "list"]).1.lines().count(), 2);
}
