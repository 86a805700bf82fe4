//! A registry that follows another one by its changes.

use std::fs;

use hub_schemas::{
    api::{ChangesPage, Role},
    digest::Digest,
};
use hub_tests::{
    cli::Said,
    hub::{HubProcess, SampleAdapter, TestHub, Visitor, flags},
    proxy::{Fault, Proxy},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A registry that follows the namespaces `ada` and `lab` of another one. Its jobs do not run: each
/// round is a command.
struct Follower {
    data: TempDir,
    place: Vec<String>,
    server: HubProcess,
}

impl Follower {
    async fn of(upstream: &str, token: Option<&str>) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let file = data.path().join("hub.toml");
        let token_file = token.map(|token| {
            let path = data.path().join("token");
            fs::write(&path, token).expect("writes");
            format!("token_file = \"{}\"\n", path.display())
        });
        let text = format!(
            "[[mirrors]]\nurl = \"{upstream}\"\nnamespaces = [\"ada\", \"lab\"]\nreplicate_as = \"eve\"\n{}",
            token_file.unwrap_or_default()
        );
        fs::write(&file, text).expect("writes");
        let mut place = flags().await;
        place.extend([format!("--config={}", file.display()), "--run-jobs=false".to_owned()]);
        let strs: Vec<&str> = place.iter().map(String::as_str).collect();
        HubProcess::token_with(data.path(), &strs, "eve");
        let server = HubProcess::start_with(data.path(), &strs);
        Self { data, place, server }
    }

    fn admin(&self, verb: &[&str]) -> Said {
        let place: Vec<&str> = self.place.iter().map(String::as_str).collect();
        Said::new(&HubProcess::admin(self.data.path(), &[verb, &place].concat()))
    }

    /// One round.
    fn follow(&self) -> Said {
        self.admin(&["follow"]).expect_code(0)
    }

    fn anyone(&self) -> Visitor {
        Visitor::new(self.server.url(), None)
    }
}

/// What anybody finds at both, without a registry's own times and counts.
async fn same(here: &Visitor, there: &Visitor, name: &str) {
    let path = format!("index/{name}");
    let (one, other) = (here.get(&path).await, there.get(&path).await);
    assert_eq!((one.status, other.status), (other.status, one.status), "{name}");
    if one.status.is_success() {
        assert_eq!(one.json(), other.json());
    }
}

/// Every file of a version, from the follower alone.
async fn has_all_of(here: &Visitor, sample: &SampleAdapter) {
    let name = &sample.manifest.name;
    let manifest = here.get(&format!("manifests/{}", sample.digest())).await;
    assert_eq!((manifest.status.as_u16(), manifest.body), (200, sample.manifest_bytes()));
    for file in &sample.manifest.files {
        let blob = here.get(&format!("adapters/{name}/blobs/{}", file.digest)).await;
        assert_eq!((blob.status.as_u16(), Digest::of(&blob.body)), (200, file.digest));
    }
}

