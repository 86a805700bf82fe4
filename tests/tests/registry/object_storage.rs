//! Files in a store that speaks S3, a real SeaweedFS.

use hub_schemas::{api::UploadStatus, digest::Digest, problem::ProblemCode};
use hub_server::{Location, Server, config::Config};
use hub_tests::{
    cli::Home,
    hub::{Answer, SampleAdapter, TestHub, Visitor, bucket},
    services::seaweedfs::{KEYS, SeaweedFs},
    tap::Tap,
};
use reqwest::Method;

const MIB: usize = 1 << 20;

/// A registry whose files lie in a bucket, reached over a wire.
pub(crate) async fn on_s3(redirect_from: Option<u64>) -> (TestHub, Tap) {
    let tap = Tap::start(&SeaweedFs::shared().endpoint()).await;
    let mut location = bucket(SeaweedFs::shared());
    if let Location::S3(settings) = &mut location {
        settings.endpoint = Some(tap.url());
    }
    let hub = TestHub::start_with(|config| {
        config.storage = location;
        config.redirect_from = redirect_from;
    });
    (hub.await, tap)
}

fn large(seed: u8) -> Vec<u8> {
    let line = format!("# Large {seed}\n");
    line.into_bytes().into_iter().cycle().take(14 * MIB).collect()
}

async fn start(ada: &Visitor, bytes: &[u8]) -> UploadStatus {
    ada.start_upload("ada/x", Digest::of(bytes), bytes.len() as u64).await.expect_ok()
}

#[tokio::test]
async fn a_file_in_chunks_is_put_together_by_the_store() {
    let (hub, tap) = on_s3(None).await;
    let ada = hub.user("ada").await;
    let bytes = large(1);
    let total = bytes.len() as u64;
    tap.take();
    let status = start(&ada, &bytes).await;
    let first = ada.append(&status.id, 0, &bytes[..6 * MIB], total).await;
    assert_eq!((first.status.as_u16(), first.json()["received"].as_u64()), (202, Some(6 << 20)));
    let small = ada.append(&status.id, 6 << 20, &bytes[6 * MIB..7 * MIB], total).await;
    assert_eq!(small.code(), ProblemCode::InvalidValue);
    let last: UploadStatus = ada.append(&status.id, 6 << 20, &bytes[6 * MIB..], total).await.expect_ok();
    assert!(last.complete);
    let sent = tap.take();
    assert_eq!(sent.matches("PUT /hub-tests/").count(), 2, "two parts, and nothing twice");
    assert!(!sent.contains("GET /hub-tests/"), "nothing is read back");

    let sample = SampleAdapter::lora("ada/x", "1.0.0").with_file("README.md", &bytes);
    assert!(ada.publish(&sample).await.created);
    let read = ada.get(&format!("adapters/ada/x/blobs/{}", Digest::of(&bytes))).await;
    assert!(read.body == bytes);
}

#[tokio::test]
async fn chunks_with_another_digest_begin_again_and_leave_nothing() {
    let (hub, tap) = on_s3(None).await;
    let ada = hub.user("ada").await;
    let (bytes, other) = (large(2), large(3));
    let total = bytes.len() as u64;
    let status = start(&ada, &bytes).await;
    ada.append(&status.id, 0, &bytes[..6 * MIB], total).await;
    tap.take();
    let refused = ada.append(&status.id, 6 << 20, &other[6 * MIB..], total).await;
    assert_eq!(refused.code(), ProblemCode::DigestMismatch);
    assert!(tap.take().contains("DELETE /hub-tests/"), "the parts are thrown away");
    let again = start(&ada, &bytes).await;
    assert_eq!((again.id.as_str(), again.received), (status.id.as_str(), 0));
    ada.append(&status.id, 0, &bytes[..6 * MIB], total).await;
    let last: UploadStatus = ada.append(&status.id, 6 << 20, &bytes[6 * MIB..], total).await.expect_ok();
    assert!(last.complete);
    let cancelled = start(&ada, &other).await;
    ada.append(&cancelled.id, 0, &other[..6 * MIB], total).await;
    tap.take();
    assert_eq!(ada.delete(&format!("uploads/{}", cancelled.id)).await.status, 204);
    assert!(tap.take().contains("DELETE /hub-tests/"));
}

