//! The database: reachable, migrated, in time.

use time::OffsetDateTime;

use super::Check;
use crate::{
    config::Config,
    db::{Db, Schema, clock, jobs},
};

/// More than this and times in the audit log are hard to compare.
const SKEW_WARN_MICROS: u64 = 2_000_000;
/// Half of the lease of a job: with more, two workers could hold the same one.
const SKEW_FAIL_MICROS: u64 = 30_000_000;

/// The database, when it can be used, and what was found.
pub(super) async fn examine(config: &Config) -> (Option<Db>, Vec<Check>) {
    const NAME: &str = "database";
    let url = match &config.database_url {
        Some(url) => url.clone(),
        None if !config.data.join("registry.sqlite").exists() => {
            let found = "the embedded one is not there yet; the server makes it";
            return (None, vec![Check::ok(NAME, found)]);
        }
        None => Db::embedded_url(&config.data),
    };
    let embedded = config.database_url.is_none();
    let db = match Db::open(&url).await {
        Ok(db) => db,
        Err(error) => {
            let next = if embedded {
                "check that the user who runs the server may read and write `registry.sqlite` in the data folder"
            } else {
                "check `database_url`, that the database server runs, and that it lets this user in"
            };
            return (None, vec![Check::fail(NAME, error.to_string(), next)]);
        }
    };
    let mut report = vec![judge_schema(db.schema().await, embedded && !config.read_only)];
    report.extend(time(&db).await);
    report.extend(given_up(&db).await);
    (Some(db), report)
}

fn judge_schema(schema: Schema, migrates_itself: bool) -> Check {
    const NAME: &str = "database";
    let Schema { missing, unknown } = schema;
    if unknown > 0 {
        let found = format!("it has {unknown} migrations of a newer version");
        return Check::warn(
            NAME,
            found,
            "upgrade this server; a version two releases older must not write there",
        );
    }
    match missing {
        0 => Check::ok(NAME, "reachable, and migrated to this version"),
        _ if migrates_itself => {
            Check::ok(NAME, format!("reachable; the server runs {missing} migrations at start"))
        }
        _ => Check::fail(
            NAME,
            format!("{missing} migrations of this version did not run"),
            "run `hub-server migrate`",
        ),
    }
}

/// Our clock against the database's.
async fn time(db: &Db) -> Option<Check> {
    let before = OffsetDateTime::now_utc();
    match db.clock().await {
        Ok(None) => None,
        Ok(Some(theirs)) => {
            let after = OffsetDateTime::now_utc();
            Some(judge_skew(theirs - clock::micros(before + (after - before) / 2)))
        }
        Err(error) => Some(Check::fail(
            "clock",
            format!("the database does not tell the time: {error}"),
            "see `database` above",
        )),
    }
}

fn judge_skew(micros: i64) -> Check {
    const NAME: &str = "clock";
    let next = "let NTP set the clocks of both machines (`timedatectl set-ntp true`): leases of jobs and the expiry \
                of tokens depend on them";
    let found = format!("the database's clock is {:.1} s {} this one", micros.unsigned_abs() as f64 / 1e6, {
        if micros < 0 { "behind" } else { "ahead of" }
    });
    match micros.unsigned_abs() {
        SKEW_FAIL_MICROS.. => Check::fail(NAME, found, next),
        SKEW_WARN_MICROS.. => Check::warn(NAME, found, next),
        _ => Check::ok(NAME, found),
    }
}

/// Jobs that failed for the last time.
async fn given_up(db: &Db) -> Option<Check> {
    // A database that was not migrated has no such table; `database` says so.
    let counts = jobs::counts(db).await.ok()?;
    let failed: Vec<String> =
        counts.iter().filter(|c| c.failed > 0).map(|c| format!("{} of `{}`", c.failed, c.kind)).collect();
    let waiting: i64 = counts.iter().map(|c| c.waiting).sum();
    Some(if failed.is_empty() {
        Check::ok("jobs", format!("{waiting} wait, none was given up"))
    } else {
        let found = format!("given up: {}", failed.join(", "));
        Check::warn(
            "jobs",
            found,
            "the column `last_error` of the table `jobs` says why; remove the rows once solved",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn a_clock_that_is_off_is_named_with_its_distance() {
        assert_eq!(judge_skew(100_000).status, Status::Ok);
        let behind = judge_skew(-3_000_000);
        assert_eq!(
            (behind.status, behind.found.as_str()),
            (Status::Warn, "the database's clock is 3.0 s behind this one")
        );
        assert_eq!(judge_skew(31_000_000).status, Status::Fail);
    }

    #[test]
    fn a_schema_of_another_version_has_a_next_step() {
        let status = |missing, unknown, itself| judge_schema(Schema { missing, unknown }, itself).status;
        assert_eq!(status(0, 0, false), Status::Ok);
        assert_eq!(status(1, 0, false), Status::Fail);
        assert_eq!(status(1, 0, true), Status::Ok);
        assert_eq!(status(0, 1, false), Status::Warn);
    }
}
