//! Connections and transactions.

use std::{path::Path, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    Any, AnyPool, Connection as _, Transaction,
    any::{AnyConnectOptions, AnyPoolOptions},
    migrate::Migrator,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::changes;
use crate::trace::Span;

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

/// Readers don't block each other in WAL mode; more connections than this only cost memory. Beside them is one that
/// writes.
const SQLITE_CONNECTIONS: u32 = 8;
const POSTGRES_CONNECTIONS: u32 = 16;
/// How long a request waits for a connection before it is answered with 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(20);

/// Which database is behind the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The embedded default.
    Sqlite,
    /// For teams.
    Postgres,
}

impl Backend {
    /// Its name, as OpenTelemetry has it.
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }
}

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Neither `sqlite:` nor `postgres:`.
    #[error("the database URL starts with `{0}:`; it must start with `sqlite:` or `postgres:`")]
    Scheme(String),
    /// Connecting failed.
    #[error("can't open the database: {0}")]
    Connect(#[source] sqlx::Error),
    /// The schema is of another version.
    #[error("the database is not migrated to this version; run `hub-server migrate` first")]
    Outdated,
    /// A migration failed.
    #[error("can't migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// The database.
#[derive(Debug, Clone)]
pub(crate) struct Db {
    pool: AnyPool,
    /// For what writes. An embedded database has one writer at a time: always the same connection has every statement
    /// prepared, and the pages at hand that it wrote itself.
    writer: AnyPool,
    /// The connection of an embedded database whose commits are flushed with the next one of another.
    unflushed: Option<AnyPool>,
    backend: Backend,
    /// SQLite has one writer at a time: waiting here is fair and wakes at once,
    /// where waiting for SQLite's own lock polls.
    gate: Arc<Semaphore>,
}

/// How the schema of a database differs from that of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schema {
    /// Migrations of this version that did not run.
    pub(crate) missing: usize,
    /// Migrations that this version does not know.
    pub(crate) unknown: usize,
}

/// A transaction that may write. Dropped without [`commit`](Self::commit), nothing happened.
pub(crate) struct WriteTx {
    tx: Transaction<'static, Any>,
    /// What its commit adds to the changes that others follow.
    changes: Vec<changes::Noted>,
    backend: Backend,
    span: Span,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Db {
    /// Connects to `url`.
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        let scheme = url.split(':').next().unwrap_or_default();
        let backend = match scheme {
            "sqlite" => Backend::Sqlite,
            "postgres" | "postgresql" => Backend::Postgres,
            other => return Err(OpenError::Scheme(other.to_owned())),
        };
        let options = AnyConnectOptions::from_str(url).map_err(OpenError::Connect)?;
        let size = match backend {
            Backend::Sqlite => SQLITE_CONNECTIONS,
            Backend::Postgres => POSTGRES_CONNECTIONS,
        };
        // FULL: an acknowledged publish or upload survives a power cut.
        let flushing = "PRAGMA synchronous = FULL";
        let pool = pool(backend, size, flushing);
        let pool = pool.connect_with(options.clone()).await.map_err(OpenError::Connect)?;
        let one = |flushing| self::pool(backend, 1, flushing).connect_lazy_with(options.clone());
        let (writer, unflushed) = match backend {
            Backend::Sqlite => (one(flushing), Some(one("PRAGMA synchronous = NORMAL"))),
            Backend::Postgres => (pool.clone(), None),
        };
        Ok(Self { pool, writer, unflushed, backend, gate: Arc::new(Semaphore::new(1)) })
    }

    /// The URL of the embedded database inside `folder`.
    pub(crate) fn embedded_url(folder: &Path) -> String {
        // `?` and `#` would end the path, `%` start an escape.
        let path = folder.join("registry.sqlite").to_string_lossy().replace('%', "%25");
        format!("sqlite:{}?mode=rwc", path.replace('?', "%3F").replace('#', "%23"))
    }

    /// Brings the schema up to this version.
    pub(crate) async fn migrate(&self) -> Result<(), OpenError> {
        match self.backend {
            Backend::Sqlite => SQLITE.run(&self.pool).await?,
            Backend::Postgres => POSTGRES.run(&self.pool).await?,
        }
        Ok(())
    }

    /// Brings the schema up to the migration `last`, as an earlier release had it.
    #[cfg(test)]
    pub(crate) async fn migrate_up_to(&self, last: i64) {
        let all = match self.backend {
            Backend::Sqlite => &SQLITE,
            Backend::Postgres => &POSTGRES,
        };
        let migrations = all.iter().filter(|m| m.version <= last).cloned().collect::<Vec<_>>();
        let earlier = Migrator { migrations: migrations.into(), ..Migrator::DEFAULT };
        earlier.run(&self.pool).await.expect("migrates");
    }