fn version_names(found: &Value) -> Vec<String> {
    let versions = found["versions"].as_array().expect("versions");
    versions.iter().map(|entry| entry["version"].as_str().expect("a version").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_here_before_anybody_asks_and_goes_on_where_it_stopped() {
    let hub = TestHub::start().await;
    let (ada, bob) = (hub.user("ada").await, hub.user("bob").await);
    let first = SampleAdapter::lora("ada/x", "1.0.0");
    ada.publish(&first).await;
    bob.publish(&SampleAdapter::lora("bob/x", "1.0.0")).await;
    let proxy = Proxy::start(&hub.url()).await;
    let follower = Follower::of(proxy.url(), None).await;
    follower.follow();
    let lists = proxy.take_requests().into_iter().filter(|request| request.contains("/index/"));
    assert_eq!(lists.count(), 1, "the first round compares nothing twice");
    let anyone = follower.anyone();
    has_all_of(&anyone, &first).await;
    same(&anyone, &hub.anonymous(), "ada/x").await;
    assert_eq!(anyone.get("index/bob/x").await.status, 404, "other namespaces are not taken");
    assert_eq!(version_names(&anyone.get("index/ada/x").await.json()), ["1.0.0"]);
    assert_eq!(anyone.get("search?q=sentiment").await.json()["total"], 1);
    assert_eq!(proxy.take_requests(), Vec::<String>::new(), "nothing is asked for again");
    // Nothing new is one request; one new version is what it needs.
    follower.follow();
    assert_eq!(proxy.take_requests().len(), 1);
    let second = SampleAdapter::lora("ada/x", "1.1.0").with_file("README.md", b"# Another\n");
    ada.publish(&second).await;
    follower.follow();
    let asked = proxy.take_requests();
    assert_eq!(asked.len(), 4, "changes, list, manifest, one file: {asked:?}");
    has_all_of(&anyone, &second).await;
    // It is a registry of its own, which others can follow in turn.
    let changes: ChangesPage = anyone.get("changes").await.expect_ok();
    assert_eq!(changes.items.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn yanks_deletions_moves_and_quarantine_are_honoured() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    hub.make_administrator("ada").await;
    hub.add_namespace("lab", "ada").await;
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        ada.publish(&SampleAdapter::lora("ada/x", version)).await;
    }
    let follower = Follower::of(&hub.url(), None).await;
    follower.follow();
    let (anyone, there) = (follower.anyone(), hub.anonymous());
    let yank = json!({"yanked": true, "reason": "wrong labels"});
    let _: Value = ada.patch("adapters/ada/x/versions/1.1.0", &yank).await.expect_ok();
    assert_eq!(ada.delete("adapters/ada/x/versions/1.0.0?reason=y").await.status, 204);
    follower.follow();
    same(&anyone, &there, "ada/x").await;
    let info = anyone.get("adapters/ada/x").await.json();
    assert_eq!(version_names(&info), ["1.2.0", "1.1.0"]);
    assert_eq!(info["versions"][1]["yanked"]["reason"], "wrong labels");
    assert_eq!(info["deleted"][0]["version"], "1.0.0");
    // A new name, in another namespace that is followed, and the old one leads there.
    let digest = info["versions"][0]["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(ada.post("adapters/ada/x/move", &json!({"to": "lab/y"})).await.status, 200);
    follower.follow();
    same(&anyone, &there, "lab/y").await;
    assert_eq!(anyone.get(&format!("manifests/{digest}")).await.status, 200);
    let old = anyone.request(reqwest::Method::GET, "index/ada/x").send().await.expect("an answer");
    assert!(old.url().path().ends_with("/index/lab/y"), "{}", old.url());
    // Out of circulation there, nothing is given here; and back again.
    assert_eq!(ada.put_json("adapters/lab/y/quarantine", &json!({"reason": "z"})).await.status, 200);
    follower.follow();
    assert_eq!(anyone.get(&format!("manifests/{digest}")).await.status, 404);
    assert_eq!(anyone.get("search").await.json()["total"], 0);
    assert_eq!(ada.delete("adapters/lab/y/quarantine").await.status, 200);
    follower.follow();
    same(&anyone, &there, "lab/y").await;
    // To a name that is not followed, and deleted there.
    assert_eq!(ada.delete("adapters/lab/y?reason=old").await.status, 204);
    follower.follow();
    assert_ne!(anyone.get("index/lab/y").await.status, 200);
    assert_eq!(anyone.get(&format!("manifests/{digest}")).await.status, 404);
    follower.admin(&["gc", "--older-than=0"]).expect_code(0);
    let report = follower.admin(&["gc", "--older-than=0", "--dry-run"]).expect_code(0);
    assert_eq!(report.stdout, "", "nothing of it is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_followers_token_may_not_see_is_not_here() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    hub.user("mirror").await;
    let (open, secret) =
        (SampleAdapter::lora("ada/open", "1.0.0"), SampleAdapter::lora("ada/secret", "1.0.0"));
    ada.publish(&open).await;
    ada.publish_private(&secret).await;
    let token = hub.token("mirror", &[hub_schemas::token::Scope::Read], None).await;
    let follower = Follower::of(&hub.url(), Some(&token)).await;
    follower.follow();
    let anyone = follower.anyone();
    has_all_of(&anyone, &open).await;
    let blob = format!("adapters/ada/secret/blobs/{}", secret.manifest.files[0].digest);
    assert_eq!(anyone.get(&blob).await.status, 404);
    // Hidden there, it goes here; with a role it comes back for those who have one here.
    let hide = json!({"visibility": "private"});
    let _: Value = ada.patch("adapters/ada/open", &hide).await.expect_ok();
    follower.follow();
    assert_eq!(anyone.get(&format!("manifests/{}", open.digest())).await.status, 404);
    hub.add_member("ada", "mirror", Role::Reader).await;
    follower.admin(&["follow", "--all"]).expect_code(0);
    follower.admin(&["user", "add", "zoe"]).expect_code(0);
    follower.admin(&["namespace", "member", "add", "ada", "zoe", "--role=reader"]).expect_code(0);
    let zoe = follower.admin(&["token", "create", "--user=zoe"]).expect_code(0).stdout;
    let zoe = follower.server.visitor(zoe.trim());
    for sample in [&open, &secret] {
        has_all_of(&zoe, sample).await;
        assert_eq!(anyone.get(&format!("manifests/{}", sample.digest())).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_not_taken_and_a_registry_that_fails_is_asked_again() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/x", "1.0.0");
    let proxy = Proxy::start(&hub.url()).await;
    let follower = Follower::of(proxy.url(), None).await;
    ada.publish(&sample).await;
    proxy.set(Fault::Refuse(503));
    follower.admin(&["follow"]).expect_code(1);
    proxy.set(Fault::Corrupt);
    follower.admin(&["follow"]);
    let anyone = follower.anyone();
    assert_eq!(anyone.get("search").await.json()["total"], 0);
    proxy.set(Fault::None);
    follower.admin(&["follow", "--all"]).expect_code(0);
    has_all_of(&anyone, &sample).await;
    assert_eq!(anyone.get("search").await.json()["total"], 1);
}
