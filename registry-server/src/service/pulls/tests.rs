use std::fs;

use super::*;

async fn database(folder: &Path) -> Db {
    let db = Db::open(&Db::embedded_url(folder)).await.expect("opens");
    db.migrate().await.expect("migrates");
    db
}

/// Journals that the database has counted and still knows.
async fn known(db: &Db) -> i64 {
    let (count,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM pull_journals").fetch_one(db.read()).await.expect("counts");
    count
}

fn journals(folder: &Path) -> Vec<PathBuf> {
    journal::left_in(&folder.join("pulls")).into_iter().map(|(_, path)| path).collect()
}

#[tokio::test]
async fn what_a_killed_process_left_is_counted_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = database(folder.path()).await;
    let killed = PullCounter::new(folder.path().join("pulls"));
    for _ in 0..3 {
        killed.add(Digest::of(b"manifest"));
    }
    // Its process lives: nobody else touches its journal.
    let next = PullCounter::new(folder.path().join("pulls"));
    assert_eq!(next.recover(&db).await.expect("recovers"), 0);
    drop(killed);
    // The crash tore the last line.
    let path = journals(folder.path()).remove(0);
    let mut text = fs::read(&path).expect("reads");
    text.extend_from_slice(b"sha256:00");
    fs::write(&path, text).expect("writes");
    assert_eq!(next.recover(&db).await.expect("recovers"), 3);
    assert_eq!((journals(folder.path()).len(), known(&db).await), (0, 0));
}

#[tokio::test]
async fn a_journal_that_was_counted_before_the_crash_is_not_counted_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = database(folder.path()).await;
    let killed = PullCounter::new(folder.path().join("pulls"));
    killed.add(Digest::of(b"manifest"));
    let (id, counts) = {
        let state = killed.lock();
        (state.open.id.clone(), state.open.counts.clone())
    };
    drop(killed);
    // The transaction was committed, and then the process was killed.
    assert!(count(&db, &id, &counts).await.expect("counts"));
    let next = PullCounter::new(folder.path().join("pulls"));
    assert_eq!(next.recover(&db).await.expect("recovers"), 0);
    assert_eq!((journals(folder.path()).len(), known(&db).await), (0, 0));
}

#[tokio::test]
async fn a_folder_that_can_t_be_written_costs_no_pull() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = database(folder.path()).await;
    fs::write(folder.path().join("pulls"), b"a file in its place").expect("writes");
    let counter = PullCounter::new(folder.path().join("pulls"));
    counter.add(Digest::of(b"manifest"));
    counter.add(Digest::of(b"manifest"));
    assert_eq!(counter.lock().open.counts.values().sum::<u64>(), 2);
    counter.flush(&db).await.expect("flushes");
    assert!(counter.lock().open.counts.is_empty());
}
