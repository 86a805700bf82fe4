//! States that only a crash leaves behind, made by hand.

use axum::body::Body;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use hub_schemas::{
    api::TokenInfo,
    digest::Digest,
    name::{AdapterId, Namespace},
    problem::ProblemCode,
    token::Scope,
};
use tempfile::TempDir;

use super::upload;
use crate::{
    admin,
    app::App,
    config::Config,
    db::{roles, uploads},
    domain::permissions::{Caller, Permit, Publish, may},
    jobs::{self, DeleteObject, Job as _, SweepUploads},
    storage::Key,
};

struct Scene {
    app: App,
    ada: Caller,
    permit: Permit<Publish>,
    adapter: AdapterId,
    _folder: TempDir,
}

async fn scene() -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let app = App::open(&Config::embedded(folder.path())).await.expect("opens");
    let name: Namespace = "ada".parse().expect("a name");
    admin::add_user(&app, &name).await.expect("a user");
    let token =
        TokenInfo { name: "test".into(), scopes: Scope::ALL.to_vec(), names: Vec::new(), expires_at: None };
    let ada = Caller::new(name, false, "t1".to_owned(), token);
    let adapter: AdapterId = "ada/x".parse().expect("a name");
    let resource = roles::on_adapter(&app.db, &ada, &adapter).await.expect("finds");
    let permit = may(&(&ada).into(), Publish, &resource).expect("a permit");
    Scene { app, ada, permit, adapter, _folder: folder }
}

/// Stores `bytes` as the only part of an upload, and stops before it is settled.
async fn received(scene: &Scene, digest: Digest, bytes: &'static [u8]) -> uploads::Upload {
    let size = bytes.len() as u64;
    let mut tx = scene.app.db.write().await.expect("begins");
    let started =
        uploads::start(&mut tx, &scene.permit, &scene.adapter, &digest, size).await.expect("starts");
    let part = Key::part(&started.id, 0, "x");
    assert!(uploads::append(&mut tx, &started, &(0..size), &part).await.expect("appends"));
    tx.commit().await.expect("commits");
    let body = futures_util::stream::iter([Ok::<_, ()>(Bytes::from_static(bytes))]);
    scene.app.storage.put(&part, body, |_| Ok(())).await.expect("stores");
    find(scene, &started.id).await.expect("is there")
}

async fn find(scene: &Scene, id: &str) -> Option<uploads::Upload> {
    uploads::find(&scene.app.db, &scene.ada, id).await.expect("finds")
}

async fn age(scene: &Scene, table: &str, column: &str) {
    let sql = format!("UPDATE {table} SET {column} = {column} - 90000000000");
    let mut tx = scene.app.db.write().await.expect("begins");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(tx.connection()).await.expect("ages");
    tx.commit().await.expect("commits");
}

#[tokio::test]
async fn a_server_killed_before_the_last_step_takes_it_with_the_next_request() {
    let scene = scene().await;
    let upload = received(&scene, Digest::of(b"hello"), b"hello").await;
    assert!(!upload.complete && upload.received == upload.size);
    let settled = upload::settle(&scene.app, &scene.ada, upload.clone()).await.expect("settles");
    assert!(settled.complete);
    // A request that looked before the other one settled finds it done.
    let again = upload::settle(&scene.app, &scene.ada, upload).await.expect("is settled");
    assert!(again.complete);
}

#[tokio::test]
async fn an_upload_that_began_again_is_not_reset_by_a_late_verdict() {
    let scene = scene().await;
    let wrong = received(&scene, Digest::of(b"other"), b"hello").await;
    let looked_at = uploads::parts(&scene.app.db, &wrong).await.expect("lists");
    assert!(upload::settle(&scene.app, &scene.ada, wrong.clone()).await.is_err());
    let now = find(&scene, &wrong.id).await.expect("is there");
    assert_eq!(now.received, 0);
    let mut tx = scene.app.db.write().await.expect("begins");
    assert!(uploads::append(&mut tx, &now, &(0..3), &Key::part(&now.id, 0, "y")).await.expect("appends"));
    uploads::reset(&mut tx, &wrong, &looked_at).await.expect("does nothing");
    tx.commit().await.expect("commits");
    assert_eq!(find(&scene, &wrong.id).await.map(|u| u.received), Some(3));
}

#[tokio::test]
async fn what_nobody_continued_for_a_day_is_swept_and_the_rest_stays() {
    let scene = scene().await;
    let finished = received(&scene, Digest::of(b"finished"), b"finished").await;
    upload::settle(&scene.app, &scene.ada, finished.clone()).await.expect("settles");
    let unfinished = received(&scene, Digest::of(b"unfinished"), b"unfinished").await;
    let blob = Key::blob(&finished.digest, &finished.id);

    sweep(&scene).await;
    assert!(find(&scene, &unfinished.id).await.is_some() && find(&scene, &finished.id).await.is_some());
    scene.app.storage.head(&blob, 1).await.expect("the blob is there");

    age(&scene, "uploads", "updated_at").await;
    age(&scene, "blob_reviews", "queued_at").await;
    sweep(&scene).await;
    assert!(find(&scene, &unfinished.id).await.is_none() && find(&scene, &finished.id).await.is_none());
    assert!(scene.app.storage.head(&Key::part(&unfinished.id, 0, "x"), 1).await.is_err());
    // That its upload was forgotten queued the blob anew: it stays for another day.
    scene.app.storage.head(&blob, 1).await.expect("the blob is there");
    age(&scene, "blob_reviews", "queued_at").await;
    sweep(&scene).await;
    assert!(scene.app.storage.head(&blob, 1).await.is_err());
}

