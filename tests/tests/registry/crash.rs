//! The real program, killed in the middle: what was acknowledged is there.

use std::time::Duration;

use futures_util::StreamExt as _;
use hub_schemas::{api::UploadStatus, digest::Digest};
use hub_tests::hub::{HubProcess, SampleAdapter, Visitor};

#[tokio::test]
async fn a_server_killed_in_mid_push_continues_at_the_acknowledged_byte() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    let weights = sample.file("adapter_model.safetensors");
    let (total, cut) = (weights.len() as u64, weights.len() / 3);

    let server = HubProcess::start(data.path());
    let ada = server.visitor(&token);
    let status: UploadStatus =
        ada.start_upload("ada/sentiment", Digest::of(weights), total).await.expect_ok();
    let acknowledged = ada.append(&status.id, 0, &weights[..cut], total).await;
    assert_eq!(acknowledged.status, 202);
    // A second part is on its way when the server dies.
    let on_its_way = {
        let (ada, id, part) = (ada.clone(), status.id.clone(), weights[cut..].to_vec());
        let slow = futures_util::stream::unfold(part, |mut rest| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let piece: Vec<u8> = rest.drain(..rest.len().min(64)).collect();
            (!piece.is_empty()).then_some((Ok::<_, std::io::Error>(piece), rest))
        });
        let range = format!("bytes {cut}-{}/{total}", total - 1);
        let request = ada
            .request(reqwest::Method::PATCH, &format!("uploads/{id}"))
            .header("content-range", range)
            .body(reqwest::Body::wrap_stream(slow));
        tokio::spawn(request.send())
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill();
    assert!(on_its_way.await.expect("no panic").is_err(), "the connection broke");

    let server = HubProcess::start(data.path());
    let ada = ada.at(server.url());
    let again: UploadStatus = ada.start_upload("ada/sentiment", Digest::of(weights), total).await.expect_ok();
    assert_eq!((again.id, again.received), (status.id, cut as u64));
    assert!(ada.publish(&sample).await.created);
    let blob = ada.get(&format!("adapters/ada/sentiment/blobs/{}", Digest::of(weights))).await;
    assert_eq!(blob.body, weights);
}

/// A body that comes `piece` by piece, one every tenth of a second.
fn slowly(bytes: &[u8], piece: usize) -> reqwest::Body {
    let pieces: Vec<Vec<u8>> = bytes.chunks(piece).map(<[u8]>::to_vec).collect();
    reqwest::Body::wrap_stream(futures_util::stream::iter(pieces).then(|piece| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok::<_, std::io::Error>(piece)
    }))
}

/// Sends all of `bytes` in one request, which takes its time.
async fn send_slowly(ada: &Visitor, upload: &str, bytes: &[u8], piece: usize) {
    let range = format!("bytes 0-{}/{}", bytes.len() - 1, bytes.len());
    let request = ada.request(reqwest::Method::PATCH, &format!("uploads/{upload}"));
    drop(request.header("content-range", range).body(slowly(bytes, piece)).send().await);
}

#[tokio::test]
async fn of_a_request_that_takes_long_a_killed_server_has_all_but_the_last_seconds() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let bytes: Vec<u8> = (0..32_u32 << 20).map(|i| (i % 251) as u8).collect();
    let server = HubProcess::start(data.path());
    let ada = server.visitor(&token);
    let begin = async |ada: &Visitor| {
        ada.start_upload("ada/x", Digest::of(&bytes), bytes.len() as u64).await.expect_ok::<UploadStatus>()
    };
    let status = begin(&ada).await;
    {
        let sending = send_slowly(&ada, &status.id, &bytes, 300_000);
        let seen = async {
            while ada.get(&format!("uploads/{}", status.id)).await.json()["received"] == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(20), seen);
        tokio::select! {
            () = sending => panic!("it takes longer"),
            seen = seen => seen.expect("something is acknowledged before the last byte came"),
        }
    }
    server.kill();
    let server = HubProcess::start(data.path());
    let ada = ada.at(server.url());
    let again = begin(&ada).await;
    assert!(again.id == status.id && again.received > 0 && !again.complete, "{again:?}");
    let from = again.received as usize;
    let done = ada.append(&again.id, again.received, &bytes[from..], bytes.len() as u64).await;
    assert!(done.expect_ok::<UploadStatus>().complete, "what was sent before and after are the whole file");
}

#[tokio::test]
async fn what_came_before_a_connection_broke_is_not_sent_again() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let server = HubProcess::start(data.path());
    let ada = server.visitor(&token);
    let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    let total = bytes.len() as u64;
    let status: UploadStatus = ada.start_upload("ada/x", Digest::of(&bytes), total).await.expect_ok();
    // Four pieces are sent, and the connection ends.
    let sending = send_slowly(&ada, &status.id, &bytes, 20_000);
    assert!(tokio::time::timeout(Duration::from_millis(490), sending).await.is_err(), "it takes longer");
    let kept = async {
        loop {
            let now: UploadStatus = ada.get(&format!("uploads/{}", status.id)).await.expect_ok();
            if now.received > 0 {
                return now.received;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let kept = tokio::time::timeout(Duration::from_secs(20), kept).await.expect("what came is acknowledged");
    assert!(kept < total && kept % 20_000 == 0, "{kept}");
    let rest = ada.append(&status.id, kept, &bytes[kept as usize..], total).await;
    assert!(rest.expect_ok::<UploadStatus>().complete);
}

#[tokio::test]
async fn a_published_version_survives_a_kill_right_after_the_answer() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    let server = HubProcess::start(data.path());
    server.visitor(&token).publish(&sample).await;
    server.kill();
    let server = HubProcess::start(data.path());
    let manifest = server.visitor(&token).get(&format!("manifests/{}", sample.digest())).await;
    assert_eq!(manifest.body, sample.manifest_bytes());
}

#[tokio::test]
async fn asked_to_stop_the_server_finishes_what_it_does_and_exits_with_0() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let server = HubProcess::start(data.path());
    let ada = server.visitor(&token);
    let body = vec![7_u8; 1000];
    let status: UploadStatus = ada.start_upload("ada/x", Digest::of(&body), 1000).await.expect_ok();
    let slow = futures_util::stream::unfold(body, |mut rest| async move {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let piece: Vec<u8> = rest.drain(..rest.len().min(100)).collect();
        (!piece.is_empty()).then_some((Ok::<_, std::io::Error>(piece), rest))
    });
    let request = ada
        .request(reqwest::Method::PATCH, &format!("uploads/{}", status.id))
        .header("content-range", "bytes 0-999/1000")
        .body(reqwest::Body::wrap_stream(slow));
    let in_flight = tokio::spawn(request.send());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stopped = tokio::task::spawn_blocking(move || server.terminate());
    let answer = in_flight.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), 202, "the request in flight was finished");
    assert_eq!(stopped.await.expect("no panic"), Some(0));
}
