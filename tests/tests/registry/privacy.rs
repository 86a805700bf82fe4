//! Private adapters: to everybody but members they do not exist, on any route.

use std::{path::Path, time::Duration};

use hub_schemas::{
    api::{Role, SearchPage},
    digest::Digest,
    problem::ProblemCode,
};
use hub_tests::hub::{Answer, HubProcess, SampleAdapter, TestHub, Visitor};
use reqwest::Method;
use serde_json::{Value, json};

/// Longer than a line takes to the log.
const QUIET: Duration = Duration::from_millis(200);

/// What a stranger can compare: status, headers and body, with names and ids made equal.
fn visible(answer: &Answer, name: &str) -> String {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-request-id", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    let body = String::from_utf8_lossy(&answer.body)
        .replace(answer.header("x-request-id"), "[id]")
        .replace(name, "[name]");
    format!("{} {headers:?} {body}", answer.status)
}

/// Every route that could tell, asked about `name` (equally long names, so that lengths compare too).
async fn everything(visitor: &Visitor, name: &str, blob: Digest, manifest: Digest) -> Vec<String> {
    let gets = [
        format!("adapters/eve/{name}"),
        format!("index/eve/{name}"),
        format!("adapters/eve/{name}/blobs/{blob}"),
        format!("search?q={name}"),
        format!("resolve?word={name}"),
    ];
    let mut seen = Vec::new();
    for path in gets {
        let answer = visitor.get(&path).await;
        seen.push(format!("{} {}", visible(&answer, name), answer.header("content-length")));
    }
    let head = visitor.request(Method::HEAD, &format!("adapters/eve/{name}/blobs/{blob}"));
    seen.push(visible(&Answer::of(head).await, name));
    let ranged = visitor.get_with(&format!("adapters/eve/{name}/blobs/{blob}"), "range", "bytes=0-0").await;
    seen.push(visible(&ranged, name));
    let manifest = visitor.get(&format!("manifests/{manifest}")).await;
    seen.push(visible(&manifest, name).replace(|c: char| c.is_ascii_hexdigit(), "x"));
    // Writing does not tell either.
    let version = format!("adapters/eve/{name}/versions/1.0.0");
    seen.push(visible(&visitor.patch(&version, &json!({"yanked": true})).await, name));
    seen.push(visible(&visitor.put(&version, b"{}".to_vec()).await, name));
    let visibility = json!({"visibility": "public"});
    seen.push(visible(&visitor.patch(&format!("adapters/eve/{name}"), &visibility).await, name));
    seen.push(visible(&visitor.start_upload(&format!("eve/{name}"), blob, 5).await, name));
    seen
}

#[tokio::test]
async fn a_private_adapter_and_one_that_does_not_exist_answer_alike_on_every_route() {
    let hub = TestHub::start().await;
    let (eve, mallory) = (hub.user("eve").await, hub.user("mallory").await);
    let secret = SampleAdapter::lora("eve/hidden", "1.0.0");
    eve.publish_private(&secret).await;
    let blob = Digest::of(secret.file("adapter_model.safetensors"));
    let nothing = Digest::of(b"nothing");
    let blind = hub.visitor(&hub.token("eve", &[hub_schemas::token::Scope::Yank], None).await);
    for stranger in [&hub.anonymous(), &mallory] {
        let hidden = everything(stranger, "hidden", blob, secret.digest()).await;
        let absent = everything(stranger, "absent", blob, nothing).await;
        assert_eq!(hidden, absent);
    }
    assert_eq!(blind.get("adapters/eve/hidden").await.code(), ProblemCode::NotFound, "no scope `read`");
}

/// The statements that the database was asked so far.
fn statements(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).expect("reads");
    // The last line may be half there.
    let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // A long one is said twice, shortened and whole.
    let statement = |entry: Value| {
        let texts =
            [&entry["db.statement"], &entry["summary"]].map(|text| text.as_str().unwrap_or_default().trim());
        texts.into_iter().find(|text| !text.is_empty()).map(ToOwned::to_owned)
    };
    // A connection that is opened meanwhile is set up with these.
    entries.filter_map(statement).filter(|text| !text.starts_with("PRAGMA")).collect()
}

/// The same when none follows: an answer does not wait for the log.
async fn settled(log: &Path) -> Vec<String> {
    let mut seen = statements(log);
    loop {
        tokio::time::sleep(QUIET).await;
        let now = statements(log);
        if now.len() == seen.len() {
            return now;
        }
        seen = now;
    }
}

