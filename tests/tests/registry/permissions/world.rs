//! A registry where somebody has every role, and a request for every line of `docs/permissions.md`.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use hub_schemas::{
    api::{Role, TokenEntry},
    digest::Digest,
    token::Scope,
};
use hub_server::{admin, config::IssuerConfig};
use hub_tests::hub::{Answer, SampleAdapter, TestHub, Visitor};
use serde_json::{Value, json};

pub(crate) const ROLES: [&str; 7] =
    ["anonymous", "stranger", "reader", "writer", "maintainer", "owner", "administrator"];

/// Where people and programs say who they are.
const ACCOUNT: [&str; 5] = ["oidc/exchange", "oidc/login", "identities", "login", "password"];

/// A line of `docs/permissions.md`.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) route: String,
    pub(crate) about: String,
    pub(crate) scope: Option<Scope>,
    /// One status per role; none where the line says nothing.
    pub(crate) expected: Vec<Option<u16>>,
}

pub(crate) fn table() -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/permissions.md");
    let text = std::fs::read_to_string(path).expect("the page is there");
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    let lines = text.lines().filter(|line| line.starts_with("| `") && line.contains(" /"));
    lines
        .map(|line| {
            let cells = cells(line);
            assert_eq!(cells.len(), 3 + ROLES.len(), "{line}");
            Line {
                route: cells[0].clone(),
                about: cells[1].clone(),
                scope: (!cells[2].is_empty()).then(|| cells[2].parse().expect("a scope")),
                expected: cells[3..].iter().map(|cell| cell.parse().ok()).collect(),
            }
        })
        .collect()
}

/// What people have their roles by; the owner is always a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Roles {
    AsMembers,
    ByTeams,
    AsCollaborators,
    AsTeamCollaborators,
}

/// A registry where somebody has every role.
pub(crate) struct World {
    pub(crate) hub: TestHub,
    hidden: SampleAdapter,
    pub(crate) people: Vec<Visitor>,
    olga: Visitor,
    patches: AtomicU32,
}

impl World {
    pub(crate) async fn new(roles: Roles) -> Self {
        let hub = TestHub::start_with(|config| {
            let url: reqwest::Url = "https://ci.example.org".parse().expect("an address");
            config.issuers = vec![IssuerConfig {
                issuer: "https://ci.example.org".to_owned(),
                url,
                audience: "hub".to_owned(),
                keys_url: None,
            }];
        })
        .await;
        let olga = hub.user("olga").await;
        hub.add_namespace("lab", "olga").await;
        let mut people = vec![hub.anonymous()];
        for role in &ROLES[1..] {
            people.push(hub.user(role).await);
        }
        hub.make_administrator("administrator").await;
        hub.user("temporary").await;
        let hidden = SampleAdapter::lora("lab/hidden", "1.0.0");
        olga.publish_private(&hidden).await;
        olga.publish(&SampleAdapter::biases("lab/shown", "1.0.0")).await;
        olga.publish_private(&SampleAdapter::bottleneck("lab/inside", "1.0.0")).await;
        let internal = json!({"visibility": "internal"});
        assert_eq!(olga.patch("adapters/lab/inside", &internal).await.status, 200);
        for role in [Role::Reader, Role::Writer, Role::Maintainer, Role::Owner] {
            // A team for each role, of the name of the one person in it.
            if role != Role::Owner {
                let team = format!("namespaces/lab/teams/{role}");
                let has = (roles == Roles::ByTeams).then_some(role);
                assert_eq!(olga.put_json(&team, &json!({"role": has})).await.status, 200);
                assert_eq!(olga.put(&format!("{team}/members/{role}"), Vec::new()).await.status, 204);
            }
            match roles {
                Roles::ByTeams if role != Role::Owner => {}
                Roles::AsCollaborators if role != Role::Owner => {
                    let path = format!("adapters/lab/hidden/collaborators/{role}");
                    assert_eq!(olga.put_json(&path, &json!({"role": role})).await.status, 200);
                }
                Roles::AsTeamCollaborators if role != Role::Owner => {
                    let path = format!("adapters/lab/hidden/teams/{role}");
                    assert_eq!(olga.put_json(&path, &json!({"role": role})).await.status, 200);
                }
                _ => hub.add_member("lab", role.as_str(), role).await,
            }
        }
        Self { hub, hidden, people, olga, patches: AtomicU32::new(1) }
    }

