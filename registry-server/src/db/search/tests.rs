//! What search finds on both databases where there are more results than it counts.

use super::*;
use crate::{domain::words, test_services::postgres::Postgres};

/// Few enough that some rows are very many.
const SMALL: Bounds = Bounds { counted: 5, window: 10 };

/// One adapter as its rows have it.
struct Sample<'a> {
    name: &'a str,
    pulls: i64,
    visibility: &'a str,
    task: &'a str,
    body: &'a str,
}

/// A public one.
const fn public<'a>(name: &'a str, pulls: i64, body: &'a str) -> Sample<'a> {
    Sample { name, pulls, visibility: "public", task: "topic", body }
}

/// An SQLite and a PostgreSQL database with these adapters; the folder is that of the first.
async fn both(samples: &[Sample<'_>]) -> (tempfile::TempDir, [Db; 2]) {
    let folder = tempfile::tempdir().expect("a folder");
    let embedded = filled(&Db::embedded_url(folder.path()), samples).await;
    let served = filled(&Postgres::shared().database(None), samples).await;
    (folder, [embedded, served])
}

async fn filled(url: &str, samples: &[Sample<'_>]) -> Db {
    let db = Db::open(url).await.expect("opens");
    db.migrate().await.expect("migrates");
    let mut tx = db.write().await.expect("begins");
    sqlx::query("INSERT INTO namespaces (name, created_at) VALUES ('ada', 0)")
        .execute(tx.connection())
        .await
        .expect("inserts");
    for sample in samples {
        insert(&mut tx, sample).await;
    }
    tx.commit().await.expect("commits");
    db
}

/// Inserts an adapter whose identifier is its name.
async fn insert(tx: &mut WriteTx, sample: &Sample<'_>) {
    let document = |text| words::document([text]);
    let found =
        Words { name: document(sample.name), task: document(sample.task), body: document(sample.body) };
    let sql = "INSERT INTO adapters (id, namespace, name, visibility, pulls, created_at)
               VALUES ($1, 'ada', $1, $2, $3, 0)";
    sqlx::query(sql)
        .bind(sample.name)
        .bind(sample.visibility)
        .bind(sample.pulls)
        .execute(tx.connection())
        .await
        .expect("inserts");
    let digest = hub_schemas::digest::Digest::of(b"some bytes").to_string();
    let sql = "INSERT INTO listings (adapter_id, version, digest, description, task, subtask, languages, license,
                   base_id, base_digest, architecture, method, method_summary, size, published_at, words)
               VALUES ($1, '1.0.0', $2, '', $3, '', ' en ', 'MIT', 'tiny', $2, 'bert', 'lora', 'lora', 1, 0, $4)";
    sqlx::query(sql)
        .bind(sample.name)
        .bind(digest)
        .bind(sample.task)
        .bind(found.in_order())
        .execute(tx.connection())
        .await
        .expect("inserts");
    index(tx, sample.name, &found).await.expect("indexes");
}

fn for_words(text: &str) -> Filters {
    Filters { words: Some(words::query(text)), ..Filters::default() }
}

async fn at(db: &Db, filters: &Filters, offset: u64, limit: u32) -> Found {
    page_within(db, &Viewer::anonymous(), filters, Place { offset, limit }, SMALL).await.expect("searches")
}

fn names(found: &Found) -> Vec<&str> {
    found.items.iter().map(|item| item.name.name.as_str()).collect()
}

/// All results, read by pages of `limit`.
async fn walk(db: &Db, filters: &Filters, limit: u32) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let found = at(db, filters, all.len() as u64, limit).await;
        all.extend(names(&found).into_iter().map(str::to_owned));
        if !found.is_followed {
            return all;
        }
    }
}

/// Sixteen adapters `a00` to `a15`; pulls come in pairs, so the newer of each pair comes first.
fn sixteen() -> Vec<(String, i64)> {
    (0..16).map(|i| (format!("a{i:02}"), i * 7 % 16 / 2)).collect()
}

