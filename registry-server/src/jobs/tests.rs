use std::sync::atomic::{AtomicU32, Ordering};

use ::time::OffsetDateTime;
use serde::Deserialize;

use super::*;
use crate::{
    config::Config,
    db::{
        Db, clock,
        jobs::{Fate, Held},
        reviews, uploads,
    },
    test_services::postgres::Postgres,
};

/// Does every job of a kind that is due.
pub(crate) async fn drain(app: &App, kind: &str) {
    while let Some(held) = jobs::claim(&app.db, Duration::from_mins(1)).await.expect("asks") {
        assert_eq!(held.kind, kind);
        runner::one(app, &held).await.expect("settles");
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Nothing {}

impl Job for Nothing {
    const KIND: &'static str = "nothing";

    async fn run(self, _app: &App) -> Result<(), JobError> {
        Ok(())
    }
}

async fn queue(db: &Db, count: usize) {
    let mut tx = db.write().await.expect("begins");
    for _ in 0..count {
        Nothing {}.enqueue(&mut tx).await.expect("queues");
    }
    tx.commit().await.expect("commits");
}

async fn claim(db: &Db) -> Option<Held> {
    jobs::claim(db, Duration::from_mins(1)).await.expect("asks")
}

async fn rules(db: &Db) {
    // Many that ask at once take each job once.
    queue(db, 20).await;
    let taken = AtomicU32::new(0);
    let all = (0..8).map(|_| async {
        while let Some(held) = claim(db).await {
            taken.fetch_add(1, Ordering::Relaxed);
            jobs::settle(db, &held, &Fate::Gone).await.expect("settles");
        }
    });
    futures_util::future::join_all(all).await;
    // Who looks while others take may see none: what is left is taken now.
    while let Some(held) = claim(db).await {
        taken.fetch_add(1, Ordering::Relaxed);
        jobs::settle(db, &held, &Fate::Gone).await.expect("settles");
    }
    assert_eq!(taken.into_inner(), 20);

    // A transaction that is not committed queues nothing.
    let mut tx = db.write().await.expect("begins");
    Nothing {}.enqueue(&mut tx).await.expect("queues");
    drop(tx);
    assert_eq!(claim(db).await, None);

    // Whoever stops renewing loses it, and can neither renew nor settle it.
    queue(db, 1).await;
    let lost = jobs::claim(db, Duration::ZERO).await.expect("asks").expect("is there");
    tokio::time::sleep(Duration::from_millis(5)).await;
    let held = claim(db).await.expect("is there again");
    assert_eq!((held.attempts, held.id.as_str()), (2, lost.id.as_str()));
    assert!(!jobs::renew(db, &lost, Duration::ZERO).await.expect("asks"));
    assert!(jobs::renew(db, &held, Duration::from_mins(1)).await.expect("renews"));
    jobs::settle(db, &lost, &Fate::Gone).await.expect("does nothing");
    assert_eq!(jobs::counts(db).await.expect("counts")[0].waiting, 1);

    // A failure waits; the last one is kept, and not tried again.
    let fate = Fate::Retry(Duration::from_hours(1), "no".to_owned());
    jobs::settle(db, &held, &fate).await.expect("settles");
    assert_eq!(claim(db).await, None);
    queue(db, 1).await;
    let held = claim(db).await.expect("is there");
    jobs::settle(db, &held, &Fate::Failed("never".to_owned())).await.expect("settles");
    assert_eq!(claim(db).await, None);
    let counts = jobs::counts(db).await.expect("counts");
    assert_eq!((counts[0].waiting, counts[0].failed), (1, 1));

    // One that recurs is there once, however many processes start.
    for _ in 0..2 {
        let mut tx = db.write().await.expect("begins");
        jobs::insert_recurring(&mut tx, "again", "{}").await.expect("queues");
        tx.commit().await.expect("commits");
    }
    let held = claim(db).await.expect("is there");
    assert_eq!((held.kind.as_str(), claim(db).await), ("again", None));

    // What a clock that was a year ahead put off, or held, is taken once it is right.
    let day = Duration::from_hours(24);
    jobs::settle(db, &held, &Fate::Again(365 * day)).await.expect("settles");
    queue(db, 1).await;
    jobs::claim(db, 365 * day).await.expect("asks").expect("is there");
    assert_eq!(claim(db).await, None);
    let mut tx = db.write().await.expect("begins");
    let (now, tomorrow) = (clock::now(), clock::micros(OffsetDateTime::now_utc() + day));
    assert_eq!(jobs::bring_back(&mut tx, tomorrow, now).await.expect("asks"), 2);
    assert_eq!(reviews::bring_back(&mut tx, tomorrow, now).await.expect("asks"), 0);
    assert_eq!(uploads::bring_back(&mut tx, tomorrow, now).await.expect("asks"), 0);
    tx.commit().await.expect("commits");
    let mut kinds = [claim(db).await, claim(db).await].map(|held| held.expect("is back").kind);
    kinds.sort();
    assert_eq!(kinds, ["again", "nothing"]);
}

#[tokio::test]
async fn jobs_are_taken_once_and_kept_until_they_are_done_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Db::open(&Db::embedded_url(folder.path())).await.expect("opens");
    db.migrate().await.expect("migrates");
    rules(&db).await;
}

#[tokio::test]
async fn jobs_are_taken_once_and_kept_until_they_are_done_on_postgresql() {
    let db = Db::open(&Postgres::shared().database(None)).await.expect("opens");
    db.migrate().await.expect("migrates");
    rules(&db).await;
}

#[tokio::test]
async fn a_kind_that_this_version_does_not_know_is_left_for_one_that_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = App::open(&Config::embedded(folder.path())).await.expect("opens");
    queue(&app.db, 1).await;
    let held = claim(&app.db).await.expect("is there");
    runner::one(&app, &held).await.expect("settles");
    let counts = jobs::counts(&app.db).await.expect("counts");
    assert_eq!((counts[0].waiting, counts[0].failed), (1, 0));
}