    /// Sends the request of a line; whatever it changes is made good before the next one.
    pub(crate) async fn send(&self, line: &Line, who: &Visitor, role: &str) -> Answer {
        let hidden = "adapters/lab/hidden";
        let unique = || format!("new-{}", who.token().get(5..15).unwrap_or("nobody").to_lowercase());
        let adapter = |about: &str| match about {
            "a public adapter" => "lab/shown",
            "an internal adapter" => "lab/inside",
            _ => "lab/hidden",
        };
        let weights = Digest::of(self.hidden.file("adapter_model.safetensors"));
        let version = format!("{hidden}/versions/1.0.0");
        let get = |path: String| async move { who.get(&path).await };
        let (method, path) = line.route.split_once(' ').expect("a method and a path");
        let path = path.trim_start_matches("/api/v1/");
        match (method, path) {
            ("GET", "search") => get("search?q=hidden".to_owned()).await,
            ("GET", "resolve") => get("resolve?word=hidden".to_owned()).await,
            ("GET", "bases/{digest}") => get(format!("bases/{}", Digest::of(b"tiny-bert"))).await,
            ("GET", "adapters/{namespace}/{name}") => get(format!("adapters/{}", adapter(&line.about))).await,
            ("PATCH", "adapters/{namespace}/{name}") => {
                let (ask, back) = (json!({"visibility": "internal"}), json!({"visibility": "private"}));
                self.patched(hidden, who, &ask, &back).await
            }
            (
                "DELETE" | "POST",
                "adapters/{namespace}/{name}"
                | "adapters/{namespace}/{name}/move"
                | "adapters/{namespace}/{name}/kept-name",
            ) => self.name(path, who, role).await,
            ("GET", "adapters/{namespace}/{name}/pulls") => get(format!("{hidden}/pulls")).await,
            ("GET", "index/{namespace}/{name}") => get("index/lab/hidden".to_owned()).await,
            ("GET", "manifests/{digest}") => get(format!("manifests/{}", self.hidden.digest())).await,
            ("GET", "adapters/{namespace}/{name}/blobs/{digest}") => {
                get(format!("{hidden}/blobs/{weights}")).await
            }
            ("POST", "adapters/{namespace}/{name}/uploads") if line.about == "a new adapter" => {
                who.start_upload(&format!("lab/{}", unique()), Digest::of(b"new"), 3).await
            }
            ("POST", "adapters/{namespace}/{name}/uploads") => {
                who.start_upload("lab/hidden", Digest::of(b"more"), 4).await
            }
            (_, "uploads/{id}" | "uploads/{id}/parts") => self.upload(method, &line.about, who, role).await,
            ("PUT", "adapters/{namespace}/{name}/versions/{version}") if line.about == "a new adapter" => {
                let sample = SampleAdapter::lora(&format!("lab/{}", unique()), "1.0.0");
                if line.expected[ROLES.iter().position(|r| *r == role).expect("a role")] == Some(201) {
                    let all = self.hub.visitor(&self.hub.token(role, &Scope::ALL, None).await);
                    all.upload_files(&sample).await;
                }
                who.put_manifest(&sample).await
            }
            ("PUT", "adapters/{namespace}/{name}/versions/{version}") => who.put_manifest(&self.hidden).await,
            ("PATCH", "adapters/{namespace}/{name}/versions/{version}") => {
                self.patched(&version, who, &json!({"yanked": true}), &json!({"yanked": false})).await
            }
            ("DELETE", "adapters/{namespace}/{name}/versions/{version}") => self.deletion(who).await,
            ("GET", "adapters/{namespace}/{name}/collaborators") => {
                get(format!("{hidden}/collaborators")).await
            }
            (_, "adapters/{namespace}/{name}/collaborators/{user}") => {
                self.role(method, &format!("{hidden}/collaborators/temporary"), who).await
            }
            (_, path) if path.contains("teams/{team}") => self.team(method, path, who).await,
            ("POST", "namespaces") => who.post("namespaces", &json!({"name": unique()})).await,
            ("GET", "namespaces/{namespace}") => get("namespaces/lab".to_owned()).await,
            (_, "namespaces/{namespace}/members/{user}") if line.about == "oneself" => {
                let path = format!("namespaces/lab/members/{role}");
                let answer = who.delete(&path).await;
                if answer.status == 204 {
                    assert_eq!(self.olga.put_json(&path, &json!({"role": role})).await.status, 200);
                }
                answer
            }
            (_, "namespaces/{namespace}/members/{user}") => {
                self.role(method, "namespaces/lab/members/temporary", who).await
            }
            (_, "adapters/{namespace}/{name}/quarantine") => self.quarantine(method, who).await,
            (_, path) if path.starts_with("namespaces/{namespace}/retention") => {
                self.retention(method, path, who).await
            }
            ("GET", "namespaces/{namespace}/webhooks") => get("namespaces/lab/webhooks".to_owned()).await,
            (_, path) if path.starts_with("namespaces/{namespace}/webhooks") => {
                self.webhook(method, who).await
            }
            (_, path) if path.contains("/publishers") => self.publisher(method, who).await,
            ("DELETE", "identities/{id}") => who.delete("identities/nobody").await,
            (_, path) if method != "GET" && ACCOUNT.contains(&path) => self.account(path, who, role).await,
            ("POST", "tokens") => {
                // At most what the token at hand may do.
                let scopes = self.scopes(who).await;
                who.post("tokens", &json!({"name": "new", "scopes": scopes})).await
            }
            ("DELETE", "tokens/{id}") => {
                self.token(who, if line.about == "one's own" { role } else { "olga" }).await
            }
            ("GET", path) => get(path.to_owned()).await,
            (method, path) => panic!("no request for `{method} {path}`"),
        }
    }

