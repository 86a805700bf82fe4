//! Built-in accounts: who knows a user's password gets a token, and nobody learns who has an account.

use hub_schemas::{api::CreatedToken, problem::ProblemCode, token::Scope};
use hub_server::{admin, domain::rate::Rates};
use hub_tests::{
    cli::{Home, Said, run},
    hub::{Answer, HubProcess, TestHub, Visitor},
};
use serde_json::json;

const PASSWORD: &str = "correct horse battery";

async fn log_in(who: &Visitor, user: &str, password: &str) -> Answer {
    let token = json!({"name": "laptop", "scopes": ["read", "admin"]});
    who.post("login", &json!({"user": user, "password": password, "token": token})).await
}

async fn with_password() -> (TestHub, Visitor) {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    admin::set_password(hub.app(), &"ada".parse().expect("a name"), Some(PASSWORD)).await.expect("sets it");
    (hub, ada)
}

#[tokio::test]
async fn whoever_knows_the_password_gets_a_token_of_the_user() {
    let (hub, _ada) = with_password().await;
    let made: CreatedToken = log_in(&hub.anonymous(), "ada", PASSWORD).await.expect_ok();
    let laptop = hub.visitor(&made.secret);
    let me = laptop.get("whoami").await.json();
    assert_eq!((&me["user"], &me["token"]["scopes"]), (&json!("ada"), &json!(["read", "admin"])));
    let root = hub.user("root").await;
    hub.make_administrator("root").await;
    let log = root.get("audit?actor=ada").await;
    assert!(!String::from_utf8_lossy(&log.body).contains("battery"));
    assert_eq!(log.json()["items"][0]["action"], "token-create");
}

#[tokio::test]
async fn a_wrong_password_and_a_user_who_is_not_there_get_the_same_answer() {
    let (hub, _ada) = with_password().await;
    hub.user("grace").await;
    let anonymous = hub.anonymous();
    let mut answers = Vec::new();
    for user in ["ada", "grace", "nobody"] {
        let answer = log_in(&anonymous, user, "correct horse batterz").await;
        let mut problem = answer.problem();
        problem.request_id = None;
        answers.push((answer.status, answer.headers.get("www-authenticate").cloned(), problem));
    }
    assert_eq!(answers[0].2.code, ProblemCode::Unauthorized);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn attempts_are_limited_by_address_whoever_is_tried() {
    let hub = TestHub::start_with(|config| {
        config.rates = Rates { trust_forwarded_for: true, ..Rates::default() };
    })
    .await;
    hub.user("ada").await;
    admin::set_password(hub.app(), &"ada".parse().expect("a name"), Some(PASSWORD)).await.expect("sets it");
    let from = async |address: &str, user: &str, password: &str| {
        let token = json!({"name": "laptop", "scopes": ["read"]});
        let body = json!({"user": user, "password": password, "token": token});
        let request = hub.anonymous().request(reqwest::Method::POST, "login").json(&body);
        Answer::of(request.header("x-forwarded-for", address)).await
    };
    let mut refused = None;
    for attempt in 0..60 {
        let answer = from("192.0.2.1", &format!("user-{attempt}"), "a guess").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("an attempt too many");
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds <= 60), "{refused:?}");
    // Whose refused attempts go on keeps nobody else out. On a slow machine an attempt comes free meanwhile.
    let mut statuses = Vec::new();
    for _ in 0..80 {
        statuses.push(from("192.0.2.1", "ada", "a guess").await.status.as_u16());
    }
    assert!(
        statuses.contains(&429) && statuses.iter().all(|status| [401, 429].contains(status)),
        "{statuses:?}"
    );
    assert_eq!(from("198.51.100.7", "ada", PASSWORD).await.status, 201);
}

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_the_present_one() {
    let (hub, ada) = with_password().await;
    let change = async |current: Option<&str>, new: &str| {
        ada.put_json("password", &json!({"current": current, "new": new})).await
    };
    assert_eq!(change(None, "another long password").await.problem().detail, "the present password is wrong");
    assert_eq!(change(Some("guess"), "another long password").await.status, 403);
    assert_eq!(
        change(Some(PASSWORD), "too short").await.problem().detail,
        "the password has 9 characters; a password has at least 15"
    );
    assert_eq!(change(Some(PASSWORD), "another long password").await.status, 204);
    let anonymous = hub.anonymous();
    assert_eq!(log_in(&anonymous, "ada", PASSWORD).await.status, 401);
    assert_eq!(log_in(&anonymous, "ada", "another long password").await.status, 201);
    assert_eq!(ada.get("whoami").await.status, 200, "tokens go on working");
}