#[tokio::test]
async fn an_upload_that_was_cancelled_while_it_was_finished_leaves_nothing() {
    let scene = scene().await;
    let upload = received(&scene, Digest::of(b"hello"), b"hello").await;
    let mut tx = scene.app.db.write().await.expect("begins");
    uploads::delete(&mut tx, &upload.id).await.expect("deletes");
    tx.commit().await.expect("commits");
    // The request that finishes it looked before.
    let key = Key::blob(&upload.digest, &upload.id);
    let body = futures_util::stream::iter([Ok::<_, ()>(Bytes::from_static(b"hello"))]);
    scene.app.storage.put(&key, body, |_| Ok(())).await.expect("stores");
    let mut tx = scene.app.db.write().await.expect("begins");
    let finished = uploads::complete(&mut tx, &upload, &key).await.expect("asks");
    assert_eq!(finished, uploads::Finished::Cancelled);
    tx.commit().await.expect("commits");
    // What a killed server left is found by looking at the objects.
    assert_eq!(unknown(&scene, true).await, [key.clone(), Key::part(&upload.id, 0, "x")]);
    unknown(&scene, false).await;
    assert!(scene.app.storage.head(&key, 1).await.is_err());
    assert!(unknown(&scene, false).await.is_empty());
}

async fn unknown(scene: &Scene, dry_run: bool) -> Vec<Key> {
    // Times of files are in whole seconds.
    let ahead = std::time::Duration::ZERO;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    jobs::remove_unknown(&scene.app, ahead, dry_run).await.expect("looks")
}

/// What the server does by itself, now.
async fn sweep(scene: &Scene) {
    SweepUploads::default().run(&scene.app).await.expect("sweeps");
    jobs::review(&scene.app, scene.app.garbage_delay).await.expect("reviews");
    jobs::drain(&scene.app, DeleteObject::KIND).await;
}

/// Announces `bytes`.
async fn started(scene: &Scene, bytes: &[u8]) -> uploads::Upload {
    let mut tx = scene.app.db.write().await.expect("begins");
    let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
    let upload = uploads::start(&mut tx, &scene.permit, &scene.adapter, &digest, size).await.expect("starts");
    tx.commit().await.expect("commits");
    upload
}

/// Sends the bytes of `range` of `all`.
async fn send(
    scene: &Scene,
    upload: &uploads::Upload,
    all: &'static [u8],
    range: std::ops::Range<usize>,
) -> Result<uploads::Upload, ProblemCode> {
    let body = Body::from(&all[range.clone()]);
    let range = range.start as u64..range.end as u64;
    let sent = upload::append(&scene.app, &scene.ada, upload, range, body).await;
    sent.map_err(|error| error.problem.code)
}

/// Announces `all` and sends its first four bytes: the upload, and the part that they are.
async fn begun(scene: &Scene, all: &'static [u8]) -> (uploads::Upload, uploads::StoredPart) {
    let upload = started(scene, all).await;
    let upload = send(scene, &upload, all, 0..4).await.expect("appends");
    let part = uploads::parts(&scene.app.db, &upload).await.expect("lists").remove(0);
    (upload, part)
}

async fn objects(scene: &Scene, upload: &uploads::Upload) -> Vec<String> {
    let listed: Vec<_> = scene.app.storage.list(&Key::upload(&upload.id)).try_collect().await.expect("lists");
    listed.into_iter().map(|object| object.key.to_string()).collect()
}

async fn content(scene: &Scene, upload: &uploads::Upload) -> Bytes {
    let blob = Key::blob(&upload.digest, &upload.id);
    scene.app.storage.head(&blob, upload.size).await.expect("reads")
}

#[tokio::test]
async fn local_chunks_grow_one_file_that_becomes_the_blob() {
    let scene = scene().await;
    let all = b"one two three";
    let upload = started(&scene, all).await;
    let upload = send(&scene, &upload, all, 0..4).await.expect("appends");
    let grown = send(&scene, &upload, all, 4..8).await.expect("appends");
    assert_eq!((grown.received, objects(&scene, &grown).await.len()), (8, 1));
    // A request that looked before the last chunk came changes nothing of it.
    assert_eq!(send(&scene, &upload, all, 4..6).await, Err(ProblemCode::OffsetMismatch));
    let done = send(&scene, &grown, all, 8..13).await.expect("appends");
    assert!(done.complete && objects(&scene, &done).await.is_empty());
    assert_eq!(content(&scene, &done).await.as_ref(), all);
}

