//! Trusted publishing: jobs of a CI publish with identity tokens, each taken once, and nobody else's.

use hub_schemas::{api::CreatedToken, problem::ProblemCode};
use hub_server::config::IssuerConfig;
use hub_tests::{
    cli::Home,
    hub::{Answer, SampleAdapter, TestHub, Visitor},
    issuer::Issuer,
};
use insta::assert_snapshot;
use serde_json::{Value, json};

const JOB: &str = "repo:ukp/adapters:ref:refs/heads/main";

struct World {
    hub: TestHub,
    issuer: Issuer,
    ada: Visitor,
}

/// A registry that takes tokens of a real issuer, where `ada/x` trusts the jobs of a repository.
async fn world() -> World {
    let issuer = Issuer::start().await;
    let config = IssuerConfig {
        issuer: issuer.url().to_owned(),
        url: issuer.url().parse().expect("an address"),
        audience: "hub".to_owned(),
        keys_url: None,
    };
    let hub = TestHub::start_with(|settings| settings.issuers = vec![config]).await;
    let ada = hub.user("ada").await;
    let world = World { hub, issuer, ada };
    assert_eq!(world.trust("ada/x", &json!({"sub": JOB, "ref": "refs/heads/main"})).await.status, 201);
    world
}

impl World {
    async fn trust(&self, adapter: &str, claims: &Value) -> Answer {
        let body = json!({"issuer": self.issuer.url(), "claims": claims});
        self.ada.post(&format!("adapters/{adapter}/publishers"), &body).await
    }

    async fn exchange(&self, adapter: &str, token: &str) -> Answer {
        self.hub.anonymous().post("oidc/exchange", &json!({"adapter": adapter, "token": token})).await
    }

    /// What a job is told whose claims are changed.
    async fn told(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.issuer.claims(JOB);
        change(&mut claims);
        let problem = self.exchange("ada/x", &self.issuer.sign(&claims)).await.problem();
        format!("{} {}", problem.status, problem.detail.replace(self.issuer.url(), "[issuer]"))
    }
}

