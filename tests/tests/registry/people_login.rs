//! Logging in by the word of an identity provider, a real one on loopback.

use std::{
    io::{BufRead as _, BufReader},
    process::Child,
};

use hub_schemas::{
    api::{CreatedToken, LinkedIdentity, WhoAmI},
    token::Scope,
};
use hub_server::config::{IssuerConfig, LoginConfig};
use hub_tests::{
    cli::{Home, Said},
    hub::{Answer, TestHub, Visitor},
    issuer::Issuer,
    provider::CLIENT,
};
use serde_json::{Value, json};

/// A registry that takes the word of a new provider.
async fn registry(create_users: bool) -> (TestHub, Issuer) {
    let provider = Issuer::start().await;
    let login = LoginConfig {
        issuer: IssuerConfig {
            issuer: provider.url().to_owned(),
            url: provider.url().parse().expect("an address"),
            audience: CLIENT.to_owned(),
            keys_url: None,
        },
        scopes: vec!["openid".to_owned(), "profile".to_owned()],
        create_users,
        name_claim: "preferred_username".to_owned(),
        token_days: 30,
    };
    (TestHub::start_with(|config| config.logins = vec![login]).await, provider)
}

async fn log_in(hub: &TestHub, identity: &str) -> Answer {
    let token = json!({"name": "test", "scopes": ["read", "admin"]});
    hub.anonymous().post("oidc/login", &json!({"identity": identity, "token": token})).await
}

async fn user_of(hub: &TestHub, answer: &Answer) -> String {
    let made: CreatedToken = answer.expect_ok();
    let who: WhoAmI = hub.visitor(&made.secret).get("whoami").await.expect_ok();
    who.user.to_string()
}

/// Reads what `hub` says until `line` finds something in it.
fn read_until<T>(child: &mut Child, line: impl Fn(&str) -> Option<T>) -> T {
    let mut said = BufReader::new(child.stderr.take().expect("its words"));
    loop {
        let mut text = String::new();
        assert!(said.read_line(&mut text).expect("reads") > 0, "it ended without saying it");
        if let Some(found) = line(text.trim()) {
            // What else it says is of no interest, but it must not find the pipe closed.
            std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
            return found;
        }
    }
}

