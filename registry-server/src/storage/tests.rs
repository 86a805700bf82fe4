//! What every back end does alike: each rule here is checked on local files, in
//! memory, and on a real SeaweedFS.

use std::convert::Infallible;

use futures_util::{Stream, stream};
use hub_schemas::digest::DigestHasher;

use super::*;
use crate::test_services::seaweedfs::{KEYS, SeaweedFs};

const BIG: usize = (REMOTE_WRITE * 5) / 2;

fn pieces(all: &[&[u8]]) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin + use<> {
    stream::iter(all.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect::<Vec<_>>())
}

async fn read(storage: &Storage, key: &Key, range: Option<Range<u64>>) -> Vec<u8> {
    let pieces: Vec<Bytes> =
        storage.get(key, range).await.expect("opens").try_collect().await.expect("streams");
    pieces.concat()
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

fn key(content: &[u8]) -> Key {
    Key::blob(&Digest::of(content), "upload")
}

async fn is_missing(storage: &Storage, key: &Key) -> bool {
    matches!(storage.head(key, 1).await, Err(StorageError::NotFound(_)))
}

fn seaweedfs() -> Storage {
    let server = SeaweedFs::shared();
    let Ok(Location::S3(settings)) = server.location().parse() else { panic!("an S3 location") };
    let location = Location::S3(S3Settings {
        endpoint: Some(server.endpoint()),
        region: Some("us-east-1".to_owned()),
        keys: Some((KEYS.0.to_owned(), KEYS.1.to_owned())),
        ..settings
    });
    Storage::open(&location, Path::new("/nowhere")).expect("a storage")
}

async fn conforms(storage: &Storage) {
    what_was_put_is_got_whole_or_in_part(storage).await;
    a_large_body_is_one_object(storage).await;
    an_empty_body_is_an_empty_object(storage).await;
    a_body_that_fails_or_is_not_accepted_leaves_nothing(storage).await;
    what_was_put_again_is_the_later_one(storage).await;
    only_the_first_of_two_creates_an_object(storage).await;
    a_listing_has_what_is_below_a_key(storage).await;
    storage.probe().await.expect("answers");
}

async fn what_was_put_is_got_whole_or_in_part(storage: &Storage) {
    let key = key(b"hello world");
    let written = storage.put(&key, pieces(&[b"hello ", b"world"]), |_| Ok(())).await.expect("writes");
    assert_eq!(written, Written { size: 11, digest: Digest::of(b"hello world") });
    assert_eq!(storage.size(&key).await.expect("is there"), 11);
    assert_eq!(read(storage, &key, None).await, b"hello world");
    assert_eq!(read(storage, &key, Some(6..8)).await, b"wo");
    assert_eq!(storage.head(&key, 5).await.expect("reads"), "hello");
    storage.delete(&key).await.expect("deletes");
    storage.delete(&key).await.expect("deleting twice is fine");
    assert!(is_missing(storage, &key).await);
}

async fn a_large_body_is_one_object(storage: &Storage) {
    let all = bytes(BIG);
    let key = key(&all);
    let body: Vec<&[u8]> = all.chunks(1 << 16).collect();
    let written = storage.put(&key, pieces(&body), |_| Ok(())).await.expect("writes");
    assert_eq!(written, Written { size: BIG as u64, digest: Digest::of(&all) });
    assert_eq!(read(storage, &key, None).await, all);
    let cut = REMOTE_WRITE as u64;
    assert_eq!(read(storage, &key, Some(cut - 3..cut + 3)).await, all[cut as usize - 3..cut as usize + 3]);
    // Exactly as many bytes as one write takes.
    let exact = &all[..REMOTE_WRITE];
    storage.put(&key, pieces(&[exact]), |_| Ok(())).await.expect("writes");
    assert_eq!(storage.size(&key).await.expect("is there"), cut);
    storage.delete(&key).await.expect("deletes");
}

async fn an_empty_body_is_an_empty_object(storage: &Storage) {
    let key = key(b"");
    storage.put(&key, pieces(&[]), |_| Ok(())).await.expect("writes");
    assert_eq!(storage.size(&key).await.expect("is there"), 0);
    assert_eq!(storage.head(&key, 0).await.expect("reads"), "");
    storage.delete(&key).await.expect("deletes");
}

async fn a_body_that_fails_or_is_not_accepted_leaves_nothing(storage: &Storage) {
    let key = Key::part("refused", 0, "x");
    let big = Bytes::from(bytes(BIG));
    for body in [Bytes::from_static(b"small"), big] {
        let broken = stream::iter([Ok(body.clone()), Err("cut")]);
        assert!(matches!(storage.put(&key, broken, |_| Ok(())).await, Err(PutError::Body("cut"))));
        let whole = stream::iter([Ok(body)]);
        assert!(matches!(storage.put(&key, whole, |_| Err("no")).await, Err(PutError::Body("no"))));
        assert!(is_missing(storage, &key).await);
    }
    assert_eq!(storage.remove_half_written(Duration::ZERO).expect("sweeps"), 0);
}

async fn what_was_put_again_is_the_later_one(storage: &Storage) {
    let key = Key::part("again", 0, "x");
    for text in ["first", "second"] {
        storage.put(&key, pieces(&[text.as_bytes()]), |_| Ok(())).await.expect("writes");
    }
    assert_eq!(read(storage, &key, None).await, b"second");
    storage.delete(&key).await.expect("deletes");
}

async fn only_the_first_of_two_creates_an_object(storage: &Storage) {
    let key = Key::part("created", 0, "x");
    assert!(storage.create(&key, Bytes::from_static(b"first")).await.expect("creates"));
    assert!(!storage.create(&key, Bytes::from_static(b"second")).await.expect("finds it there"));
    assert_eq!(read(storage, &key, None).await, b"first");
    storage.delete(&key).await.expect("deletes");
}

async fn a_listing_has_what_is_below_a_key(storage: &Storage) {
    let keys = [Key::part("listed", 0, "x"), Key::part("listed", 9, "y"), Key::part("other", 0, "z")];
    for key in &keys {
        storage.put(key, pieces(&[b"bytes"]), |_| Ok(())).await.expect("writes");
    }
    let mut found: Vec<Listed> = storage.list(&Key::upload("listed")).try_collect().await.expect("lists");
    found.sort_by_key(|object| object.key.to_string());
    let names: Vec<_> = found.iter().map(|object| (&object.key, object.size)).collect();
    assert_eq!(names, [(&keys[0], 5), (&keys[1], 5)]);
    assert!((OffsetDateTime::now_utc() - found[0].modified).abs() < time::Duration::HOUR);
    storage.delete_all(&Key::upload("listed")).await.expect("deletes");
    let left: Vec<Listed> = storage.list(&Key::upload("listed")).try_collect().await.expect("lists");
    assert!(left.is_empty() && !is_missing(storage, &keys[2]).await);
    storage.delete_all(&Key::upload("other")).await.expect("deletes");
}

/// The rules of back ends that put objects together from parts.
async fn puts_together(storage: &Storage) {
    let all = bytes(BIG);
    let key = key(&all);
    let id = storage.begin(&key).await.expect("begins").expect("has multipart uploads");
    let object = Multipart { key: &key, id: &id };
    let (cut, mut parts, mut hashed) = (MIN_PART as usize, Vec::new(), String::new());
    for chunk in [&all[..cut], &all[cut..]] {
        // As another process would go on.
        let hasher = DigestHasher::resume(&hashed).unwrap_or_default();
        let body = pieces(&chunk.chunks(99_999).collect::<Vec<_>>());
        let done = storage.append(object, parts.len(), hasher, chunk.len() as u64, body).await;
        let (more, hasher) = done.unwrap_or_else(|_| panic!("appends"));
        parts.extend(more);
        hashed = hasher.suspend();
        assert!(is_missing(storage, &key).await, "not before it is complete");
    }
    assert_eq!(parts.len(), 2);
    storage.complete(object, &parts).await.expect("completes");
    assert_eq!(read(storage, &key, None).await, all);
    // Some stores remember that it was completed, the others that it is over.
    let again = storage.complete(object, &parts).await;
    assert!(matches!(again, Ok(()) | Err(StorageError::NotFound(_))), "{again:?}");
    assert_eq!(storage.size(&key).await.expect("is there"), BIG as u64);
    storage.delete(&key).await.expect("deletes");

    let id = storage.begin(&key).await.expect("begins").expect("has multipart uploads");
    let object = Multipart { key: &key, id: &id };
    let append = async || {
        let done = storage.append(object, 0, DigestHasher::default(), 4, pieces(&[b"part"])).await;
        done.unwrap_or_else(|_| panic!("appends")).0
    };
    append().await;
    storage.abort(object).await.expect("aborts");
    storage.abort(object).await.expect("aborting twice is fine");
    assert!(is_missing(storage, &key).await);
}

#[tokio::test]
async fn local_files_conform() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = Storage::local(folder.path()).expect("a storage");
    conforms(&storage).await;
    assert!(storage.begin(&key(b"")).await.expect("asks").is_none());
}

