//! States that only a crash leaves behind, made by hand.

use bytes::Bytes;
use hub_schemas::{
    api::TokenInfo,
    digest::Digest,
    name::{AdapterId, Namespace},
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