    /// Changes something that is changed back behind it.
    async fn patched(&self, path: &str, who: &Visitor, ask: &Value, back: &Value) -> Answer {
        let answer = who.patch(path, ask).await;
        self.olga.patch(path, back).await;
        answer
    }

    /// Takes an adapter out of circulation, or brings back one that was taken out before.
    async fn quarantine(&self, method: &str, who: &Visitor) -> Answer {
        let (path, reason) = ("adapters/lab/hidden/quarantine", "a look");
        let operator = async |reason| {
            let id = "lab/hidden".parse().expect("a name");
            drop(admin::quarantine(self.hub.app(), &id, reason).await);
        };
        let answer = if method == "PUT" {
            who.put_json(path, &json!({"reason": reason})).await
        } else {
            operator(Some(reason)).await;
            who.delete(path).await
        };
        operator(None).await;
        answer
    }

    /// Logs in with a password, changes one, or exchanges what is no identity token.
    async fn account(&self, path: &str, who: &Visitor, role: &str) -> Answer {
        let password = "correct horse battery";
        match path {
            "login" => {
                self.set_password("temporary", Some(password)).await;
                let token = json!({"name": "new", "scopes": ["read"]});
                who.post(path, &json!({"user": "temporary", "password": password, "token": token})).await
            }
            "password" => {
                if role != "anonymous" {
                    self.set_password(role, Some(password)).await;
                }
                who.put_json(path, &json!({"current": password, "new": "another long password"})).await
            }
            "oidc/login" => {
                let token = json!({"name": "new", "scopes": ["read"]});
                who.post(path, &json!({"identity": "no.jwt.here", "token": token})).await
            }
            "identities" => who.post(path, &json!({"identity": "no.jwt.here"})).await,
            _ => who.post(path, &json!({"adapter": "lab/hidden", "token": "no.jwt.here"})).await,
        }
    }

    /// Lists publishers, makes one, or removes one that is there before.
    async fn publisher(&self, method: &str, who: &Visitor) -> Answer {
        let path = "adapters/lab/hidden/publishers";
        let body = json!({"issuer": "https://ci.example.org", "claims": {"sub": "a-job"}});
        let id = |answer: &Answer| answer.json()["id"].as_str().unwrap_or_default().to_owned();
        match method {
            "GET" => who.get(path).await,
            "POST" => {
                let made = who.post(path, &body).await;
                self.olga.delete(&format!("{path}/{}", id(&made))).await;
                made
            }
            _ => {
                let made = self.olga.post(path, &body).await;
                let removed = who.delete(&format!("{path}/{}", id(&made))).await;
                self.olga.delete(&format!("{path}/{}", id(&made))).await;
                removed
            }
        }
    }

    async fn set_password(&self, user: &str, password: Option<&str>) {
        let user = user.parse().expect("a name");
        admin::set_password(self.hub.app(), &user, password).await.expect("sets the password");
    }

    /// Revokes a token of `user` that is made before.
    async fn token(&self, who: &Visitor, user: &str) -> Answer {
        let user = if user == "anonymous" { "olga" } else { user };
        let made = self.hub.visitor(&self.hub.token(user, &[Scope::Admin], None).await);
        let all: Vec<TokenEntry> = made.get("tokens").await.expect_ok();
        let newest = all.iter().max_by_key(|token| token.created_at).expect("the one that was made");
        who.delete(&format!("tokens/{}", newest.id)).await
    }