#[tokio::test]
async fn a_first_password_is_set_with_a_token_that_may_do_everything_or_by_an_operator() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let body = json!({"new": "another long password"});
    for token in [
        hub.token("ada", &[Scope::Read, Scope::Admin], None).await,
        hub.token("ada", &Scope::ALL, Some("1d")).await,
    ] {
        let problem = hub.visitor(&token).put_json("password", &body).await.problem();
        assert_eq!(problem.code, ProblemCode::Forbidden);
        assert!(problem.detail.ends_with("so it can't set a first password"), "{problem:?}");
    }
    let everything = hub.visitor(&hub.token("ada", &Scope::ALL, None).await);
    assert_eq!(everything.put_json("password", &body).await.status, 204);
    assert_eq!(ada.put_json("password", &body).await.status, 403, "now there is one");
    assert_eq!(log_in(&hub.anonymous(), "ada", "another long password").await.status, 201);
}

#[tokio::test]
async fn an_operator_sets_and_removes_passwords_from_standard_input() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let said = |verb: &[&str], input: &str| Said::new(&HubProcess::admin_with(data.path(), verb, input));
    said(&["user", "password", "ada"], "correct horse battery\n").expect_code(0);
    let refused = said(&["user", "password", "ada"], "short\n").expect_code(1);
    assert_eq!(refused.stderr, "error: the password has 5 characters; a password has at least 15\n");
    said(&["user", "password", "nobody"], "correct horse battery\n").expect_code(1);
    let server = HubProcess::start(data.path());
    let anyone = server.visitor(&token);
    assert_eq!(log_in(&anyone, "ada", PASSWORD).await.status, 201);
    said(&["user", "password", "ada", "--remove"], "").expect_code(0);
    assert_eq!(log_in(&anyone, "ada", PASSWORD).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn hub_logs_in_with_a_password_and_changes_it() {
    let (hub, _ada) = with_password().await;
    let home = Home::new(&hub.url());
    let piped = async |arguments: &[&str], input: &str| {
        let file = home.path("secret");
        std::fs::write(&file, input).expect("writes");
        let mut command = home.command(arguments);
        command.stdin(std::fs::File::open(&file).expect("opens"));
        run(command).await
    };
    let log_in = ["-v", "login", "--user", "ada", "--password-stdin"];
    let refused = piped(&log_in, "correct horse batterz\n").await.expect_code(1);
    assert!(refused.stderr.contains("the user or the password is wrong"), "{refused}");
    let said = piped(&log_in, "correct horse battery\n").await.expect_code(0);
    assert!(!format!("{said}{refused}").contains("horse"), "{said}{refused}");
    let me = home.hub(&["whoami", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(me["token"]["name"], "hub login");
    assert!(me["token"]["expires_at"].is_string(), "{me}");
    let change = ["password", "--stdin"];
    piped(&change, "correct horse battery\nanother long password\n").await.expect_code(0);
    let refused = piped(&change, "correct horse battery\nanother long password\n").await.expect_code(1);
    assert!(refused.stderr.contains("the present password is wrong"), "{refused}");
    piped(&log_in, "another long password").await.expect_code(0);
    let scoped = home.hub(&["login", "--scope", "read"]).await.expect_code(2);
    assert!(scoped.stderr.contains("--user"), "{scoped}");
}
