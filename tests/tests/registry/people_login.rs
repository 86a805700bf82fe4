//! Logging in by the word of an identity provider, a real one on loopback.

use std::{
    io::{BufRead as _, BufReader},
    process::Child,
};

use futures_util::future::join_all;
use hub_schemas::{
    api::{AuditPage, CreatedToken, LinkedIdentity, WhoAmI},
    token::Scope,
};
use hub_server::{
    admin,
    config::{IssuerConfig, LoginConfig},
};
use hub_tests::{
    assert_said,
    cli::{Home, Said},
    hub::{Answer, TestHub, Visitor},
    issuer::Issuer,
    provider::CLIENT,
};
use serde_json::{Value, json};

/// The settings by which a registry takes the word of a provider.
fn taken(provider: &Issuer, create_users: bool) -> LoginConfig {
    LoginConfig {
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
    }
}

/// A registry that takes the word of a new provider.
async fn registry(create_users: bool) -> (TestHub, Issuer) {
    let provider = Issuer::start().await;
    let login = taken(&provider, create_users);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_user_sees_who_logs_in_as_them_and_removes_one() {
    let (hub, provider) = registry(false).await;
    let (ada, bob) = (hub.user("ada").await, hub.user("bob").await);
    let (home, theirs) =
        (Home::logged_in(&hub.url(), ada.token()).await, Home::logged_in(&hub.url(), bob.token()).await);
    assert_said!(home, home.hub(&["identity", "list"]).await, @r"
    exit: 0
    --- stdout
    --- stderr
    ");
    provider.person("ada-at-work", json!({}));
    assert_eq!(ada.post("identities", &json!({"identity": provider.identity(None)})).await.status, 204);
    assert_said!(home, home.hub(&["identity", "list"]).await, @r"
    exit: 0
    --- stdout
    ID                                PROVIDER                SUBJECT      SINCE
    [ID]  [REGISTRY]  ada-at-work  YYYY-MM-DD
    --- stderr
    ");
    let listed = home.hub(&["identity", "list", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(
        (&listed[0]["issuer"], &listed[0]["subject"]),
        (&json!(provider.url()), &json!("ada-at-work"))
    );
    let id = listed[0]["id"].as_str().expect("an id");
    // Nobody else sees it, or takes it away; to them it is as what there is not.
    assert_eq!(theirs.hub(&["identity", "list", "--format", "json"]).await.expect_code(0).json(), json!([]));
    let said = theirs.hub(&["identity", "remove", id]).await;
    assert_said!(theirs, said, @r"
    exit: 1
    --- stdout
    --- stderr
    error: the registry says: nobody with the id `[ID]` logs in as you (404 not-found, request [ID])

    hint: `hub identity list` shows them
    ");
    let said = theirs.hub(&["identity", "remove", "none"]).await.expect_code(1);
    assert!(said.stderr.contains("nobody with the id `none` logs in as you"), "{said}");
    assert_said!(home, home.hub(&["identity", "remove", id, "--offline"]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: this needs the registry, and no request is made offline

    hint: leave out `--offline`
    ");
    // What it got stays; a new login is nobody's.
    let made: CreatedToken = log_in(&hub, &provider.identity(None)).await.expect_ok();
    assert_said!(home, home.hub(&["identity", "remove", id]).await, @r"
    exit: 0
    --- stdout
    --- stderr
    removed the identity `[ID]`; the tokens that it got go on working
    ");
    assert_eq!(hub.visitor(&made.secret).get("whoami").await.status, 200);
    assert_eq!(log_in(&hub, &provider.identity(None)).await.status, 403);
    home.hub(&["identity", "remove", id]).await.expect_code(1);
    let did = audited(&hub, "ada").await;
    let (own, others) = did.split_at(4);
    assert_eq!(own, ADDED.map(|action| ("(operator)".to_owned(), action.to_owned())));
    let others: Vec<&str> = others.iter().map(|(_, action)| action.as_str()).collect();
    assert_eq!(others, ["identity-link", "token-create", "identity-unlink"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_for_the_first_time_is_recorded() {
    let (hub, provider) = registry(true).await;
    provider.person("person-1", json!({"preferred_username": "grace"}));
    assert_eq!(log_in(&hub, &provider.identity(None)).await.status, 201);
    let did = audited(&hub, "grace").await;
    let by = |actor: &str, action: &str| (actor.to_owned(), action.to_owned());
    let mut expected: Vec<_> = ADDED[..3].iter().map(|action| by("(operator)", action)).collect();
    expected.extend(["identity-link", "token-create"].map(|action| by("grace", action)));
    assert_eq!(did, expected);
}

/// What the log has of a user that an operator adds with a token.
const ADDED: [&str; 4] = ["namespace-add", "user-add", "member-set", "token-create"];

/// What happened to a user, and by whom, as the audit log has it.
async fn audited(hub: &TestHub, user: &str) -> Vec<(String, String)> {
    let root = hub.user("root").await;
    hub.make_administrator("root").await;
    let page: AuditPage = root.get("audit?limit=1000").await.expect_ok();
    let items = page.items.into_iter().filter(|record| record.subject == user);
    items.map(|record| (record.actor, record.action)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_way_to_log_in_is_not_removed() {
    let (hub, provider) = registry(true).await;
    let name = "grace".parse().expect("a name");
    provider.person("person-1", json!({"preferred_username": "grace"}));
    let made: CreatedToken = log_in(&hub, &provider.identity(None)).await.expect_ok();
    let grace = hub.visitor(&made.secret);
    let home = Home::logged_in(&hub.url(), grace.token()).await;
    let ids = async || {
        let linked: Vec<LinkedIdentity> = grace.get("identities").await.expect_ok();
        linked.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    let first = ids().await.remove(0);
    assert_said!(home, home.hub(&["identity", "remove", &first]).await, @r"
    exit: 1
    --- stdout
    --- stderr
    error: the registry says: `person-1` of `[REGISTRY]` is your last way to log in: there is no other identity, no password, and no token that has every scope and does not expire (409 conflict, request [ID])

    hint: an operator of the registry gives you another one (`hub-server user password NAME`, `hub-server user link NAME --issuer URL --subject SUB`), or removes it all the same: `hub-server user unlink NAME`
    ");
    // Neither does a token that ends or may do less let her in for good.
    hub.token("grace", &Scope::ALL, Some("30d")).await;
    hub.token("grace", &[Scope::Read, Scope::Admin], None).await;
    assert_eq!(grace.delete(&format!("identities/{first}")).await.status, 409);
    // Of two, both asked for at once, one stays.
    admin::link_identity(hub.app(), &name, provider.url(), "person-2").await.expect("links");
    let removals = ids().await.into_iter().map(async |id| grace.delete(&format!("identities/{id}")).await);
    let mut statuses: Vec<_> = join_all(removals).await.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
    // With a password, or a token that stands for her, none needs to.
    let last = ids().await.remove(0);
    admin::set_password(hub.app(), &name, Some("correct horse battery")).await.expect("sets it");
    assert_eq!(grace.delete(&format!("identities/{last}")).await.status, 204);
    assert_eq!(ids().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_identity_of_a_provider_that_is_gone_is_no_way_to_log_in() {
    let (here, gone) = (Issuer::start().await, Issuer::start().await);
    let hub =
        TestHub::start_with(|config| config.logins = vec![taken(&here, true), taken(&gone, true)]).await;
    let name = "grace".parse().expect("a name");
    here.person("person-1", json!({"preferred_username": "grace"}));
    let made: CreatedToken = log_in(&hub, &here.identity(None)).await.expect_ok();
    admin::link_identity(hub.app(), &name, gone.url(), "person-1").await.expect("links");
    let hub = hub.restart_with(|config| config.logins.truncate(1)).await;
    let grace = hub.visitor(&made.secret);
    let linked: Vec<LinkedIdentity> = grace.get("identities").await.expect_ok();
    let id = |provider: &Issuer| {
        let identity = linked.iter().find(|one| one.issuer == provider.url()).expect("linked");
        format!("identities/{}", identity.id)
    };
    assert_eq!(grace.delete(&id(&here)).await.status, 409);
    assert_eq!(grace.delete(&id(&gone)).await.status, 204);
}
