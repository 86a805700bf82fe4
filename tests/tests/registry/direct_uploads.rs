//! Files that go from the client to the registry's store itself, a real SeaweedFS.

use hub_schemas::{
    api::{PartAddress, UploadStatus},
    digest::Digest,
    problem::ProblemCode,
};
use hub_server::{Location, config::Config};
use hub_tests::{
    cli::Home,
    hub::{Answer, HubProcess, SampleAdapter, TestHub, Visitor, bucket, flags_of},
    services::seaweedfs::{KEYS, SeaweedFs},
    tap::Tap,
};
use serde_json::json;

const MIB: usize = 1 << 20;

/// A registry that lets clients reach its store, over a wire.
async fn on_s3() -> (TestHub, Tap) {
    let tap = Tap::start(&SeaweedFs::shared().endpoint()).await;
    let mut location = bucket(SeaweedFs::shared());
    if let Location::S3(settings) = &mut location {
        settings.endpoint = Some(tap.url());
    }
    let hub = TestHub::start_with(|config| {
        config.storage = location;
        config.redirect_from = Some(1 << 20);
    });
    (hub.await, tap)
}

fn large(seed: u8, mib: usize) -> Vec<u8> {
    format!("# Large {seed}\n").into_bytes().into_iter().cycle().take(mib * MIB).collect()
}

/// Requests to the store that come from a client: whoever has an address signs nothing.
fn by_address(sent: &str) -> usize {
    sent.matches("X-Amz-Signature=").count()
}

async fn start(ada: &Visitor, bytes: &[u8]) -> UploadStatus {
    ada.start_upload("ada/x", Digest::of(bytes), bytes.len() as u64).await.expect_ok()
}

async fn address(ada: &Visitor, upload: &str, start: usize, size: usize) -> PartAddress {
    ada.post(&format!("uploads/{upload}/parts"), &json!({"start": start, "size": size})).await.expect_ok()
}

async fn send(url: &str, bytes: &[u8]) -> Answer {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    Answer::of(client.put(url).body(bytes.to_vec())).await
}

