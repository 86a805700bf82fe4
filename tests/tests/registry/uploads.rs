//! Uploading: resumable, verified, and never corrupted by two at once.

use hub_schemas::{api::UploadStatus, digest::Digest, problem::ProblemCode};
use hub_tests::hub::{Answer, SampleAdapter, TestHub};
use insta::assert_json_snapshot;
use reqwest::Method;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[tokio::test]
async fn an_upload_is_announced_sent_in_parts_and_complete() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let data = bytes(10);
    let digest = Digest::of(&data);
    let started = ada.start_upload("ada/x", digest, 10).await;
    assert_eq!(started.status, 201);
    let status: UploadStatus = started.expect_ok();
    assert_eq!(started.header("location"), format!("/api/v1/uploads/{}", status.id));
    let half = ada.append(&status.id, 0, &data[..6], 10).await;
    assert_eq!(half.status, 202);
    assert_json_snapshot!(half.json(), {".id" => "[id]"}, @r#"
    {
      "complete": false,
      "digest": "sha256:1f825aa2f0020ef7cf91dfa30da4668d791c5d4824fc8e41354b89ec05795ab3",
      "id": "[id]",
      "received": 6,
      "size": 10
    }
    "#);
    let asked: UploadStatus = ada.get(&format!("uploads/{}", status.id)).await.expect_ok();
    assert_eq!((asked.received, asked.complete), (6, false));
    let done: UploadStatus = ada.append(&status.id, 6, &data[6..], 10).await.expect_ok();
    assert_eq!((done.received, done.complete), (10, true));
    let known = ada.start_upload("ada/x", digest, 10).await;
    assert_eq!((known.status.as_u16(), known.json()["complete"].as_bool()), (200, Some(true)));
}

#[tokio::test]
async fn announcing_again_continues_where_it_stopped() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let data = bytes(100);
    let first: UploadStatus = ada.start_upload("ada/x", Digest::of(&data), 100).await.expect_ok();
    ada.append(&first.id, 0, &data[..40], 100).await;
    let hub = hub.restart().await;
    let ada = ada.at(hub.url());
    let second: UploadStatus = ada.start_upload("ada/x", Digest::of(&data), 100).await.expect_ok();
    assert_eq!((second.id, second.received), (first.id, 40));
    assert!(ada.upload("ada/x", &data).await.complete);
}

#[tokio::test]
async fn a_part_out_of_order_is_416_and_says_the_next_byte() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let data = bytes(100);
    let status: UploadStatus = ada.start_upload("ada/x", Digest::of(&data), 100).await.expect_ok();
    ada.append(&status.id, 0, &data[..40], 100).await;
    for start in [0_usize, 39, 41] {
        let refused = ada.append(&status.id, start as u64, &data[start..start + 20], 100).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (416, ProblemCode::OffsetMismatch));
        assert_eq!(refused.problem().detail, "the next byte of this upload is 40 of 100");
    }
    assert!(ada.upload("ada/x", &data).await.complete, "nothing was lost");
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_the_upload_starts_again() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let data = bytes(100);
    let status: UploadStatus = ada.start_upload("ada/x", Digest::of(&data), 100).await.expect_ok();
    let refused = ada.append(&status.id, 0, &[7; 100], 100).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, ProblemCode::DigestMismatch));
    let again: UploadStatus = ada.get(&format!("uploads/{}", status.id)).await.expect_ok();
    assert_eq!((again.received, again.complete), (0, false));
    assert!(ada.upload("ada/x", &data).await.complete);
}

/// The files that a registry on local files holds, uploads on their way included.
fn stored(hub: &TestHub) -> Vec<std::path::PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![hub.data().join("files")]);
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = item.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

#[tokio::test]
async fn of_a_large_file_with_another_digest_nothing_is_left_and_nothing_can_be_published() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    // Some of it is flushed while the rest comes.
    let data: Vec<u8> = (0..9_u32 << 20).map(|i| b'a' + (i % 23) as u8).collect();
    let before = stored(&hub);
    let mut other = data.clone();
    *other.last_mut().expect("has bytes") ^= 1;
    let size = data.len() as u64;
    let status: UploadStatus = ada.start_upload("ada/x", Digest::of(&data), size).await.expect_ok();
    let refused = ada.append(&status.id, 0, &other, size).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, ProblemCode::DigestMismatch));
    assert_eq!(stored(&hub), before);
    let sample = SampleAdapter::lora("ada/x", "1.0.0").with_file("data.csv", &data);
    for (path, content) in &sample.files {
        if path != "data.csv" {
            ada.upload("ada/x", content).await;
        }
    }
    let refused = ada.put_manifest(&sample).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, ProblemCode::BlobMissing));
    assert!(ada.upload("ada/x", &data).await.complete);
    assert_eq!(ada.put_manifest(&sample).await.status, 201);
}