fn by_pulls(mut samples: Vec<(String, i64)>) -> Vec<String> {
    samples.sort_by(|(a, x), (b, y)| (y, b).cmp(&(x, a)));
    samples.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn very_many_results_come_most_pulled_first_on_pages_without_gaps() {
    let all = sixteen();
    let samples: Vec<_> = all.iter().map(|(name, pulls)| public(name, *pulls, "the tone of amber")).collect();
    let (_folder, databases) = both(&samples).await;
    let expected = by_pulls(all);
    for db in &databases {
        for filters in [for_words("tone"), for_words("of amb ton"), Filters::default()] {
            let first = at(db, &filters, 0, 2).await;
            assert_eq!((first.total, first.more, first.is_followed), (5, true, true));
            // Within the window, across its end, and one page over all of it.
            for limit in [1, 3, 4, 7, 16, 20] {
                assert_eq!(walk(db, &filters, limit).await, expected, "{limit} a page of {filters:?}");
            }
            let beyond = at(db, &filters, 99, 2).await;
            assert_eq!((beyond.items.len(), beyond.is_followed), (0, false));
        }
        assert_eq!(at(db, &for_words("tone absent"), 0, 2).await.total, 0, "every word must match");
    }
}

#[tokio::test]
async fn filters_hold_among_the_most_pulled_and_among_all() {
    let all = sixteen();
    let is_rare = |name: &str| name.ends_with('1') || name.ends_with('3');
    let samples: Vec<_> = all
        .iter()
        .map(|(name, pulls)| {
            let task = if is_rare(name) { "emotion" } else { "topic" };
            Sample { task, ..public(name, *pulls, "the tone of amber") }
        })
        .collect();
    let (_folder, databases) = both(&samples).await;
    let kept = |rare: bool| by_pulls(all.iter().filter(|(n, _)| is_rare(n) == rare).cloned().collect());
    for db in &databases {
        for words in [Some(vec!["tone".to_owned()]), None] {
            let filters =
                |task: &str| Filters { words: words.clone(), task: task.to_owned(), ..Filters::default() };
            assert_eq!(walk(db, &filters("topic"), 3).await, kept(false));
            let found = at(db, &filters("emotion"), 0, 5).await;
            assert_eq!((found.items.len(), found.total, found.more, found.is_followed), (4, 4, false, false));
            let mut rare = walk(db, &filters("emotion"), 3).await;
            if words.is_some() {
                rare = by_pulls(all.iter().filter(|(n, _)| rare.contains(n)).cloned().collect());
            }
            assert_eq!(rare, kept(true));
        }
    }
}

#[tokio::test]
async fn what_nobody_may_see_is_not_shown_not_counted_and_changes_no_order() {
    let hidden: Vec<_> = (0..12).map(|i| format!("hidden{i:02}")).collect();
    let mut samples: Vec<_> =
        hidden.iter().map(|name| Sample { visibility: "private", ..public(name, 100, "tone") }).collect();
    samples.extend([
        public("tone", 0, ""),
        public("other", 9, "one tone in a text that goes on"),
        public("most", 50, "a tone"),
    ]);
    let (_folder, databases) = both(&samples).await;
    for db in &databases {
        let found = at(db, &for_words("tone"), 0, 10).await;
        assert_eq!((found.total, found.more, found.is_followed), (3, false, false));
        assert_eq!(names(&found)[0], "tone", "three results are ordered by relevance");
        let found = at(db, &Filters::default(), 0, 10).await;
        assert_eq!((found.total, found.more, found.is_followed), (3, false, false));
        assert_eq!(names(&found), ["most", "other", "tone"]);
        // Whoever may see them gets all of them by pulls.
        sqlx::query("UPDATE adapters SET visibility = 'public' WHERE name LIKE 'hidden%'")
            .execute(db.read())
            .await
            .expect("shows");
        let found = at(db, &for_words("tone"), 12, 10).await;
        assert_eq!((found.total, found.more), (5, true));
        assert_eq!(names(&found), ["most", "other", "tone"]);
    }
}

#[tokio::test]
async fn the_last_result_that_is_counted_is_no_more_than_are_counted() {
    let all: Vec<_> = sixteen().into_iter().take(6).collect();
    let samples: Vec<_> = all.iter().map(|(name, pulls)| public(name, *pulls, "tone")).collect();
    let (_folder, databases) = both(&samples[..5]).await;
    for db in &databases {
        let found = at(db, &for_words("tone"), 0, 5).await;
        assert_eq!((found.items.len(), found.total, found.more, found.is_followed), (5, 5, false, false));
        let mut tx = db.write().await.expect("begins");
        insert(&mut tx, &samples[5]).await;
        tx.commit().await.expect("commits");
        let found = at(db, &for_words("tone"), 0, 5).await;
        assert_eq!((found.items.len(), found.total, found.more, found.is_followed), (5, 5, true, true));
    }
}

#[tokio::test]
async fn what_only_the_index_finds_is_found_among_very_many_too() {
    let all = sixteen();
    let samples: Vec<_> = all.iter().map(|(name, pulls)| public(name, *pulls, "qualité")).collect();
    let (_folder, [embedded, served]) = both(&samples).await;
    let expected = by_pulls(all);
    // The index of SQLite takes letters without their accents, `listings.words` does not.
    assert_eq!(walk(&embedded, &for_words("qualite"), 3).await, expected);
    assert_eq!(at(&served, &for_words("qualite"), 0, 3).await.total, 0);
    for db in [&embedded, &served] {
        assert_eq!(walk(db, &for_words("qualité"), 3).await, expected);
        // As a server of the previous release writes listings.
        let mut tx = db.write().await.expect("begins");
        sqlx::query("UPDATE listings SET words = NULL").execute(tx.connection()).await.expect("forgets");
        sqlx::query("DELETE FROM listing_words").execute(tx.connection()).await.expect("forgets");
        for (name, _) in sixteen() {
            let words = Words { name: "tone".to_owned(), task: String::new(), body: String::new() };
            index(&mut tx, &name, &words).await.expect("indexes");
        }
        tx.commit().await.expect("commits");
        assert_eq!(walk(db, &for_words("tone"), 3).await, expected);
    }
    let (missing,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM listings WHERE words IS NULL")
        .fetch_one(served.read())
        .await
        .expect("counts");
    assert_eq!(missing, 0, "PostgreSQL, which servers of two releases may share, keeps them itself");
}

#[tokio::test]
async fn rare_spellings_that_only_the_index_finds_never_repeat_a_result() {
    let all = sixteen();
    let (plain, rare) = all.split_at(8);
    let plain = plain.iter().map(|(name, pulls)| public(name, *pulls, "tone"));
    let samples: Vec<_> =
        plain.chain(rare.iter().map(|(name, pulls)| public(name, *pulls, "töne"))).collect();
    let (_folder, databases) = both(&samples).await;
    for db in &databases {
        assert_eq!(walk(db, &for_words("tone"), 3).await, by_pulls(all[..8].to_vec()));
        assert_eq!(
            walk(db, &for_words("töne"), 8).await.len(),
            if db.backend() == Backend::Sqlite { 16 } else { 8 }
        );
    }
}

#[tokio::test]
async fn a_task_beside_words_leaves_out_what_only_mentions_it() {
    let mut samples = vec![
        Sample { task: "named-entities", ..public("first", 1, "tone") },
        Sample { task: "named-entities", ..public("tone", 0, "") },
        Sample { task: "entities", ..public("named", 9, "a tone of named entities") },
    ];
    let found = ["tone", "first"];
    // Few are ordered by relevance, of which the task is no part; very many by pulls.
    let many: Vec<_> = (0..8).map(|i| format!("a{i}")).collect();
    let (_folder, few) = both(&samples).await;
    samples.extend(many.iter().map(|name| Sample { task: "named-entities", ..public(name, 5, "tone") }));
    let (_other, very_many) = both(&samples).await;
    let of = |task: &str| Filters { task: task.to_owned(), ..for_words("tone") };
    for db in &few {
        assert_eq!(names(&at(db, &of("named-entities"), 0, 10).await), found);
    }
    for db in &very_many {
        let expected = ["a7", "a6", "a5", "a4", "a3", "a2", "a1", "a0", "first", "tone"];
        assert_eq!(walk(db, &of("named-entities"), 3).await, expected);
        assert_eq!(walk(db, &of("entities"), 3).await, ["named"]);
    }
    for db in few.iter().chain(&very_many) {
        for no_task in ["named", "Entities", "named entities", "\"' OR :*", "x ".repeat(500).as_str()] {
            assert_eq!(at(db, &of(no_task), 0, 10).await.total, 0, "{no_task}");
        }
        let without = Filters { words: Some(words::query("!!!")), ..of("named-entities") };
        assert_eq!(at(db, &without, 0, 10).await.total, 0, "what has no word finds nothing");
    }
}

/// How many listings there are, how many of them have words, and how many words there are at all.
async fn documents(db: &Db) -> (i64, i64, i64) {
    let sql = "SELECT (SELECT COUNT(*) FROM listings), (SELECT COUNT(*) FROM listings l JOIN listing_words w
                   ON w.rowid = l.document AND w.adapter_id = l.adapter_id),
               (SELECT COUNT(*) FROM listing_words)";
    sqlx::query_as(sql).fetch_one(db.read()).await.expect("counts")
}

#[tokio::test]
async fn an_embedded_listing_says_where_its_words_are_whichever_release_wrote_it() {
    let names: Vec<_> = sixteen().into_iter().map(|(name, _)| name).collect();
    let samples: Vec<_> = names.iter().map(|name| public(name, 0, "tone")).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let db = filled(&Db::embedded_url(folder.path()), &samples).await;
    assert_eq!(documents(&db).await, (16, 16, 16));
    // The previous release writes some anew, the last one among them, as it always did.
    for name in ["a03", "a15", "a07"] {
        let mut tx = db.write().await.expect("begins");
        for (sql, words) in [
            ("DELETE FROM listing_words WHERE adapter_id = $1", false),
            ("CREATE TEMPORARY TABLE kept AS SELECT * FROM listings WHERE adapter_id = $1", false),
            ("DELETE FROM listings WHERE adapter_id = $1", false),
            ("UPDATE kept SET document = NULL WHERE adapter_id = $1", false),
            ("INSERT INTO listings SELECT * FROM kept WHERE adapter_id = $1", true),
        ] {
            sqlx::query(sql).bind(name).execute(tx.connection()).await.expect("writes");
            if words {
                index_as_before(&mut tx, name, "older").await;
            }
        }
        sqlx::query("DROP TABLE kept").execute(tx.connection()).await.expect("drops");
        tx.commit().await.expect("commits");
    }
    assert_eq!(documents(&db).await, (16, 16, 16));
    assert_eq!(walk(&db, &for_words("older"), 10).await.len(), 3);
    // This one forgets all of them, and nothing else.
    let mut tx = db.write().await.expect("begins");
    for name in &names[2..] {
        forget(&mut tx, name).await.expect("forgets");
    }
    tx.commit().await.expect("commits");
    assert_eq!(documents(&db).await, (16, 2, 2));
}

#[tokio::test]
async fn words_that_are_indexed_again_take_the_place_of_those_before() {
    let (_folder, databases) = both(&[public("a00", 0, "tone"), public("a01", 0, "tone")]).await;
    let document = |text| words::document([text]);
    let again = Words { name: document("a00"), task: document("topic"), body: document("mood") };
    for db in &databases {
        let mut tx = db.write().await.expect("begins");
        index(&mut tx, "a00", &again).await.expect("indexes");
        tx.commit().await.expect("commits");
        assert_eq!(walk(db, &for_words("mood"), 10).await, ["a00"]);
        assert_eq!(walk(db, &for_words("tone"), 10).await, ["a01"]);
    }
}
