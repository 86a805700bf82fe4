//! Downloading files: whole, in part, from a cache.

use hub_schemas::{digest::Digest, problem::ProblemCode};
use hub_tests::hub::{Answer, SampleAdapter, TestHub, Visitor};
use reqwest::Method;

/// A registry with one published file, and that file's path and content.
async fn published() -> (TestHub, Visitor, String, Vec<u8>) {
    let hub = TestHub::start().await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    hub.user("ada").await.publish(&sample).await;
    let bytes = sample.file("adapter_model.safetensors").to_vec();
    let anyone = hub.anonymous();
    (hub, anyone, format!("adapters/ada/sentiment/blobs/{}", Digest::of(&bytes)), bytes)
}

#[tokio::test]
async fn a_whole_file_comes_with_everything_a_cache_needs() {
    let (_hub, anyone, path, bytes) = published().await;
    let answer = anyone.get(&path).await;
    assert_eq!(answer.body, bytes);
    assert_eq!(answer.header("etag"), format!("\"{}\"", Digest::of(&bytes)));
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let current = anyone.get_with(&path, "if-none-match", answer.header("etag")).await;
    assert_eq!((current.status.as_u16(), current.body.len()), (304, 0));
}

#[tokio::test]
async fn head_says_the_size_without_the_bytes() {
    let (_hub, anyone, path, bytes) = published().await;
    let answer = Answer::of(anyone.request(Method::HEAD, &path)).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-length"), bytes.len().to_string());
}

#[tokio::test]
async fn a_range_is_a_part_and_says_which() {
    let (_hub, anyone, path, bytes) = published().await;
    let total = bytes.len();
    for (range, expected) in
        [("bytes=0-9", 0..10), ("bytes=100-", 100..total), ("bytes=-7", total - 7..total)]
    {
        let answer = anyone.get_with(&path, "range", range).await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.body, bytes[expected.clone()], "{range}");
        let says = format!("bytes {}-{}/{total}", expected.start, expected.end - 1);
        assert_eq!(answer.header("content-range"), says);
    }
}

#[tokio::test]
async fn a_range_outside_the_file_is_416_and_a_strange_one_is_ignored() {
    let (_hub, anyone, path, bytes) = published().await;
    let answer = anyone.get_with(&path, "range", &format!("bytes={}-", bytes.len())).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (416, ProblemCode::RangeNotSatisfiable));
    assert_eq!(answer.header("content-range"), format!("bytes */{}", bytes.len()));
    for strange in ["bytes=5-2", "bytes=0-1,5-6", "pages=1-2"] {
        assert_eq!(anyone.get_with(&path, "range", strange).await.status, 200, "{strange}");
    }
}

#[tokio::test]
async fn a_part_of_other_content_is_never_sent() {
    let (_hub, anyone, path, bytes) = published().await;
    let ranged = |tag: String| {
        let request = anyone.request(Method::GET, &path).header("range", "bytes=5-").header("if-range", tag);
        Answer::of(request)
    };
    assert_eq!(ranged(format!("\"{}\"", Digest::of(&bytes))).await.status, 206);
    assert_eq!(ranged("\"sha256:other\"".to_owned()).await.status, 200);
}

#[tokio::test]
async fn a_file_belongs_to_the_adapters_that_list_it() {
    let (hub, anyone, path, _bytes) = published().await;
    let ada = hub.visitor(&hub.token("ada", &hub_schemas::token::Scope::ALL, None).await);
    ada.publish(&SampleAdapter::bottleneck("ada/other", "1.0.0")).await;
    let elsewhere = anyone.get(&path.replace("ada/sentiment", "ada/other")).await;
    assert_eq!(elsewhere.code(), ProblemCode::NotFound);
    // An upload is not readable before a version lists it.
    let pending = ada.upload("ada/other", b"not published").await;
    assert!(pending.complete);
    let path = format!("adapters/ada/other/blobs/{}", pending.digest);
    assert_eq!(ada.get(&path).await.code(), ProblemCode::NotFound);
}