/// Sends a part as `hub` does.
async fn part(ada: &Visitor, upload: &str, at: usize, bytes: &[u8]) -> Answer {
    let sent = send(&address(ada, upload, at, bytes.len()).await.url, bytes).await;
    assert!(sent.status.is_success(), "{sent:?}");
    let noted = json!({"start": at, "size": bytes.len(), "etag": sent.header("etag")});
    ada.put_json(&format!("uploads/{upload}/parts"), &noted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn hub_sends_large_files_to_the_store_itself_and_never_shows_it_the_token() {
    let (hub, tap) = on_s3().await;
    let ada = hub.user("ada").await;
    let bytes = large(1, 40);
    let sample = SampleAdapter::lora("ada/x", "1.0.0").with_file("notes.txt", &bytes);
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    let folder = home.write("x", &sample);
    tap.take();
    home.hub(&["push", folder.to_str().expect("text")]).await.expect_code(0);
    let sent = tap.take();
    assert_eq!(by_address(&sent), 3, "three parts of the large file, and no small file");
    assert!(!sent.contains(ada.token()) && !sent.to_lowercase().contains("bearer"), "the token stays here");
    assert!(!sent.contains(KEYS.1), "and so does the key's secret");
    let read = ada.get(&format!("adapters/ada/x/blobs/{}", Digest::of(&bytes))).await;
    assert!(read.body == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_store_is_not_reached_the_registry_takes_the_bytes() {
    let (hub, tap) = on_s3().await;
    let ada = hub.user("ada").await;
    let bytes = large(2, 24);
    let sample = SampleAdapter::lora("ada/x", "1.0.0").with_file("notes.txt", &bytes);
    let home = Home::logged_in(&hub.url(), ada.token()).await;
    let folder = home.write("x", &sample);
    tap.refuse_addresses(true);
    home.hub(&["push", folder.to_str().expect("text")]).await.expect_code(0);
    tap.refuse_addresses(false);
    let read = ada.get(&format!("adapters/ada/x/blobs/{}", Digest::of(&bytes))).await;
    assert!(read.body == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_never_count_and_the_upload_is_forgotten() {
    let (hub, _tap) = on_s3().await;
    let ada = hub.user("ada").await;
    let (bytes, other) = (large(3, 6), large(4, 6));
    let status = start(&ada, &bytes).await;
    assert!(status.direct);
    let refused = part(&ada, &status.id, 0, &other).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, ProblemCode::DigestMismatch));
    assert_eq!(ada.get(&format!("uploads/{}", status.id)).await.status, 404);
    let sample = SampleAdapter::lora("ada/x", "1.0.0").with_file("notes.txt", &bytes);
    for (path, small) in sample.files.iter().filter(|(path, _)| path != "notes.txt") {
        assert!(!path.is_empty() && ada.upload("ada/x", small).await.complete);
    }
    assert_eq!(ada.put_manifest(&sample).await.code(), ProblemCode::BlobMissing);
    let again = start(&ada, &bytes).await;
    assert_ne!(again.id, status.id, "what the store has of the first one is never looked at again");
    let done: UploadStatus = part(&ada, &again.id, 0, &bytes).await.expect_ok();
    assert!(done.complete);
    assert!(ada.put_manifest(&sample).await.status.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_sent_here_and_there_make_one_file() {
    let (hub, _tap) = on_s3().await;
    let ada = hub.user("ada").await;
    let bytes = large(5, 18);
    let total = bytes.len() as u64;
    let status = start(&ada, &bytes).await;
    let here = ada.append(&status.id, 0, &bytes[..6 * MIB], total).await;
    assert_eq!(here.status, 202);
    let there: UploadStatus = part(&ada, &status.id, 6 * MIB, &bytes[6 * MIB..12 * MIB]).await.expect_ok();
    assert_eq!((there.received, there.complete), (12 << 20, false));
    // Whoever lost the answer asks, and goes on from there.
    assert_eq!(start(&ada, &bytes).await.received, 12 << 20);
    let last: UploadStatus = ada.append(&status.id, 12 << 20, &bytes[12 * MIB..], total).await.expect_ok();
    assert!(last.complete);
    let sample = SampleAdapter::lora("ada/x", "1.0.0").with_file("notes.txt", &bytes);
    assert!(ada.publish(&sample).await.created);
    let read = ada.get(&format!("adapters/ada/x/blobs/{}", Digest::of(&bytes))).await;
    assert!(read.body == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_about_what_was_sent_are_found_out() {
    let (hub, _tap) = on_s3().await;
    let ada = hub.user("ada").await;
    let bytes = large(6, 12);
    let status = start(&ada, &bytes).await;
    let parts = format!("uploads/{}/parts", status.id);
    for (body, code) in [
        (json!({"start": 1, "size": 6 * MIB}), ProblemCode::OffsetMismatch),
        (json!({"start": 0, "size": 0}), ProblemCode::InvalidValue),
        (json!({"start": 0, "size": 13 * MIB}), ProblemCode::InvalidValue),
        (json!({"start": 0, "size": MIB}), ProblemCode::InvalidValue),
        (json!({"start": 0, "size": u64::MAX}), ProblemCode::InvalidValue),
    ] {
        assert_eq!(ada.post(&parts, &body).await.code(), code, "{body}");
    }
    // Names that no store gave are found out when the parts are put together.
    for at in [0, 6 * MIB] {
        let lie = json!({"start": at, "size": 6 * MIB, "etag": "\"00000000000000000000000000000000\""});
        let answer = ada.put_json(&parts, &lie).await;
        if at > 0 {
            assert!(answer.status.is_client_error(), "{answer:?}");
        }
    }
    let now = start(&ada, &bytes).await;
    assert_eq!((now.received, now.complete), (0, false));
    // More bytes than were announced.
    let found = address(&ada, &now.id, 0, 12 * MIB).await;
    let sent = send(&found.url, &[bytes.clone(), bytes.clone()].concat()).await;
    let noted = json!({"start": 0, "size": 12 * MIB, "etag": sent.header("etag")});
    let refused = ada.put_json(&format!("uploads/{}/parts", now.id), &noted).await;
    assert_eq!(refused.code(), ProblemCode::DigestMismatch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_killed_goes_on_behind_the_parts_that_the_store_has() {
    let data = tempfile::tempdir().expect("a folder");
    let mut config = Config::embedded(data.path());
    config.storage = bucket(SeaweedFs::shared());
    let flags = flags_of(config);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let token = HubProcess::token_with(data.path(), &flags, "ada");
    let server = HubProcess::start_with(data.path(), &flags);
    let ada = server.visitor(&token);
    let bytes = large(7, 24);
    let status = start(&ada, &bytes).await;
    // The first part is acknowledged; the second one is in the store and nobody said so.
    assert_eq!(part(&ada, &status.id, 0, &bytes[..8 * MIB]).await.status, 202);
    let second = address(&ada, &status.id, 8 * MIB, 8 * MIB).await;
    assert!(send(&second.url, &bytes[8 * MIB..16 * MIB]).await.status.is_success());
    server.kill();
    let server = HubProcess::start_with(data.path(), &flags);
    let sample = SampleAdapter::lora("ada/x", "1.0.0").with_file("notes.txt", &bytes);
    let home = Home::logged_in(&server.url(), &token).await;
    let folder = home.write("x", &sample);
    home.hub(&["push", folder.to_str().expect("text")]).await.expect_code(0);
    let ada = ada.at(server.url());
    let read = ada.get(&format!("adapters/ada/x/blobs/{}", Digest::of(&bytes))).await;
    assert!(read.body == bytes);
}
