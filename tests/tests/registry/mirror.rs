//! A registry that fetches the adapters of another one when somebody asks for them.

use std::{collections::BTreeMap, fs, path::Path};

use futures_util::future::join_all;
use hub_schemas::{digest::Digest, problem::ProblemCode};
use hub_tests::{
    cli::{Home, Said},
    hub::{Answer, HubProcess, SampleAdapter, TestHub, Visitor, flags},
    proxy::{Fault, Proxy},
};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

/// The registry that mirrors, and somebody there.
pub(crate) struct Mirror {
    pub(crate) data: TempDir,
    place: Vec<String>,
    pub(crate) server: HubProcess,
    token: String,
}

impl Mirror {
    /// Mirrors the namespace `ada` of the registry at `upstream`.
    async fn of(upstream: &str) -> Self {
        Self::with(upstream, "fresh_seconds = 600").await
    }

    async fn with(upstream: &str, settings: &str) -> Self {
        Self::set_up(&format!("url = \"{upstream}\"\nnamespaces = [\"ada\"]\n{settings}\n")).await
    }

    /// Mirrors what these settings say.
    pub(crate) async fn set_up(settings: &str) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let file = data.path().join("hub.toml");
        fs::write(&file, format!("[[mirrors]]\n{settings}")).expect("writes");
        let mut place = flags().await;
        place.push(format!("--config={}", file.display()));
        let token = HubProcess::token_with(data.path(), &strs(&place), "eve");
        let server = HubProcess::start_with(data.path(), &strs(&place));
        Self { data, place, server, token }
    }

    pub(crate) fn eve(&self) -> Visitor {
        self.server.visitor(&self.token)
    }

    pub(crate) fn anyone(&self) -> Visitor {
        Visitor::new(self.server.url(), None)
    }

    pub(crate) async fn home(&self) -> Home {
        Home::logged_in(&self.server.url(), &self.token).await
    }

    pub(crate) fn admin(&self, verb: &[&str]) -> Said {
        Said::new(&HubProcess::admin(self.data.path(), &[verb, &strs(&self.place)].concat()))
    }

    /// Kills it and starts it again.
    pub(crate) fn restart(self) -> Self {
        let Self { data, place, server, token } = self;
        server.kill();
        let server = HubProcess::start_with(data.path(), &strs(&place));
        Self { data, place, server, token }
    }
}