#[tokio::test]
async fn memory_conforms() {
    let storage = Storage::memory();
    conforms(&storage).await;
    let all = bytes(BIG);
    let id = storage.begin(&key(&all)).await.expect("begins");
    assert!(id.is_some());
}

#[tokio::test]
async fn seaweedfs_conforms() {
    let storage = seaweedfs();
    conforms(&storage).await;
    puts_together(&storage).await;
    // As when many others are being read.
    conforms(&Storage { relay: Some(Relay::new(0)), ..storage }).await;
}

#[tokio::test]
async fn an_object_has_the_acknowledged_parts_or_none() {
    let storage = seaweedfs();
    let key = key(b"raced");
    let id = storage.begin(&key).await.expect("begins").expect("has multipart uploads");
    let object = Multipart { key: &key, id: &id };
    let mut sent = Vec::new();
    for bytes in [b"one", b"two"] {
        let done = storage.append(object, 0, DigestHasher::default(), 3, pieces(&[bytes])).await;
        sent.push(done.unwrap_or_else(|_| panic!("appends")).0);
    }
    // SeaweedFS keeps both parts and takes the named one; Amazon keeps the later one.
    match storage.complete(object, &sent[0]).await {
        Ok(()) => assert_eq!(read(&storage, &key, None).await, b"one"),
        refused => assert!(matches!(refused, Err(StorageError::OtherParts(_))), "{refused:?}"),
    }
}

#[tokio::test]
async fn an_address_of_s3_is_readable_without_an_account_and_only_it() {
    let storage = seaweedfs();
    let key = key(b"hello");
    storage.put(&key, pieces(&[b"hello"]), |_| Ok(())).await.expect("writes");
    let url = storage.read_url(&key, Duration::from_mins(1)).await.expect("signs").expect("has addresses");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(&url).header("range", "bytes=1-").send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.text().await.expect("text").as_str()), (206, "ello"));
    let other = url.replace("/upload?", "/uploae?");
    assert_ne!(other, url);
    assert_eq!(client.get(other).send().await.expect("an answer").status(), 403);
    assert!(Storage::memory().read_url(&key, Duration::from_mins(1)).await.expect("asks").is_none());
}