#[test]
fn waits_grow_to_an_hour() {
    let waits = [1, 2, 3, 11, 12, 1000].map(|n| backoff(n).as_secs());
    assert_eq!(waits, [2, 4, 8, 2048, 3600, 3600]);
}

#[tokio::test]
async fn short_lived_tokens_are_forgotten_a_day_after_they_ended_and_others_stay() {
    const HOUR: i64 = 3600 * 1_000_000;
    let folder = tempfile::tempdir().expect("a folder");
    let app = App::open(&Config::embedded(folder.path())).await.expect("opens");
    let ada = "ada".parse().expect("a name");
    crate::admin::add_user(&app, &ada).await.expect("a user");
    let now = clock::now();
    let names = ["lab/*".parse().expect("a pattern")];
    for (name, made, ended) in [
        ("job of the day before", now - 30 * HOUR, now - 29 * HOUR),
        ("job of today", now - 3 * HOUR, now - 2 * HOUR),
        ("laptop", now - 300 * HOUR, now - 50 * HOUR),
        ("in use", now - 30 * HOUR, now + HOUR),
    ] {
        let scopes = [hub_schemas::token::Scope::Read];
        crate::admin::mint(&app, &ada, name, &scopes, &names, None).await.expect("a token");
        let mut tx = app.db.write().await.expect("begins");
        sqlx::query("UPDATE tokens SET created_at = $1, expires_at = $2 WHERE name = $3")
            .bind(made)
            .bind(ended)
            .bind(name)
            .execute(tx.connection())
            .await
            .expect("ages");
        tx.commit().await.expect("commits");
    }
    ForgetTokens {}.run(&app).await.expect("runs");
    let left = crate::db::tokens::of_user(&app.db, &ada).await.expect("lists");
    let left: Vec<_> = left.iter().map(|token| token.info.name.as_str()).collect();
    assert_eq!(left, ["laptop", "in use", "job of today"]);
}