#[tokio::test]
async fn a_body_of_another_length_than_stated_leaves_nothing() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let data = bytes(100);
    let status: UploadStatus = ada.start_upload("ada/x", Digest::of(&data), 100).await.expect_ok();
    let send = |range: &str, body: Vec<u8>| {
        let request = ada.request(Method::PATCH, &format!("uploads/{}", status.id));
        Answer::of(request.header("content-range", range.to_owned()).body(body))
    };
    for (range, len) in [
        ("bytes 0-49/100", 49),
        ("bytes 0-49/100", 51),
        ("bytes 0-49/99", 50),
        ("bytes 0-100/100", 101),
        ("bytes */100", 10),
        ("nonsense", 10),
    ] {
        assert_eq!(send(range, bytes(len)).await.code(), ProblemCode::InvalidValue, "{range} with {len}");
    }
    let now: UploadStatus = ada.get(&format!("uploads/{}", status.id)).await.expect_ok();
    assert_eq!(now.received, 0);
    assert!(ada.upload("ada/x", &data).await.complete);
}

#[tokio::test]
async fn of_two_that_send_the_same_part_at_once_one_counts_and_nothing_is_corrupted() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let data = bytes(200_000);
    let total = data.len() as u64;
    let status: UploadStatus = ada.start_upload("ada/x", Digest::of(&data), total).await.expect_ok();
    let (half, rest) = data.split_at(100_000);
    for (start, part) in [(0, half), (100_000, rest)] {
        let racing: Vec<_> = (0..8)
            .map(|_| {
                let (ada, id, part) = (ada.clone(), status.id.clone(), part.to_vec());
                tokio::spawn(async move { ada.append(&id, start, &part, total).await.status.as_u16() })
            })
            .collect();
        let mut statuses = Vec::new();
        for racer in racing {
            statuses.push(racer.await.expect("no panic"));
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![202], vec![416; 7]].concat());
    }
    assert!(ada.upload("ada/x", &data).await.complete);
    let leftovers = hub.data().join("files/uploads").join(&status.id);
    assert!(!leftovers.exists(), "the parts were removed");
}

#[tokio::test]
async fn an_empty_file_needs_no_bytes() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/x", "1.0.0").with_file("notes.txt", b"");
    assert!(ada.publish(&sample).await.created);
    let blob = ada.get(&format!("adapters/ada/x/blobs/{}", Digest::of(b""))).await;
    assert_eq!((blob.status.as_u16(), blob.body.len()), (200, 0));
}

#[tokio::test]
async fn an_upload_is_nobody_elses_business() {
    let hub = TestHub::start().await;
    let (ada, eve) = (hub.user("ada").await, hub.user("eve").await);
    let data = bytes(10);
    let status: UploadStatus = ada.start_upload("ada/x", Digest::of(&data), 10).await.expect_ok();
    let path = format!("uploads/{}", status.id);
    assert_eq!(eve.get(&path).await.code(), ProblemCode::NotFound);
    assert_eq!(eve.append(&status.id, 0, &data, 10).await.code(), ProblemCode::NotFound);
    assert_eq!(eve.delete(&path).await.code(), ProblemCode::NotFound);
    assert_eq!(hub.anonymous().get(&path).await.code(), ProblemCode::Unauthorized);
    assert_eq!(eve.start_upload("ada/x", Digest::of(&data), 10).await.code(), ProblemCode::Forbidden);
    assert_eq!(ada.delete(&path).await.status, 204);
    assert_eq!(ada.get(&path).await.code(), ProblemCode::NotFound);
}

#[tokio::test]
async fn a_blob_of_another_adapter_must_be_uploaded_again() {
    let hub = TestHub::start().await;
    let (ada, eve) = (hub.user("ada").await, hub.user("eve").await);
    let sample = SampleAdapter::lora("ada/secret", "1.0.0");
    ada.publish_private(&sample).await;
    let weights = sample.file("adapter_model.safetensors");
    // Eve knows the digest, but learns nothing from announcing it.
    let announced = eve.start_upload("eve/x", Digest::of(weights), weights.len() as u64).await;
    assert_eq!((announced.status.as_u16(), announced.json()["received"].as_u64()), (201, Some(0)));
}

#[tokio::test]
async fn a_file_above_the_limit_is_refused_before_a_byte_is_sent() {
    let hub = TestHub::start_with(|config| config.limits.max_file_bytes = 1000).await;
    let ada = hub.user("ada").await;
    let refused = ada.start_upload("ada/x", Digest::of(b""), 1001).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (413, ProblemCode::TooLarge));
    assert_eq!(refused.problem().detail, "the file has 1001 bytes; this registry accepts at most 1000");
}
