//! Databases that released versions of the server left behind, with data in every table.

use hub_schemas::{digest::Digest, name::AdapterId};

use super::{Db, adapters, blobs, tombstones, uploads, versions};
use crate::{
    db::search::{self, Filters, Place},
    domain::permissions::Viewer,
    storage::Key,
    test_services::postgres::Postgres,
};

/// Every release: the last of its migrations, and its data.
const RELEASED: [(i64, &str); 1] = [(20_261_123_000_000, include_str!("released/0.1.0.sql"))];

/// The same rows are in every release's data.
async fn check(db: &Db) {
    let id: AdapterId = "ada/sentiment".parse().expect("a name");
    let adapter =
        adapters::find_visible(db, &id, &Viewer::anonymous()).await.expect("finds").expect("is there");
    let entries = versions::all(db, &adapter).await.expect("lists");
    assert_eq!(entries.iter().map(|e| e.version.to_string()).collect::<Vec<_>>(), ["1.1.0", "1.0.0"]);
    assert_eq!(entries[1].yanked.as_ref().map(|yank| yank.reason.as_str()), Some("wrong labels"));
    let digest = Digest::of(b"weights");
    let needing = tombstones::dependants(db, &adapter, &Viewer::anonymous()).await.expect("lists");
    let needing: Vec<_> = needing.into_iter().map(|d| (d.name, d.requirement.to_string())).collect();
    assert_eq!(needing, [(Some(id), "^1".to_owned())]);
    let blob = blobs::find_in(db, &adapter, &digest).await.expect("finds").expect("is there");
    assert_eq!((blob.size, blob.object), (7, Key::first_blob(&digest)));
    let stale = uploads::stale(db, i64::MAX).await.expect("lists");
    assert_eq!((stale.len(), stale[0].received, stale[0].complete), (1, 3, false));
    let parts = uploads::parts(db, &stale[0]).await.expect("lists");
    assert_eq!(parts, [uploads::StoredPart { range: 0..3, object: Key::part("u1", 0, "x") }]);
    let filters = Filters { words: Some(vec!["sentiment".to_owned()]), ..Filters::default() };
    let place = Place { offset: 0, limit: 10 };
    let found = search::page(db, &Viewer::anonymous(), &filters, place).await.expect("searches");
    assert_eq!((found.items.len(), found.total, found.more), (1, 1, false));
    let (words,): (Option<String>,) =
        sqlx::query_as("SELECT words FROM listings").fetch_one(db.read()).await.expect("reads");
    assert_eq!(words.as_deref(), Some(" sentiment"));
}

async fn every_release(url: impl Fn() -> String) {
    for (last, data) in RELEASED {
        let db = Db::open(&url()).await.expect("opens");
        db.migrate_up_to(last).await;
        let mut tx = db.write().await.expect("begins");
        for statement in data.split(";\n").map(str::trim).filter(|s| !s.is_empty()) {
            let statement = sqlx::AssertSqlSafe(statement.to_owned());
            sqlx::query(statement).execute(tx.connection()).await.expect("inserts");
        }
        search::index_as_before(&mut tx, "a1", "sentiment").await;
        tx.commit().await.expect("commits");
        assert!(db.require_current().await.is_err(), "the schema has changed since");
        db.migrate().await.expect("migrates");
        db.require_current().await.expect("is current");
        check(&db).await;
        db.close().await;
    }
}

#[tokio::test]
async fn the_embedded_database_of_every_release_is_migrated_with_its_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let count = std::cell::Cell::new(0);
    every_release(|| {
        count.set(count.get() + 1);
        let folder = folder.path().join(count.get().to_string());
        std::fs::create_dir(&folder).expect("makes a folder");
        Db::embedded_url(&folder)
    })
    .await;
}

#[tokio::test]
async fn the_postgresql_database_of_every_release_is_migrated_with_its_data() {
    every_release(|| Postgres::shared().database(None)).await;
}