#[tokio::test]
async fn what_came_before_a_connection_broke_is_acknowledged() {
    let scene = scene().await;
    let all = b"one two three";
    let cut_off = |from: usize, to: usize| {
        let pieces = [Ok(Bytes::from_static(&all[from..to])), Err(std::io::Error::other("broke"))];
        Body::from_stream(futures_util::stream::iter(pieces))
    };
    let upload = started(&scene, all).await;
    for (from, to) in [(0, 4), (4, 8)] {
        let upload = find(&scene, &upload.id).await.expect("is there");
        let broken =
            upload::append(&scene.app, &scene.ada, &upload, from as u64..13, cut_off(from, to)).await;
        assert_eq!(broken.map_err(|error| error.problem.code), Err(ProblemCode::BadRequest));
        assert_eq!(find(&scene, &upload.id).await.map(|u| u.received), Some(to as u64));
    }
    let upload = find(&scene, &upload.id).await.expect("is there");
    assert_eq!(objects(&scene, &upload).await.len(), 1);
    let done = send(&scene, &upload, all, 8..13).await.expect("appends");
    assert_eq!(content(&scene, &done).await.as_ref(), all);
}

#[tokio::test]
async fn nobody_appends_to_a_file_that_a_killed_server_may_still_write_to() {
    let scene = scene().await;
    let all = b"one two three";
    let (upload, part) = begun(&scene, all).await;
    let claim = scene.app.storage.claim(&part.object).await.expect("asks").expect("is free");
    let mut other = claim.continued(4, hub_schemas::digest::DigestHasher::default()).await.expect("opens");
    let upload = send(&scene, &upload, all, 4..8).await.expect("appends");
    // More than waits to be written.
    other.push(Bytes::from(vec![7; 1 << 20])).await.expect("writes");
    let upload = send(&scene, &upload, all, 8..12).await.expect("appends");
    assert_eq!(uploads::parts(&scene.app.db, &upload).await.expect("lists").len(), 2);
    let done = send(&scene, &upload, all, 12..13).await.expect("appends");
    assert!(done.complete);
    assert_eq!(content(&scene, &done).await.as_ref(), all);
    other.keep().await.expect("writes");
    drop(other);
    assert!(objects(&scene, &done).await.is_empty());
    assert_eq!(content(&scene, &done).await.as_ref(), all);
}

#[tokio::test]
async fn a_server_killed_between_the_name_and_the_row_of_a_blob_takes_the_last_step_again() {
    let scene = scene().await;
    let all = b"one two three";
    let (upload, part) = begun(&scene, all).await;
    // What a request does up to its last step.
    let claim = scene.app.storage.claim(&part.object).await.expect("asks").expect("is free");
    let (suspended, object) =
        upload.hashed.as_deref().and_then(|hashed| hashed.split_once('@')).expect("is hashed");
    let hasher = hub_schemas::digest::DigestHasher::resume(suspended).expect("goes on");
    let mut file = claim.continued(4, hasher).await.expect("opens");
    file.push(Bytes::from_static(&all[4..])).await.expect("writes");
    let hashed = format!("{}@{object}", file.keep().await.expect("keeps").suspend());
    let mut tx = scene.app.db.write().await.expect("begins");
    let whole = uploads::StoredPart { range: 0..13, object: part.object.clone() };
    assert!(uploads::grow(&mut tx, &upload, 4, &whole, Some(&hashed)).await.expect("grows"));
    tx.commit().await.expect("commits");
    scene
        .app
        .storage
        .rename(&part.object, &Key::blob(&upload.digest, &upload.id), 13)
        .await
        .expect("renames");
    let upload = find(&scene, &upload.id).await.expect("is there");
    assert!(!upload.complete && upload.received == 13);
    let settled = upload::settle(&scene.app, &scene.ada, upload).await.expect("settles");
    assert!(settled.complete);
    assert_eq!(content(&scene, &settled).await.as_ref(), all);
}

#[tokio::test]
async fn bytes_that_another_release_took_are_hashed_again_in_the_end() {
    let scene = scene().await;
    let all = b"one two three";
    for (theirs, verdict) in [("two ", true), ("too ", false)] {
        let upload = started(&scene, all).await;
        let upload = send(&scene, &upload, all, 0..4).await.expect("appends");
        // As the previous release does it.
        let part = Key::part(&upload.id, 4, "x");
        let body = futures_util::stream::iter([Ok::<_, ()>(Bytes::from_static(theirs.as_bytes()))]);
        scene.app.storage.put(&part, body, |_| Ok(())).await.expect("stores");
        let mut tx = scene.app.db.write().await.expect("begins");
        assert!(uploads::append(&mut tx, &upload, &(4..8), &part).await.expect("appends"));
        tx.commit().await.expect("commits");
        let upload = find(&scene, &upload.id).await.expect("is there");
        let done = send(&scene, &upload, all, 8..13).await;
        assert_eq!(
            done.map(|done| done.complete),
            verdict.then_some(true).ok_or(ProblemCode::DigestMismatch)
        );
        let mut tx = scene.app.db.write().await.expect("begins");
        uploads::delete(&mut tx, &upload.id).await.expect("deletes");
        tx.commit().await.expect("commits");
    }
}