    /// Refuses a schema that lacks a migration of this version.
    pub(crate) async fn require_current(&self) -> Result<(), OpenError> {
        if self.schema().await.missing == 0 { Ok(()) } else { Err(OpenError::Outdated) }
    }

    /// The schema, compared with that of this version.
    pub(crate) async fn schema(&self) -> Schema {
        let known = match self.backend {
            Backend::Sqlite => &SQLITE,
            Backend::Postgres => &POSTGRES,
        };
        let applied: Result<Vec<(i64,)>, _> =
            sqlx::query_as("SELECT version FROM _sqlx_migrations").fetch_all(&self.pool).await;
        let applied = applied.unwrap_or_default();
        let is_there = |version| applied.iter().any(|&(found,)| found == version);
        let is_known = |version| known.iter().any(|migration| migration.version == version);
        Schema {
            missing: known.iter().filter(|migration| !is_there(migration.version)).count(),
            unknown: applied.iter().filter(|&&(version,)| !is_known(version)).count(),
        }
    }

    /// The time of the database's own clock, in microseconds since 1970; an embedded one has none.
    pub(crate) async fn clock(&self) -> Result<Option<i64>, sqlx::Error> {
        if self.backend == Backend::Sqlite {
            return Ok(None);
        }
        let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";
        let (micros,): (i64,) = sqlx::query_as(sql).fetch_one(&self.pool).await?;
        Ok(Some(micros))
    }

    /// For statements that only read.
    pub(crate) const fn read(&self) -> &AnyPool {
        &self.pool
    }

    /// Which database it is.
    pub(crate) const fn backend(&self) -> Backend {
        self.backend
    }

    /// Begins a transaction that may write. SQLite takes its write lock at once:
    /// a transaction that reads first and writes later could not be retried.
    pub(crate) async fn write(&self) -> Result<WriteTx, sqlx::Error> {
        self.begin(&self.writer).await
    }

    /// The same for what nobody misses from whom a power cut takes it: they ask again, and it is made anew. Its
    /// commit does not wait for the disk; everyone sees it, and a later commit that does brings it there too.
    pub(crate) async fn write_unflushed(&self) -> Result<WriteTx, sqlx::Error> {
        let mut tx = self.begin(self.unflushed.as_ref().unwrap_or(&self.writer)).await?;
        if self.backend == Backend::Postgres {
            sqlx::query("SET LOCAL synchronous_commit = off").execute(tx.connection()).await?;
        }
        Ok(tx)
    }

    async fn begin(&self, pool: &AnyPool) -> Result<WriteTx, sqlx::Error> {
        let span = Span::transaction(self.backend.name());
        let (tx, turn) = match self.backend {
            Backend::Sqlite => {
                let turn = Arc::clone(&self.gate).acquire_owned().await.ok();
                (span.judged(pool.begin_with("BEGIN IMMEDIATE").await)?, turn)
            }
            Backend::Postgres => (span.judged(pool.begin().await)?, None),
        };
        Ok(WriteTx { tx, changes: Vec::new(), backend: self.backend, span, _turn: turn })
    }

    /// Begins a transaction that only reads, and sees one moment throughout.
    pub(crate) async fn snapshot(&self) -> Result<WriteTx, sqlx::Error> {
        let begin = match self.backend {
            Backend::Sqlite => "BEGIN",
            Backend::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let span = Span::transaction(self.backend.name());
        let tx = span.judged(self.pool.begin_with(begin).await)?;
        Ok(WriteTx { tx, changes: Vec::new(), backend: self.backend, span, _turn: None })
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(|_| ())
    }

    /// Closes every connection, finishing what they do.
    pub(crate) async fn close(&self) {
        if let Some(unflushed) = &self.unflushed {
            unflushed.close().await;
        }
        self.writer.close().await;
        self.pool.close().await;
    }
}

/// Connections to a database, how many at most. `flushing` is what an embedded one does at a commit.
fn pool(backend: Backend, size: u32, flushing: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A server may have gone; a file is there, and asking costs as much as a query.
        .test_before_acquire(backend == Backend::Postgres)
        // SQLite ends a transaction itself when the disk is full or fails. sqlx, whose rollback then
        // fails, takes the connection for one within a transaction, and nothing could begin on it.
        .before_acquire(|connection, _| {
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                if backend == Backend::Sqlite {
                    for pragma in [
                        "PRAGMA busy_timeout = 15000",
                        "PRAGMA journal_mode = WAL",
                        flushing,
                        "PRAGMA foreign_keys = ON",
                    ] {
                        sqlx::query(pragma).execute(&mut *connection).await?;
                    }
                }
                Ok(())
            })
        })
}

/// The migrations that ran on a database.
pub(crate) async fn applied(tx: &mut WriteTx) -> Result<Vec<i64>, sqlx::Error> {
    let rows: Vec<(i64,)> = sqlx::query_as("SELECT version FROM _sqlx_migrations ORDER BY version")
        .fetch_all(tx.connection())
        .await?;
    Ok(rows.into_iter().map(|(version,)| version).collect())
}

