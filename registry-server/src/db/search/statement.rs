//! A question as the statements of search take it, and what they share.

use hub_schemas::label::TaskId;
use sqlx::{Any, query::QueryAs};

use super::{Backend, Db, Filters, Place, listings, popular, postgres, sqlite};
use crate::domain::{permissions::Viewer, words};

type Arguments = <Any as sqlx::Database>::Arguments;

/// Where the words must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matching {
    /// In the full-text index.
    Index,
    /// In `listings.words` too, as where the most pulled adapters are looked at: then one page follows
    /// the other, wherever each was found.
    IndexAndListing,
}

/// Who asks for what.
pub(super) struct Question<'a> {
    viewer: &'a Viewer,
    filters: &'a Filters,
    backend: Backend,
    /// The words as the full-text index takes them.
    indexed: String,
    /// The same and the words of the task that is wanted: what is of another task need not be read then.
    /// Relevance does not count them.
    of_task: String,
    /// The words as a pattern for `listings.words`; empty where any will do.
    pattern: String,
}

impl<'a> Question<'a> {
    pub(super) fn new(backend: Backend, viewer: &'a Viewer, filters: &'a Filters) -> Self {
        let (indexed, pattern) = match (&filters.words, backend) {
            (None, _) => (String::new(), String::new()),
            (Some(words), Backend::Sqlite) => (sqlite::query(words), words::pattern(words)),
            (Some(words), Backend::Postgres) => (postgres::query(words), words::pattern(words)),
        };
        let with = match backend {
            Backend::Sqlite => sqlite::of_task,
            Backend::Postgres => postgres::of_task,
        };
        let of_task = task_words(filters).iter().fold(indexed.clone(), |query, word| with(&query, word));
        Self { viewer, filters, backend, indexed, of_task, pattern }
    }

    /// How many results there are, up to `most`, and how many of them have the words as `listings.words`
    /// has them. The index may find more: that of SQLite takes letters without their accents.
    pub(super) async fn count(&self, db: &Db, most: u64) -> Result<(u64, u64), sqlx::Error> {
        let sql = match (&self.filters.words, self.backend) {
            (None, _) => popular::COUNT,
            (Some(_), Backend::Sqlite) => sqlite::COUNT,
            (Some(_), Backend::Postgres) => postgres::COUNT,
        };
        let query =
            self.bind(sqlx::query_as(sql), &self.of_task).bind(most as i64).bind(self.pattern.clone());
        let (count, plain): (i64, i64) = query.fetch_one(db.read()).await?;
        Ok((count as u64, plain as u64))
    }

    /// The results at `place` and the one behind them, by relevance.
    pub(super) async fn relevant(&self, db: &Db, place: Place) -> Result<Vec<listings::Row>, sqlx::Error> {
        let sql = match self.backend {
            Backend::Sqlite => sqlite::RELEVANT,
            Backend::Postgres => postgres::RELEVANT,
        };
        self.page(sql, &self.indexed, place).fetch_all(db.read()).await
    }

    /// The same by pulls, found among the `window` adapters that are pulled most.
    pub(super) async fn among(
        &self,
        db: &Db,
        place: Place,
        window: u64,
    ) -> Result<Vec<listings::Row>, sqlx::Error> {
        let sql = match self.backend {
            Backend::Sqlite => sqlite::AMONG_MOST_PULLED,
            Backend::Postgres => postgres::AMONG_MOST_PULLED,
        };
        let query = self.page(sql, &self.pattern, place);
        query.bind(window as i64).fetch_all(db.read()).await
    }

    /// The same by pulls, found among all.
    pub(super) async fn among_all(
        &self,
        db: &Db,
        place: Place,
        matching: Matching,
    ) -> Result<Vec<listings::Row>, sqlx::Error> {
        let sql = match (&self.filters.words, self.backend) {
            (None, _) => popular::ALL,
            (Some(_), Backend::Sqlite) => sqlite::POPULAR,
            (Some(_), Backend::Postgres) => postgres::POPULAR,
        };
        let pattern = match matching {
            Matching::Index => String::new(),
            Matching::IndexAndListing => self.pattern.clone(),
        };
        self.page(sql, &self.of_task, place).bind(pattern).fetch_all(db.read()).await
    }

    /// Binds the place too: $11 and $12.
    fn page<'q>(
        &self,
        sql: &'static str,
        words: &str,
        place: Place,
    ) -> QueryAs<'q, Any, listings::Row, Arguments> {
        self.bind(sqlx::query_as(sql), words).bind(i64::from(place.limit) + 1).bind(place.offset as i64)
    }

    /// Binds $1 to $10, which every statement shares.
    fn bind<'q, T>(
        &self,
        query: QueryAs<'q, Any, T, Arguments>,
        words: &str,
    ) -> QueryAs<'q, Any, T, Arguments> {
        let filters = self.filters;
        let language = if filters.language.is_empty() {
            String::new()
        } else {
            format!("% {} %", filters.language.to_lowercase())
        };
        query
            .bind(self.viewer.user().to_owned())
            .bind(filters.task.clone())
            .bind(filters.base.clone())
            .bind(filters.architecture.clone())
            .bind(filters.method.clone())
            .bind(language)
            .bind(filters.license.clone())
            .bind(words.to_owned())
            .bind(self.viewer.limited_token().to_owned())
            .bind(filters.kind.clone())
    }
}

/// The words of the task that is wanted, where there are words beside it. What is no task is none of a listing,
/// and could have any number of words.
fn task_words(filters: &Filters) -> Vec<String> {
    let has_words = filters.words.as_ref().is_some_and(|words| !words.is_empty());
    let task = filters.task.parse::<TaskId>().ok().filter(|_| has_words);
    task.iter().flat_map(|task| words::split(task.as_str())).collect()
}

/// The conditions that all searches share, of the listing `l` and its adapter `a`.
macro_rules! conditions {
    () => {
        concat!(
            visible_to!("$1", "$9"),
            "
         AND ($2 = '' OR l.task = $2 OR l.subtask = $2)
         AND ($3 = '' OR LOWER(l.base_id) = LOWER($3) OR l.base_digest = $3)
         AND ($4 = '' OR l.architecture = $4)
         AND ($5 = '' OR l.method = $5)
         AND ($6 = '' OR LOWER(l.languages) LIKE $6)
         AND ($7 = '' OR LOWER(l.license) = LOWER($7))
         AND ($10 = '' OR a.kind = $10)"
        )
    };
}
pub(super) use conditions;