#[tokio::test]
async fn a_store_that_is_away_is_a_503_that_loses_nothing() {
    let (hub, tap) = on_s3(None).await;
    let ada = hub.user("ada").await;
    let bytes = large(4);
    let total = bytes.len() as u64;
    let status = start(&ada, &bytes).await;
    ada.append(&status.id, 0, &bytes[..6 * MIB], total).await;
    tap.cut(true);
    let away = ada.append(&status.id, 6 << 20, &bytes[6 * MIB..], total).await;
    assert_eq!((away.status.as_u16(), away.code()), (503, ProblemCode::Unavailable));
    tap.cut(false);
    assert_eq!(start(&ada, &bytes).await.received, 6 << 20);
    let last: UploadStatus = ada.append(&status.id, 6 << 20, &bytes[6 * MIB..], total).await.expect_ok();
    assert!(last.complete);
}

#[tokio::test]
async fn a_client_fetches_from_the_store_itself_and_never_shows_it_the_token() {
    let (hub, tap) = on_s3(Some(0)).await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/hidden", "1.0.0");
    ada.publish_private(&sample).await;
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    tap.take();
    home.hub(&["pull", "ada/hidden@1.0.0"]).await.expect_code(0);
    let sent = tap.take();
    let fetches = sent.lines().filter(|line| line.starts_with("GET /hub-tests/")).collect::<Vec<_>>();
    let files: std::collections::BTreeSet<_> =
        sample.files.iter().map(|(_, bytes)| Digest::of(bytes)).collect();
    assert_eq!(fetches.len(), files.len(), "{sent}");
    assert!(fetches.iter().all(|line| line.contains("X-Amz-Signature=")), "{sent}");
    assert!(!sent.contains(ada.token()) && !sent.to_lowercase().contains("bearer"), "{sent}");
    assert!(!sent.contains(KEYS.1), "the key's secret is not sent either");
}

#[tokio::test]
async fn an_address_in_the_store_is_given_to_those_who_may_read_and_is_not_kept() {
    let (hub, _tap) = on_s3(Some(0)).await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/hidden", "1.0.0");
    ada.publish_private(&sample).await;
    let path = format!("adapters/ada/hidden/blobs/{}", sample.manifest.files[0].digest);
    assert_eq!(hub.anonymous().get(&path).await.code(), ProblemCode::NotFound);
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let request = client.build().expect("a client").get(format!("{}/api/v1/{path}", hub.url()));
    let answer = Answer::of(request.bearer_auth(ada.token())).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (307, "no-store"));
    assert!(answer.header("location").contains("X-Amz-Expires=600"));
    // What follows redirects gets the same bytes and ranges as from the registry itself.
    let part = ada.get_with(&path, "range", "bytes=1-4").await;
    assert_eq!((part.status.as_u16(), part.body.len()), (206, 4));
    let head = Answer::of(ada.request(Method::HEAD, &path)).await;
    assert_eq!(head.header("content-length"), sample.manifest.files[0].size.to_string());
}

#[tokio::test]
async fn a_bucket_of_another_registry_is_refused() {
    let location = bucket(SeaweedFs::shared());
    let first = TestHub::start_with(|config| config.storage = location.clone()).await;
    drop(first.restart().await);
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::embedded(folder.path());
    config.listen = ([127, 0, 0, 1], 0).into();
    config.storage = location;
    let refused = Server::bind(&config).await.expect_err("another registry's").to_string();
    assert!(refused.contains("the storage belongs to the registry"), "{refused}");
}
