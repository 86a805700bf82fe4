use std::convert::Infallible;

use futures_util::stream;

use super::*;

fn pieces(all: &'static [&'static [u8]]) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
    stream::iter(all.iter().map(|piece| Ok(Bytes::from_static(piece))))
}

async fn read(storage: &Storage, key: &Key, range: Option<Range<u64>>) -> Vec<u8> {
    let pieces: Vec<Bytes> =
        storage.get(key, range).await.expect("opens").try_collect().await.expect("streams");
    pieces.concat()
}

#[tokio::test]
async fn what_was_put_is_got_whole_or_in_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = Storage::local(folder.path()).expect("a storage");
    let key = Key::blob(&Digest::of(b"hello world"));
    let written = storage.put(&key, pieces(&[b"hello ", b"world"]), |_| Ok(())).await.expect("writes");
    assert_eq!(written, Written { size: 11, digest: Digest::of(b"hello world") });
    assert_eq!(read(&storage, &key, None).await, b"hello world");
    assert_eq!(read(&storage, &key, Some(6..8)).await, b"wo");
    assert_eq!(storage.head(&key, 5).await.expect("reads"), "hello");
    assert_eq!(storage.head(&key, 99).await.expect("reads"), "hello world");
    storage.delete(&key).await.expect("deletes");
    storage.delete(&key).await.expect("deleting twice is fine");
    assert!(matches!(storage.head(&key, 5).await, Err(StorageError::NotFound(_))));
}

#[tokio::test]
async fn an_empty_body_is_an_empty_object() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = Storage::local(folder.path()).expect("a storage");
    let key = Key::blob(&Digest::of(b""));
    storage.put(&key, pieces(&[]), |_| Ok(())).await.expect("writes");
    assert_eq!(storage.head(&key, 5).await.expect("reads"), "");
}

#[tokio::test]
async fn a_body_that_fails_or_is_not_accepted_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = Storage::local(folder.path()).expect("a storage");
    let key = Key::part("u", 0, "x");
    let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err("cut")]);
    assert!(matches!(storage.put(&key, broken, |_| Ok(())).await, Err(PutError::Body("cut"))));
    let whole = stream::iter([Ok(Bytes::from_static(b"whole"))]);
    assert!(matches!(storage.put(&key, whole, |_| Err("no")).await, Err(PutError::Body("no"))));
    assert!(matches!(storage.head(&key, 5).await, Err(StorageError::NotFound(_))));
    assert_eq!(storage.remove_half_written(Duration::ZERO).expect("sweeps"), 0);
}

#[tokio::test]
async fn half_written_files_of_a_killed_server_are_swept() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = Storage::local(folder.path()).expect("a storage");
    fs::create_dir_all(folder.path().join("uploads/u")).expect("makes a folder");
    fs::write(folder.path().join("uploads/u/00-x#1"), b"half").expect("writes");
    assert_eq!(storage.remove_half_written(Duration::from_mins(1)).expect("sweeps"), 0, "too young");
    assert_eq!(storage.remove_half_written(Duration::ZERO).expect("sweeps"), 1);
}