    /// Deletes or moves an adapter that is published before, or frees the name that one had.
    async fn name(&self, path: &str, who: &Visitor, role: &str) -> Answer {
        let name = format!("lab/short-{}", self.patches.fetch_add(1, Ordering::Relaxed));
        let to = json!({"to": format!("{name}-to")});
        self.olga.publish_private(&SampleAdapter::lora(&name, "1.0.0")).await;
        // Whoever collaborates on `lab/hidden` collaborates here too.
        if matches!(role, "reader" | "writer" | "maintainer") {
            let path = format!("adapters/{name}/collaborators/{role}");
            assert_eq!(self.olga.put_json(&path, &json!({"role": role})).await.status, 200);
        }
        match path.rsplit('/').next() {
            Some("move") => who.post(&format!("adapters/{name}/move"), &to).await,
            Some("kept-name") => {
                assert_eq!(self.olga.post(&format!("adapters/{name}/move"), &to).await.status, 200);
                who.delete(&format!("adapters/{name}/kept-name")).await
            }
            _ => who.delete(&format!("adapters/{name}?reason=mistake")).await,
        }
    }

    /// Makes or removes a team, somebody in it, or its role on an adapter.
    async fn team(&self, method: &str, path: &str, who: &Visitor) -> Answer {
        let team = "namespaces/lab/teams/temporary";
        self.olga.put_json(team, &json!({})).await;
        let path = match path {
            "adapters/{namespace}/{name}/teams/{team}" => "adapters/lab/hidden/teams/temporary".to_owned(),
            path if path.ends_with("{user}") => format!("{team}/members/temporary"),
            _ => team.to_owned(),
        };
        let body = json!({"role": "reader"});
        if method == "PUT" {
            return who.put_json(&path, &body).await;
        }
        self.olga.put_json(&path, &body).await;
        who.delete(&path).await
    }

    async fn scopes(&self, who: &Visitor) -> Value {
        let answer = who.get("whoami").await;
        if answer.status == 200 { answer.json()["token"]["scopes"].clone() } else { json!(["read"]) }
    }

    /// The upload of the caller, or of somebody else.
    async fn upload(&self, method: &str, about: &str, who: &Visitor, role: &str) -> Answer {
        let all = match about {
            about if about.starts_with("one's own") && role != "anonymous" => {
                self.hub.visitor(&self.hub.token(role, &Scope::ALL, None).await)
            }
            _ => self.olga.clone(),
        };
        let started = all.start_upload("lab/hidden", Digest::of(b"a part"), 6).await;
        let id = started.json()["id"].as_str().expect("an id").to_owned();
        match method {
            "GET" => who.get(&format!("uploads/{id}")).await,
            "PATCH" => {
                let answer = who.append(&id, 0, b"a", 6).await;
                all.delete(&format!("uploads/{id}")).await;
                answer
            }
            "POST" => who.post(&format!("uploads/{id}/parts"), &json!({"start": 0, "size": 6})).await,
            "PUT" => {
                let part = json!({"start": 0, "size": 6, "etag": "x"});
                who.put_json(&format!("uploads/{id}/parts"), &part).await
            }
            _ => who.delete(&format!("uploads/{id}")).await,
        }
    }

    /// Deletes a version that is published before.
    async fn deletion(&self, who: &Visitor) -> Answer {
        let patch = self.patches.fetch_add(1, Ordering::Relaxed);
        let sample = SampleAdapter::lora("lab/hidden", &format!("0.0.{patch}"));
        self.olga.publish(&sample).await;
        who.delete(&format!("adapters/lab/hidden/versions/0.0.{patch}?reason=mistake")).await
    }

    /// Shows, sets or tries rules that delete nothing here.
    async fn retention(&self, method: &str, path: &str, who: &Visitor) -> Answer {
        let (path, rules) = (path.replace("{namespace}", "lab"), json!({"yanked_days": 365}));
        match method {
            "GET" => who.get(&path).await,
            "PUT" => who.put_json(&path, &rules).await,
            _ => who.post(&path, &rules).await,
        }
    }

    /// Makes a webhook, or removes one that is there before.
    async fn webhook(&self, method: &str, who: &Visitor) -> Answer {
        let body = json!({"url": "https://example.org/"});
        let add = async |who: &Visitor| who.post("namespaces/lab/webhooks", &body).await;
        let remove = async |who: &Visitor, answer: &Answer| {
            let id = answer.json()["webhook"]["id"].as_str().unwrap_or_default().to_owned();
            who.delete(&format!("namespaces/lab/webhooks/{id}")).await
        };
        if method == "POST" {
            let made = add(who).await;
            remove(&self.olga, &made).await;
            return made;
        }
        let made = add(&self.olga).await;
        let removed = remove(who, &made).await;
        remove(&self.olga, &made).await;
        removed
    }

    /// Gives or takes a role that is there before.
    async fn role(&self, method: &str, path: &str, who: &Visitor) -> Answer {
        assert_eq!(self.olga.put_json(path, &json!({"role": "reader"})).await.status, 200);
        match method {
            "PUT" => who.put_json(path, &json!({"role": "writer"})).await,
            _ => who.delete(path).await,
        }
    }
}
