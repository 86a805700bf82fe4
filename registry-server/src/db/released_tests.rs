//! Databases that released versions of the server left behind, with data in every table.

use std::{collections::BTreeSet, path::Path};

use hub_schemas::{digest::Digest, name::AdapterId};

use super::{Backend, Db, adapters, blobs, tombstones, uploads, versions};
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

/// Writes a release's data, as its server did.
async fn write(db: &Db, data: &str) {
    let mut tx = db.write().await.expect("begins");
    for statement in data.split(";\n").map(str::trim).filter(|s| !s.is_empty()) {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        sqlx::query(statement).execute(tx.connection()).await.expect("inserts");
    }
    search::index_as_before(&mut tx, "a1", "sentiment").await;
    tx.commit().await.expect("commits");
}

/// Every column of every table, which statements name.
async fn columns(db: &Db) -> BTreeSet<(String, String)> {
    let sql = match db.backend() {
        Backend::Sqlite => {
            "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
        }
        Backend::Postgres => {
            "SELECT table_name::TEXT, column_name::TEXT FROM information_schema.columns
             WHERE table_schema = current_schema()"
        }
    };
    let rows: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(db.read()).await.expect("reads");
    rows.into_iter().collect()
}

/// Expand, then contract: while replicas are replaced one by one, servers of a release work on this schema.
async fn beside_every_release(url: impl Fn() -> String) {
    for (last, data) in RELEASED {
        let db = Db::open(&url()).await.expect("opens");
        db.migrate_up_to(last).await;
        let known = columns(&db).await;
        assert!(known.len() > 80, "its tables are found: {known:?}");
        db.migrate().await.expect("migrates");
        let now = columns(&db).await;
        let gone: Vec<_> = known.difference(&now).collect();
        assert!(gone.is_empty(), "a server of that release still reads {gone:?}");
        // What it writes from now on is taken, and is found by this one.
        write(&db, data).await;
        let id: AdapterId = "ada/sentiment".parse().expect("a name");
        let found = adapters::find_visible(&db, &id, &Viewer::anonymous()).await.expect("finds");
        let adapter = found.expect("is there");
        assert_eq!(versions::all(&db, &adapter).await.expect("lists").len(), 2);
        let filters = Filters { words: Some(vec!["sentiment".to_owned()]), ..Filters::default() };
        let place = Place { offset: 0, limit: 10 };
        let found = search::page(&db, &Viewer::anonymous(), &filters, place).await.expect("searches");
        assert_eq!((found.items.len(), found.total), (1, 1));
        db.close().await;
    }
}

async fn every_release(url: impl Fn() -> String) {
    for (last, data) in RELEASED {
        let db = Db::open(&url()).await.expect("opens");
        db.migrate_up_to(last).await;
        write(&db, data).await;
        assert!(db.require_current().await.is_err(), "the schema has changed since");
        db.migrate().await.expect("migrates");
        db.require_current().await.expect("is current");
        check(&db).await;
        db.close().await;
    }
}

/// Embedded databases, each in a folder of its own below `folder`.
fn embedded(folder: &Path) -> impl Fn() -> String {
    let count = std::cell::Cell::new(0);
    move || {
        count.set(count.get() + 1);
        let folder = folder.join(count.get().to_string());
        std::fs::create_dir(&folder).expect("makes a folder");
        Db::embedded_url(&folder)
    }
}

#[tokio::test]
async fn the_embedded_database_of_every_release_is_migrated_with_its_data() {
    let folder = tempfile::tempdir().expect("a folder");
    every_release(embedded(folder.path())).await;
}

#[tokio::test]
async fn the_postgresql_database_of_every_release_is_migrated_with_its_data() {
    every_release(|| Postgres::shared().database(None)).await;
}

#[tokio::test]
async fn servers_of_every_release_go_on_beside_this_one_on_the_embedded_database() {
    let folder = tempfile::tempdir().expect("a folder");
    beside_every_release(embedded(folder.path())).await;
}

#[tokio::test]
async fn servers_of_every_release_go_on_beside_this_one_on_postgresql() {
    beside_every_release(|| Postgres::shared().database(None)).await;
}