impl WriteTx {
    /// The connection, to execute statements on.
    pub(crate) fn connection(&mut self) -> &mut sqlx::AnyConnection {
        &mut self.tx
    }

    /// Which database it is.
    pub(crate) const fn backend(&self) -> Backend {
        self.backend
    }

    /// Notes a change, which the commit gives its place among all changes.
    pub(super) fn note(&mut self, change: changes::Noted) {
        self.changes.push(change);
    }

    /// Makes everything done in it visible, all at once.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        if !self.changes.is_empty() {
            changes::write(&mut self.tx, &self.changes).await?;
        }
        self.span.judged(self.tx.commit().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_have_the_same_migrations() {
        let names =
            |m: &Migrator| m.iter().map(|m| (m.version, m.description.to_string())).collect::<Vec<_>>();
        assert_eq!(names(&SQLITE), names(&POSTGRES));
    }

    #[tokio::test]
    async fn a_database_that_was_not_migrated_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        // A folder name with everything that means something in a URL.
        let odd = folder.path().join("a b?c#d%20");
        std::fs::create_dir(&odd).expect("makes a folder");
        let db = Db::open(&Db::embedded_url(&odd)).await.expect("opens");
        assert!(matches!(db.require_current().await, Err(OpenError::Outdated)));
        db.migrate().await.expect("migrates");
        db.require_current().await.expect("is current");
        assert!(odd.join("registry.sqlite").is_file());
    }

    /// Every connection whose commits are flushed.
    async fn connections(db: &Db) -> Vec<sqlx::pool::PoolConnection<Any>> {
        let mut all = vec![db.writer.acquire().await.expect("the writer")];
        for _ in 0..SQLITE_CONNECTIONS {
            all.push(db.read().acquire().await.expect("a connection"));
        }
        all
    }

    /// Gives the database no more pages than it has, or as many as it wants.
    async fn limit(db: &Db, pages: u32) {
        for mut connection in connections(db).await {
            let sql = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
            sqlx::query(sql).execute(&mut *connection).await.expect("limits");
        }
    }

    async fn namespaces(db: &Db) -> i64 {
        let (count,) =
            sqlx::query_as("SELECT COUNT(*) FROM namespaces").fetch_one(db.read()).await.expect("counts");
        count
    }

    #[tokio::test]
    async fn a_full_database_says_so_changes_nothing_and_loses_no_connection() {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Db::open(&Db::embedded_url(folder.path())).await.expect("opens");
        db.migrate().await.expect("migrates");
        limit(&db, 1).await;
        let before = namespaces(&db).await;
        let mut tx = db.write().await.expect("begins");
        let full = loop {
            let sql = "INSERT INTO namespaces (name, created_at) VALUES ('n' || hex(randomblob(500)), 0)";
            if let Err(error) = sqlx::query(sql).execute(tx.connection()).await {
                break crate::error::ApiError::from(error);
            }
        };
        assert_eq!(full.problem.status, 507, "{full:?}");
        drop(tx);
        limit(&db, u32::MAX).await;
        assert_eq!(namespaces(&db).await, before);
        db.write().await.expect("begins").commit().await.expect("commits");
        let mut all = Vec::new();
        for _ in 0..SQLITE_CONNECTIONS {
            all.push(db.snapshot().await.expect("begins on every connection"));
        }
    }

    #[tokio::test]
    async fn every_commit_is_flushed_but_those_that_nobody_misses_which_all_see() {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Db::open(&Db::embedded_url(folder.path())).await.expect("opens");
        db.migrate().await.expect("migrates");
        let flushing = async |connection: &mut sqlx::AnyConnection| {
            let found: (i64,) =
                sqlx::query_as("PRAGMA synchronous").fetch_one(connection).await.expect("asks");
            found.0
        };
        let before = namespaces(&db).await;
        let mut tx = db.write_unflushed().await.expect("begins");
        assert_eq!(flushing(tx.connection()).await, 1, "NORMAL: the log is flushed before it is copied");
        let sql = "INSERT INTO namespaces (name, created_at) VALUES ('ada', 0)";
        sqlx::query(sql).execute(tx.connection()).await.expect("inserts");
        tx.commit().await.expect("commits");
        assert_eq!(namespaces(&db).await, before + 1);
        for connection in &mut connections(&db).await {
            assert_eq!(flushing(connection).await, 2, "FULL");
        }
    }

    #[tokio::test]
    async fn another_kind_of_database_is_named_in_the_refusal() {
        let error = Db::open("mysql://localhost/hub").await.expect_err("not supported");
        assert_eq!(
            error.to_string(),
            "the database URL starts with `mysql:`; it must start with `sqlite:` or `postgres:`"
        );
    }
}