fn strs(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// Another registry with one adapter of `ada`, and a proxy in front of it.
async fn upstream() -> (TestHub, Visitor, SampleAdapter, Proxy) {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0").with_metric("accuracy", 0.9);
    ada.publish(&sample).await;
    let proxy = Proxy::start(&hub.url()).await;
    (hub, ada, sample, proxy)
}

fn same_files(sample: &SampleAdapter, folder: &Path) {
    for (path, bytes) in &sample.files {
        assert_eq!(&fs::read(folder.join(path)).expect("reads"), bytes, "{path}");
    }
    assert_eq!(fs::read(folder.join("manifest.json")).expect("reads"), sample.manifest_bytes());
}

/// Pulls with an empty cache, and compares every byte.
async fn pull(home: &Home, sample: &SampleAdapter) -> Said {
    let said = home.hub(&["pull", "ada/sentiment", "--format", "json"]).await.expect_code(0);
    same_files(sample, Path::new(said.json()["folder"].as_str().expect("a path")));
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_of_another_registry_is_pulled_once_and_then_is_here() {
    let (_hub, _, sample, proxy) = upstream().await;
    let mirror = Mirror::of(proxy.url()).await;
    pull(&mirror.home().await, &sample).await;
    proxy.take_requests();
    // From now on anybody gets it, without a request upstream, by its name and by a word.
    pull(&Home::new(&mirror.server.url()), &sample).await;
    let home = Home::new(&mirror.server.url());
    let word = home.hub(&["pull", "sentiment", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(word["digest"], sample.digest().to_string());
    let info = mirror.anyone().get("adapters/ada/sentiment").await.json();
    assert_eq!(info["latest"]["name"], "ada/sentiment");
    assert_eq!(proxy.take_requests(), Vec::<String>::new());
    // Nor after a kill, nor after garbage was collected.
    let mirror = mirror.restart();
    mirror.admin(&["gc", "--older-than=0"]).expect_code(0);
    proxy.set(Fault::Refuse(503));
    pull(&Home::new(&mirror.server.url()), &sample).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_who_pull_at_once_are_one_transfer() {
    let (_hub, _, sample, proxy) = upstream().await;
    let mirror = Mirror::of(proxy.url()).await;
    let eve = mirror.eve();
    let all = (0..100).map(|_| async {
        let index = eve.get("index/ada/sentiment").await.json();
        assert_eq!(index["versions"][0]["digest"], sample.digest().to_string());
        let manifest = eve.get(&format!("manifests/{}", sample.digest())).await;
        assert_eq!(manifest.body, sample.manifest_bytes());
        for file in &sample.manifest.files {
            let blob = eve.get(&format!("adapters/ada/sentiment/blobs/{}", file.digest)).await;
            assert_eq!((blob.status.as_u16(), Digest::of(&blob.body)), (200, file.digest));
        }
    });
    join_all(all).await;
    let mut counts = BTreeMap::new();
    for request in proxy.take_requests() {
        *counts.entry(request).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 2 + sample.manifest.files.len(), "{counts:?}");
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_are_neither_stored_nor_served_and_cut_ones_are_continued() {
    let (_hub, _, sample, proxy) = upstream().await;
    let mirror = Mirror::of(proxy.url()).await;
    let eve = mirror.eve();
    eve.get("index/ada/sentiment").await;
    eve.get(&format!("manifests/{}", sample.digest())).await;
    let file = &sample.manifest.files[0];
    let path = format!("adapters/ada/sentiment/blobs/{}", file.digest);
    proxy.set(Fault::Corrupt);
    let refused = eve.get(&path).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, ProblemCode::Unavailable));
    let detail = refused.problem().detail;
    assert!(detail.contains(&format!("instead of {}", file.digest)), "{detail}");
    assert_eq!(blobs(mirror.data.path()), 0, "nothing was stored");
    proxy.set(Fault::Cut(10));
    proxy.take_requests();
    assert_eq!(Digest::of(&eve.get(&path).await.body), file.digest);
    let asked = proxy.take_requests();
    assert!(asked.len() == 2 && asked[1].ends_with("bytes=10-"), "{asked:?}");
    proxy.set(Fault::None);
    pull(&mirror.home().await, &sample).await;
}

/// Files below the folder of finished ones; none where they lie in a bucket.
pub(crate) fn blobs(data: &Path) -> usize {
    fn count(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
    }
    count(&data.join("files/blobs"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_is_served_with_its_age_while_the_other_registry_is_down() {
    let (mut hub, ada, sample, proxy) = upstream().await;
    let mirror = Mirror::with(proxy.url(), "fresh_seconds = 0").await;
    pull(&mirror.home().await, &sample).await;
    let next = SampleAdapter::lora("ada/sentiment", "1.1.0");
    ada.publish(&next).await;
    let listed = mirror.eve().get("index/ada/sentiment").await;
    assert_eq!(listed.json()["versions"].as_array().map(Vec::len), Some(2), "asked for again");
    assert_eq!(listed.header("hub-stale-seconds"), "");
    hub.stop().await;
    drop(hub);

    let stale = mirror.eve().get("index/ada/sentiment").await;
    assert!(stale.header("hub-stale-seconds").parse::<u64>().is_ok(), "{stale:?}");
    let home = mirror.home().await;
    let said = home.hub(&["pull", "ada/sentiment@1.0.0", "--format", "json"]).await.expect_code(0);
    same_files(&sample, Path::new(said.json()["folder"].as_str().expect("a path")));
    assert!(said.stderr.contains("where it comes from does not answer"), "{said}");
    // What was never fetched is not there, and that is what is said.
    let refused = mirror.eve().get(&format!("manifests/{}", next.digest())).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, ProblemCode::Unavailable));
    assert_eq!(mirror.eve().get("index/ada/unknown").await.status, 503);
    assert_eq!(mirror.anyone().get("/readyz").await.status, 200, "the mirror itself is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_named_namespaces_are_asked_for_and_only_for_who_is_signed_in() {
    let (hub, _, sample, proxy) = upstream().await;
    let grace = hub.user("grace").await;
    grace.publish(&SampleAdapter::lora("grace/other", "1.0.0")).await;
    let mirror = Mirror::of(proxy.url()).await;
    assert_eq!(mirror.anyone().get("index/ada/sentiment").await.status, 404);
    assert_eq!(mirror.eve().get("index/grace/other").await.status, 404);
    assert_eq!(mirror.eve().get(&format!("manifests/{}", sample.digest())).await.status, 404);
    assert_eq!(proxy.take_requests(), Vec::<String>::new());
    assert_eq!(mirror.eve().get("index/ada/sentiment").await.status, 200);
    assert_eq!(mirror.anyone().get("index/ada/sentiment").await.status, 200, "known by now");
    let manifest = mirror.anyone().get(&format!("manifests/{}", sample.digest())).await;
    assert_eq!((manifest.status.as_u16(), manifest.code()), (401, ProblemCode::Unauthorized));
    assert_eq!(proxy.take_requests(), ["GET /api/v1/index/ada/sentiment"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_namespace_comes_from_the_registry_that_it_is_named_for() {
    let (_hub, ada, sample, proxy) = upstream().await;
    let other = TestHub::start().await;
    let theirs = SampleAdapter::bottleneck("grace/topics", "1.0.0");
    other.user("grace").await.publish(&theirs).await;
    // A newer version of the same name, in a registry that is not asked for it.
    other.user("ada").await.publish(&SampleAdapter::lora("ada/sentiment", "9.0.0")).await;
    let second = Proxy::start(&other.url()).await;
    let mirror = Mirror::set_up(&format!(
        "url = \"{}\"\nnamespaces = [\"ada\"]\n\n[[mirrors]]\nurl = \"{}\"\nnamespaces = [\"grace\"]\n",
        proxy.url(),
        second.url()
    ))
    .await;
    let home = mirror.home().await;
    pull(&home, &sample).await;
    let said = home.hub(&["pull", "grace/topics", "--format", "json"]).await.expect_code(0);
    same_files(&theirs, Path::new(said.json()["folder"].as_str().expect("a path")));
    let (first, asked) = (proxy.take_requests().join("\n"), second.take_requests().join("\n"));
    assert!(first.contains("/ada/") && !first.contains("/grace/"), "{first}");
    assert!(asked.contains("/grace/") && !asked.contains("/ada/"), "{asked}");
    // One that is down is nothing to the other.
    second.set(Fault::Refuse(503));
    ada.publish(&SampleAdapter::lora("ada/new", "1.0.0")).await;
    home.hub(&["pull", "ada/new"]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrored_names_can_not_be_changed_here() {
    let (_hub, _, sample, proxy) = upstream().await;
    let mirror = Mirror::of(proxy.url()).await;
    let eve = mirror.eve();
    pull(&mirror.home().await, &sample).await;
    let version = "adapters/ada/sentiment/versions/1.0.0";
    for refused in [
        eve.put_manifest(&sample).await,
        eve.start_upload("ada/new", Digest::of(b""), 0).await,
        eve.patch(version, &json!({"yanked": true})).await,
        eve.patch("adapters/ada/sentiment", &json!({"visibility": "private"})).await,
        Answer::of(eve.request(Method::PUT, "adapters/%61da/new/versions/1.0.0").body("{}")).await,
    ] {
        assert_eq!((refused.status.as_u16(), refused.code()), (403, ProblemCode::ReadOnly));
        assert!(refused.problem().detail.contains(proxy.url()), "{refused:?}");
    }
    let own = SampleAdapter::lora("eve/mine", "1.0.0");
    assert!(eve.publish(&own).await.created, "other names are nobody else's");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_private_there_is_private_here() {
    let (_hub, ada, _, proxy) = upstream().await;
    let secret = SampleAdapter::lora("ada/secret", "1.0.0");
    ada.publish_private(&secret).await;
    let files = tempfile::tempdir().expect("a folder");
    let token = files.path().join("token");
    fs::write(&token, format!("{}\n", ada.token())).expect("writes");
    let mirror = Mirror::with(proxy.url(), &format!("token_file = \"{}\"", token.display())).await;
    let eve = mirror.eve();
    assert_eq!(eve.get("index/ada/secret").await.status, 404);
    mirror.admin(&["namespace", "member", "add", "ada", "eve"]).expect_code(0);
    assert_eq!(eve.get("index/ada/secret").await.status, 200);
    assert_eq!(eve.get(&format!("manifests/{}", secret.digest())).await.status, 200);
    assert_eq!(mirror.anyone().get("index/ada/secret").await.status, 404);
    assert_eq!(mirror.anyone().get(&format!("manifests/{}", secret.digest())).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn licences_that_are_not_allowed_are_not_taken() {
    let (_hub, _, sample, proxy) = upstream().await;
    let mirror = Mirror::with(proxy.url(), "allow_licenses = [\"Unlicense\"]").await;
    let home = mirror.home().await;
    let said = home.hub(&["pull", "ada/sentiment"]).await.expect_code(1);
    assert!(said.stderr.contains(sample.manifest.license.as_ref()), "{said}");
    assert_eq!(blobs(mirror.data.path()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_is_killed_in_a_transfer_begins_it_again() {
    let (_hub, _, sample, proxy) = upstream().await;
    let mut mirror = Mirror::of(proxy.url()).await;
    for number in 0..3 {
        proxy.set(Fault::Hang(10 * number));
        let home = mirror.home().await;
        let mut pulling = home.start(&["pull", "ada/sentiment"]);
        proxy.wait_for("/blobs/").await;
        mirror = mirror.restart();
        drop((pulling.kill(), pulling.wait()));
        proxy.set(Fault::None);
        proxy.take_requests();
    }
    mirror.admin(&["gc", "--older-than=0"]).expect_code(0);
    pull(&mirror.home().await, &sample).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_somebody_here_owns_is_not_mirrored() {
    let (_hub, _, _, proxy) = upstream().await;
    let mirror = Mirror::of(proxy.url()).await;
    let Mirror { data, place, server, .. } = mirror;
    drop(server);
    let without = place.iter().filter(|flag| !flag.starts_with("--config")).cloned().collect::<Vec<_>>();
    HubProcess::token_with(data.path(), &strs(&without), "ada");
    let said = Said::new(&HubProcess::admin(data.path(), &[&["serve"], &strs(&place)[..]].concat()));
    assert!(said.expect_code(1).stderr.contains("`ada` belongs to somebody here"));
}

#[tokio::test]
async fn a_mirror_that_is_set_up_wrongly_is_refused_and_a_silent_one_is_found_by_the_doctor() {
    let data = tempfile::tempdir().expect("a folder");
    let file = data.path().join("hub.toml");
    let said = |text: &str, verb: &str| {
        fs::write(&file, text).expect("writes");
        let arguments = [verb, "--listen=127.0.0.1:0", "--config", file.to_str().expect("text")];
        Said::new(&HubProcess::admin(data.path(), &arguments))
    };
    let silent = "[[mirrors]]\nurl = \"http://127.0.0.1:9\"\nnamespaces = [\"ada\"]\n";
    for (text, part) in [
        ("[[mirrors]]\nnamespaces = [\"ada\"]\n".to_owned(), "is not the address of a registry"),
        ("[[mirrors]]\nurl = \"https://hub\"\n".to_owned(), "names no `namespaces`"),
        (silent.repeat(2), "the namespace `ada` is mirrored twice"),
        (format!("{silent}allow_license = []\n"), "did you mean `mirrors.allow_licenses`?"),
    ] {
        let refused = said(&text, "config").expect_code(1);
        assert!(refused.stderr.contains(part), "{refused}");
    }
    let found = said(silent, "doctor").expect_code(0);
    assert!(found.stdout.contains("`http://127.0.0.1:9` does not answer"), "{found}");
    assert!(found.stderr.contains("hint: mirror:"), "{found}");
}