#[tokio::test]
async fn a_job_gets_a_token_that_publishes_one_adapter_and_nothing_else() {
    let world = world().await;
    let answer = world.exchange("ada/x", &world.issuer.sign(&world.issuer.claims(JOB))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let made: CreatedToken = answer.expect_ok();
    let minutes = made.token.info.expires_at.expect("an end") - made.token.created_at;
    assert!(minutes.whole_minutes() <= 15, "{made:?}");
    let job = world.hub.visitor(&made.secret);
    assert!(job.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await.created);
    assert!(job.publish(&SampleAdapter::lora("ada/x", "1.1.0")).await.created);
    for refused in [
        job.put_manifest(&SampleAdapter::lora("ada/y", "1.0.0")).await,
        job.patch("adapters/ada/x/versions/1.0.0", &json!({"yanked": true, "reason": "x"})).await,
        job.post("tokens", &json!({"name": "more", "scopes": ["read"]})).await,
        job.get("adapters/ada/x/publishers").await,
    ] {
        assert_eq!(refused.code(), ProblemCode::Forbidden, "{refused:?}");
    }
    // Keys are asked for once, and the log has who it was.
    assert_eq!(world.exchange("ada/x", &world.issuer.sign(&world.issuer.claims(JOB))).await.status, 201);
    assert_eq!(world.issuer.asked(), 1);
    let root = world.hub.user("root").await;
    world.hub.make_administrator("root").await;
    let log = root.get("audit?actor=ada&limit=1000").await.json();
    let items = log["items"].as_array().expect("a list");
    let exchanged = items.iter().find(|item| item["action"] == "publisher-exchange").expect("a record");
    assert!(exchanged["detail"].as_str().is_some_and(|text| text.starts_with(JOB)), "{exchanged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_token_is_taken_once_however_many_send_it() {
    let world = world().await;
    let token = world.issuer.sign(&world.issuer.claims(JOB));
    let answers = futures_util::future::join_all((0..8).map(|_| world.exchange("ada/x", &token))).await;
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(taken, 1, "{answers:?}");
    let refused = answers.iter().find(|answer| answer.status != 201).expect("one of them");
    assert_eq!(refused.problem().detail, "the identity token was exchanged before");
}

#[tokio::test]
async fn a_token_that_does_not_fit_is_told_which_claim_is_another() {
    let world = world().await;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let told = [
        world.told(|claims| claims["ref"] = json!("refs/heads/dev")).await,
        world.told(|claims| drop(claims.as_object_mut().map(|all| all.remove("ref")))).await,
        world.told(|claims| claims["sub"] = json!("repo:eve/adapters:ref:refs/heads/main")).await,
        world.told(|claims| claims["aud"] = json!(["pypi", "npm"])).await,
        world.told(|claims| claims["iss"] = json!("https://evil.example")).await,
        world.told(|claims| claims["exp"] = json!(now - 3600)).await,
        world.told(|claims| claims["nbf"] = json!(now + 3600)).await,
        world.told(|claims| claims["exp"] = json!(now + 90_000)).await,
        world.told(|claims| claims["exp"] = json!("tomorrow")).await,
        world.told(|claims| drop(claims.as_object_mut().map(|all| all.remove("jti")))).await,
        world.told(|claims| claims["sub"] = json!("")).await,
        world.told(|claims| claims["sub"] = json!("a\u{1b}[2Jb")).await,
    ];
    assert_snapshot!(told.join("\n"), @r"
    403 the trusted publisher of `ada/x` takes other tokens: `ref` is `refs/heads/dev` instead of `refs/heads/main`
    403 the trusted publisher of `ada/x` takes other tokens: the token has no `ref`, which must be `refs/heads/main`
    403 no trusted publisher of `ada/x` takes the subject `repo:eve/adapters:ref:refs/heads/main` of `[issuer]`
    401 the identity token is for the audience `pypi`, `npm`; it must be for `hub`
    401 tokens of the issuer `https://evil.example` are not taken here
    401 the identity token has expired
    401 the identity token is not valid yet
    401 the identity token is valid for more than a day
    401 the identity token has no claim `exp` of the kind that it must be
    401 the identity token has no claim `jti` of the kind that it must be
    401 the identity token has no claim `sub` of the kind that it must be
    401 the identity token has no claim `sub` of the kind that it must be
    ");
    // Whoever is nobody learns nothing of what there is.
    let token = |claims: &Value| world.issuer.sign(claims);
    let absent = world.exchange("ada/absent", &token(&world.issuer.claims("repo:eve/x:y"))).await.problem();
    let there = world.exchange("ada/x", &token(&world.issuer.claims("repo:eve/x:y"))).await.problem();
    assert_eq!(absent.detail.replace("ada/absent", "ada/x"), there.detail);
}

#[tokio::test]
async fn a_token_that_somebody_else_signed_is_refused_whatever_its_header_says() {
    let world = world().await;
    let claims = world.issuer.claims(JOB);
    let good = world.issuer.sign(&claims);
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    let (header, _) = head.split_once('.').expect("three parts");
    let forged = |part: &str| format!("{part}.{}", head.split_once('.').expect("three parts").1);
    let other = Issuer::start().await;
    let mut theirs = claims.clone();
    theirs["iss"] = json!(world.issuer.url());
    let none = "eyJhbGciOiJub25lIn0";
    let tokens = [
        // Signed by another issuer in this one's name.
        other.sign(&theirs),
        // Other claims under a good signature.
        format!(
            "{header}.{}.{signature}",
            other.sign(&theirs).split('.').nth(1).expect("claims").replace('A', "B")
        ),
        // No signature, and one that anybody can make.
        format!("{}.", forged(none)),
        world.issuer.sign_with(&json!({"alg": "HS256", "kid": "first"}), &claims),
        world.issuer.sign_with(&json!({"alg": "RS256", "kid": "first"}), &claims),
        // An extension that must be understood.
        world.issuer.sign_with(&json!({"alg": "ES256", "kid": "first", "crit": ["x"], "x": 1}), &claims),
        // Keys that nobody knows.
        world.issuer.sign_with(&json!({"alg": "ES256", "kid": "unknown"}), &claims),
        world.issuer.sign_with(&json!({"alg": "ES256", "kid": "other"}), &claims),
        "x".repeat(20_000),
        String::new(),
    ];
    for token in tokens {
        let answer = world.exchange("ada/x", &token).await;
        assert_eq!(answer.status, 401, "{token}: {answer:?}");
    }
    // However many keys are made up, the issuer is asked no more than once in a while.
    assert!(world.issuer.asked() <= 1, "{}", world.issuer.asked());
    assert_eq!(world.exchange("ada/x", &good).await.status, 201);
}

#[tokio::test]
async fn keys_are_read_from_the_issuer_alone() {
    let world = world().await;
    let elsewhere = Issuer::start().await;
    world.issuer.say_keys_are_at(&format!("{}/keys", elsewhere.url()));
    let mut claims = elsewhere.claims(JOB);
    claims["iss"] = json!(world.issuer.url());
    let answer = world.exchange("ada/x", &elsewhere.sign(&claims)).await;
    assert_eq!(answer.code(), ProblemCode::Unavailable);
    assert_eq!(elsewhere.asked(), 0, "nobody makes the registry reach another host");
}

#[tokio::test]
async fn who_is_trusted_is_decided_by_maintainers_and_stated_precisely() {
    let world = world().await;
    let answers = [
        world.trust("ada/x", &json!({"ref": "refs/heads/main"})).await,
        world.trust("ada/x", &json!({"sub": "repo:*"})).await,
        world.trust("ada/x", &json!({"sub": JOB, "aud": "x"})).await,
        world
            .ada
            .post(
                "adapters/ada/x/publishers",
                &json!({"issuer": "https://evil.example", "claims": {"sub": JOB}}),
            )
            .await,
    ];
    assert_snapshot!(answers.map(|answer| answer.problem().detail).join("\n"), @r"
    `claims` has no `sub`, which says whose tokens are meant
    the subject `repo:*` says too little before its star; write it out, or as in `repo:owner/*`
    the claim `aud` is checked of every token
    tokens of the issuer `https://evil.example` are not taken here
    ");
    let listed = world.ada.get("adapters/ada/x/publishers").await.json();
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(listed[0]["created_by"], "ada");
    // It follows its adapter inside the namespace, and out of it nobody is trusted any more.
    world.ada.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await;
    world.ada.post("adapters/ada/x/move", &json!({"to": "ada/y"})).await;
    let job = || world.issuer.sign(&world.issuer.claims(JOB));
    assert_eq!(world.exchange("ada/x", &job()).await.status, 403);
    assert_eq!(world.exchange("ada/y", &job()).await.status, 201);
    assert_eq!(world.ada.delete(&format!("adapters/ada/x/publishers/{id}")).await.status, 404);
    assert_eq!(world.ada.delete(&format!("adapters/ada/y/publishers/{id}")).await.status, 204);
    assert_eq!(world.exchange("ada/y", &job()).await.status, 403);
}

#[tokio::test]
async fn the_rights_of_a_publisher_are_those_of_whoever_trusts_it() {
    let world = world().await;
    let eve = world.hub.user("eve").await;
    let body = json!({"issuer": world.issuer.url(), "claims": {"sub": JOB}});
    assert_eq!(eve.post("adapters/ada/x/publishers", &body).await.status, 403);
    world.hub.add_namespace("lab", "ada").await;
    world.hub.add_member("lab", "eve", hub_schemas::api::Role::Maintainer).await;
    assert_eq!(eve.post("adapters/lab/x/publishers", &body).await.status, 201);
    let token = world.issuer.sign(&world.issuer.claims(JOB));
    let made: CreatedToken = world.exchange("lab/x", &token).await.expect_ok();
    assert_eq!(world.ada.delete("namespaces/lab/members/eve").await.status, 204);
    let job = world.hub.visitor(&made.secret);
    assert_eq!(job.put_manifest(&SampleAdapter::lora("lab/x", "1.0.0")).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_pushes_with_the_token_that_hub_exchanges() {
    let world = world().await;
    let home = Home::logged_in(&world.hub.url(), world.ada.token()).await;
    let issuer = world.issuer.url();
    let claim = format!("sub={JOB}");
    home.hub(&["publisher", "add", "ada/z", "--issuer", issuer, "--claim", &claim]).await.expect_code(0);
    let listed = home.hub(&["publisher", "list", "ada/z"]).await.expect_code(0);
    assert!(listed.stdout.contains(&claim), "{listed}");
    let runner = Home::new(&world.hub.url());
    let variables = world.issuer.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let token = runner.hub_with(&variables, &["token", "exchange", "ada/z"]).await.expect_code(0).stdout;
    let folder = runner.write("trained", &SampleAdapter::lora("ada/z", "1.0.0"));
    let pushed = runner.hub_with(&[("HUB_TOKEN", token.trim())], &["push", &folder.to_string_lossy()]).await;
    pushed.expect_code(0);
    let identity = world.issuer.sign(&world.issuer.claims("repo:eve/x:y"));
    let refused =
        runner.hub_with(&[("HUB_IDENTITY_TOKEN", &identity)], &["token", "exchange", "ada/z"]).await;
    let refused = refused.expect_code(1);
    assert!(refused.stderr.contains("no trusted publisher of `ada/z` takes the subject"), "{refused}");
    assert!(refused.stderr.contains("hub publisher add ada/z"), "{refused}");
    let nothing = runner.hub(&["token", "exchange", "ada/z"]).await.expect_code(1);
    assert!(nothing.stderr.contains("there is no identity token here"), "{nothing}");
}
