//! Private adapters: to everybody but members they do not exist, on any route.

use hub_schemas::{
    api::{Role, SearchPage},
    digest::Digest,
    problem::ProblemCode,
};
use hub_tests::hub::{Answer, SampleAdapter, TestHub, Visitor};
use reqwest::Method;
use serde_json::json;

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