async fn ended(child: Child) -> Said {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    Said::new(&output.await.expect("no panic").expect("it ends"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_with_their_browser_and_gets_a_user_of_their_own() {
    let (hub, provider) = registry(true).await;
    provider.person("person-1", json!({"preferred_username": "grace"}));
    let home = Home::new(&hub.url());
    let mut child = home.start(&["login", "--oidc", "--no-browser"]);
    let url = read_until(&mut child, |line| line.starts_with("http").then(|| line.to_owned()));
    assert!(url.contains("code_challenge_method=S256") && url.contains("nonce="), "{url}");
    let browser = reqwest::Client::builder().no_proxy().build().expect("a client");
    // A page that does not know the state of this login gets nothing, and breaks nothing.
    let back: reqwest::Url = url.parse().expect("an address");
    let back = back.query_pairs().find(|(name, _)| name == "redirect_uri").expect("where to").1.into_owned();
    let stray = browser.get(format!("{back}?code=evil&state=guessed")).send().await.expect("an answer");
    assert_eq!(stray.status(), 404);
    let page = browser.get(&url).send().await.expect("a page").text().await.expect("text");
    assert!(page.contains("You are logged in"), "{page}");
    ended(child).await.expect_code(0);
    let who = home.hub(&["whoami", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(who["user"], "grace");
    let expires = who["token"]["expires_at"].as_str().expect("a token of a login expires");
    let expires = time::OffsetDateTime::parse(expires, &time::format_description::well_known::Rfc3339);
    let days = (expires.expect("a time") - time::OffsetDateTime::now_utc()).whole_days();
    assert!(
        (28..=30).contains(&days),
        "as long as the registry allows, not the 90 that were asked for: {days}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_machine_without_a_browser_they_type_a_code_elsewhere() {
    let (hub, provider) = registry(true).await;
    provider.person("person-1", json!({"preferred_username": "grace"}));
    let home = Home::new(&hub.url());
    let mut child = home.start(&["login", "--oidc", "--device"]);
    let code = read_until(&mut child, |line| {
        let code = line.split('`').nth(1)?;
        line.contains("type the code").then(|| code.to_owned())
    });
    provider.type_code(&code);
    ended(child).await.expect_code(0);
    assert_eq!(home.hub(&["whoami", "--format", "json"]).await.expect_code(0).json()["user"], "grace");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_no_is_not_logged_in() {
    let (hub, _provider) = registry(true).await;
    let home = Home::new(&hub.url());
    let mut child = home.start(&["login", "--oidc", "--no-browser"]);
    let url = read_until(&mut child, |line| line.starts_with("http").then(|| line.to_owned()));
    let browser = reqwest::Client::builder().no_proxy().build().expect("a client");
    let page = browser.get(&url).send().await.expect("a page").text().await.expect("text");
    assert!(page.contains("You are not logged in"), "{page}");
    ended(child).await.expect_code(1);
    home.hub(&["whoami"]).await.expect_code(1);
}

#[tokio::test]
async fn a_name_or_an_address_at_the_provider_never_leads_to_a_user_who_exists() {
    let (hub, provider) = registry(true).await;
    let ada = hub.user("ada").await;
    hub.add_namespace("lab", "ada").await;
    for name in ["ada", "lab", "admin", "Ada!", "", "ada@example.org"] {
        let claims = json!({"preferred_username": name, "email": "ada@example.org", "email_verified": true});
        provider.person("somebody-else", claims);
        let refused = log_in(&hub, &provider.identity(None)).await;
        assert_eq!(refused.status, 403, "{name}: {refused:?}");
    }
    // Ada links hers, and from then on it is the provider's identifier that counts, whatever its name.
    provider.person("the-real-ada", json!({"preferred_username": "ada"}));
    let linked = ada.post("identities", &json!({"identity": provider.identity(None)})).await;
    assert_eq!(linked.status, 204, "{linked:?}");
    provider.person("the-real-ada", json!({"preferred_username": "ada-renamed"}));
    assert_eq!(user_of(&hub, &log_in(&hub, &provider.identity(None)).await).await, "ada");
    provider.person("somebody-else", json!({"preferred_username": "ada"}));
    assert_eq!(log_in(&hub, &provider.identity(None)).await.status, 403);
    // Nobody takes a linked identity over, and unlinked it is nobody's.
    let bob = hub.user("bob").await;
    provider.person("the-real-ada", json!({}));
    let taken = bob.post("identities", &json!({"identity": provider.identity(None)})).await;
    assert_eq!(taken.status, 409);
    let listed: Vec<LinkedIdentity> = ada.get("identities").await.expect_ok();
    assert_eq!((listed.len(), listed[0].subject.as_str()), (1, "the-real-ada"));
    assert_eq!(bob.delete(&format!("identities/{}", listed[0].id)).await.status, 404);
    assert_eq!(ada.delete(&format!("identities/{}", listed[0].id)).await.status, 204);
    assert_eq!(log_in(&hub, &provider.identity(None)).await.status, 403);
}

#[tokio::test]
async fn only_a_token_that_is_as_good_as_its_user_links() {
    let (hub, provider) = registry(false).await;
    hub.user("ada").await;
    provider.person("ada-1", json!({}));
    let try_with = async |token: String| {
        let visitor: Visitor = hub.visitor(&token);
        visitor.post("identities", &json!({"identity": provider.identity(None)})).await.status.as_u16()
    };
    assert_eq!(try_with(hub.token("ada", &[Scope::Read, Scope::Admin], None).await).await, 403);
    assert_eq!(try_with(hub.token("ada", &Scope::ALL, Some("30d")).await).await, 403);
    assert_eq!(try_with(hub.limited_token("ada", &Scope::ALL, &["ada/*"]).await).await, 403);
    assert_eq!(try_with(hub.token("ada", &Scope::ALL, None).await).await, 204);
}

#[tokio::test]
async fn without_the_settings_nobody_becomes_a_user() {
    let (hub, provider) = registry(false).await;
    provider.person("person-1", json!({"preferred_username": "grace"}));
    let refused = log_in(&hub, &provider.identity(None)).await;
    assert_eq!(refused.status, 403);
    assert!(refused.problem().hint.expect("a hint").contains("hub-server user link"));
}

#[tokio::test]
async fn an_identity_token_is_taken_once_and_only_for_this_login() {
    let (hub, provider) = registry(true).await;
    provider.person("person-1", json!({"preferred_username": "grace"}));
    let good = provider.identity(None);
    assert_eq!(log_in(&hub, &good).await.status, 201);
    assert_eq!(log_in(&hub, &good).await.status, 401, "it was used");
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut claims = provider.claims("person-1");
        claims["aud"] = json!(CLIENT);
        change(&mut claims);
        provider.sign(&claims)
    };
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    for (what, token) in [
        ("for another program", changed(&|claims| claims["aud"] = json!("hub"))),
        ("given to another program", changed(&|claims| claims["azp"] = json!("other"))),
        ("of another login", changed(&|claims| claims["nonce"] = json!("other"))),
        ("of another provider", changed(&|claims| claims["iss"] = json!("https://example.org"))),
        ("that has expired", changed(&|claims| claims["exp"] = json!(now - 3600))),
        ("without a signature", format!("{}.", good.rsplit_once('.').expect("a signature").0)),
    ] {
        assert_eq!(log_in(&hub, &token).await.status, 401, "{what}");
    }
    // With the nonce that it was asked for with, and with none, it is another matter.
    let with_nonce = provider.identity(Some("mine"));
    let token = json!({"name": "test", "scopes": ["read"]});
    let body = json!({"identity": with_nonce, "nonce": "mine", "token": token});
    assert_eq!(hub.anonymous().post("oidc/login", &body).await.status, 201);
    let body = json!({"identity": provider.identity(None), "nonce": "mine", "token": token});
    assert_eq!(hub.anonymous().post("oidc/login", &body).await.status, 401);
}