/// A clock would tell of a private adapter if it were more work than one that does not exist.
#[tokio::test]
async fn a_private_adapter_is_as_much_work_for_the_database_as_one_that_does_not_exist() {
    let data = tempfile::tempdir().expect("a folder");
    let log = data.path().join("statements");
    let tokens = ["eve", "mallory"].map(|user| HubProcess::token(data.path(), user));
    let server = HubProcess::start_telling_statements(data.path(), &log);
    let [eve, mallory] = tokens.map(|token| server.visitor(&token));
    let secret = SampleAdapter::lora("eve/hidden", "1.0.0");
    eve.publish_private(&secret).await;
    let blob = Digest::of(secret.file("adapter_model.safetensors"));
    for stranger in [&Visitor::new(server.url(), None), &mallory] {
        let mut asked = Vec::new();
        for (name, manifest) in [("hidden", secret.digest()), ("absent", Digest::of(b"nothing"))] {
            let before = settled(&log).await.len();
            everything(stranger, name, blob, manifest).await;
            let mut statements = settled(&log).await.split_off(before);
            // Connections have threads of their own, which write the log in no order.
            statements.sort();
            asked.push(statements);
        }
        let [hidden, absent] = &asked[..] else { panic!("two names") };
        assert!(hidden.len() > 10, "{hidden:?}");
        let first_other = hidden.iter().zip(absent).find(|(hidden, absent)| hidden != absent);
        assert_eq!((first_other, hidden.len()), (None, absent.len()));
    }
}

#[tokio::test]
async fn members_see_a_private_adapter_everywhere() {
    let hub = TestHub::start().await;
    let (ada, grace) = (hub.user("ada").await, hub.user("grace").await);
    hub.add_namespace("lab", "ada").await;
    hub.add_member("lab", "grace", Role::Writer).await;
    let sample = SampleAdapter::lora("lab/sentiment", "1.0.0");
    ada.publish_private(&sample).await;
    let blob = Digest::of(sample.file("README.md"));
    let info = grace.get("adapters/lab/sentiment").await;
    assert_eq!(info.json()["visibility"], "private");
    let index = grace.get("index/lab/sentiment").await;
    assert_eq!(index.header("cache-control"), "private, no-cache");
    let file = grace.get(&format!("adapters/lab/sentiment/blobs/{blob}")).await;
    assert_eq!(file.header("cache-control"), "private, max-age=31536000, immutable");
    assert_eq!(grace.get(&format!("manifests/{}", sample.digest())).await.status, 200);
    let found: SearchPage = grace.get("search?q=sentiment").await.expect_ok();
    assert_eq!(found.total, 1);
    assert!(grace.publish(&SampleAdapter::lora("lab/sentiment", "1.1.0")).await.created);
    let stays = grace.get("adapters/lab/sentiment").await;
    assert_eq!(stays.json()["visibility"], "private", "a new version does not publish an adapter");
}

#[tokio::test]
async fn an_adapter_can_be_shown_and_hidden_again() {
    let hub = TestHub::start().await;
    let (ada, eve) = (hub.user("ada").await, hub.user("eve").await);
    ada.publish_private(&SampleAdapter::lora("ada/sentiment", "1.0.0")).await;
    let change = |who: &Visitor, to: &str| {
        let (who, body) = (who.clone(), json!({"visibility": to}));
        async move { who.patch("adapters/ada/sentiment", &body).await }
    };
    assert_eq!(change(&ada, "public").await.json()["visibility"], "public");
    assert_eq!(eve.get("adapters/ada/sentiment").await.status, 200);
    assert_eq!(change(&eve, "private").await.code(), ProblemCode::Forbidden);
    assert_eq!(change(&ada, "private").await.json()["visibility"], "private");
    assert_eq!(eve.get("adapters/ada/sentiment").await.status, 404);
    let found: SearchPage = eve.get("search?q=sentiment").await.expect_ok();
    assert_eq!(found.total, 0);
}

#[tokio::test]
async fn a_dependency_on_a_private_adapter_of_others_is_no_oracle() {
    let hub = TestHub::start().await;
    let (ada, eve) = (hub.user("ada").await, hub.user("eve").await);
    ada.publish_private(&SampleAdapter::lora("ada/hidden", "1.0.0")).await;
    let mut details = Vec::new();
    for name in ["ada/hidden", "ada/absent"] {
        let dependency = hub_schemas::manifest::Dependency {
            name: name.parse().expect("a name"),
            version: "*".parse().expect("a requirement"),
            extra: serde_json::Map::new(),
        };
        let sample = SampleAdapter::lora("eve/x", "1.0.0").with(|m| m.dependencies = vec![dependency]);
        details.push(eve.try_publish(&sample).await.problem().detail.replace(name, "[name]"));
    }
    assert_eq!(details[0], details[1]);
}

#[tokio::test]
async fn what_is_meant_to_be_private_is_never_published_into_a_public_adapter() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/sentiment", "1.0.0")).await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.1.0");
    ada.upload_files(&sample).await;
    let path = "adapters/ada/sentiment/versions/1.1.0?visibility=private";
    let answer = ada.put(path, sample.manifest_bytes()).await;
    assert_eq!(answer.problem().code, ProblemCode::InvalidValue);
    assert_eq!(
        answer.problem().detail,
        "`ada/sentiment` is public; a private version of it can't be published"
    );
    assert!(ada.try_publish(&sample).await.status.is_success());
}
