//! Taking jobs and doing them, one at a time per task.

use std::time::Duration;

use ::time::OffsetDateTime;
use tokio::{sync::watch, task::JoinSet, time};

use super::{JobError, KINDS, Kind, backoff};
use crate::{
    app::App,
    db::{
        clock,
        jobs::{self, Fate, Held},
        reviews, uploads,
    },
    trace::Span,
};

/// Jobs that one process does at once. They wait for database and network, not for processors.
const AT_ONCE: usize = 4;
/// How long a job is held without a sign of life.
const LEASE: Duration = Duration::from_mins(1);
const RENEW: Duration = Duration::from_secs(20);
/// How often dates are looked at.
const MEND: Duration = Duration::from_mins(1);
/// Nothing is put off for longer than an hour; the other one is for clocks of replicas that differ.
const FARTHEST: Duration = Duration::from_hours(2);
/// How often an idle process looks.
const POLL: Duration = Duration::from_secs(2);

/// Does jobs until `stop` says so; the one at hand is finished.
pub(crate) async fn run(app: App, stop: watch::Receiver<bool>) {
    if let Err(error) = queue_recurring(&app).await {
        tracing::warn!(%error, "Could not queue the jobs that recur: {error}");
    }
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        tasks.spawn(take_turns(app.clone(), stop.clone()));
    }
    let mending = tokio::spawn(mend_dates(app));
    while tasks.join_next().await.is_some() {}
    mending.abort();
}

/// Brings work back that a wrong clock put off for longer than anything is put off: else it would wait until then.
async fn mend_dates(app: App) {
    let mut ticks = time::interval(MEND);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match bring_back(&app).await {
            Ok(0) => {}
            Ok(found) => {
                tracing::warn!(rows.count = found, "Brought {found} dates back that a wrong clock wrote");
            }
            Err(error) => {
                tracing::warn!(%error, "Could not look for dates that a wrong clock wrote: {error}");
            }
        }
    }
}

async fn bring_back(app: &App) -> Result<u64, sqlx::Error> {
    let now = clock::now();
    let beyond = clock::micros(OffsetDateTime::now_utc() + FARTHEST);
    let mut tx = app.db.write().await?;
    let found = jobs::bring_back(&mut tx, beyond, now).await?
        + reviews::bring_back(&mut tx, beyond, now).await?
        + uploads::bring_back(&mut tx, beyond, now).await?;
    tx.commit().await?;
    Ok(found)
}

async fn queue_recurring(app: &App) -> Result<(), sqlx::Error> {
    let mut tx = app.db.write().await?;
    for kind in KINDS.iter().filter(|kind| kind.every.is_some()) {
        jobs::insert_recurring(&mut tx, kind.name, "{}").await?;
    }
    tx.commit().await
}

async fn take_turns(app: App, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        match jobs::claim(&app.db, LEASE).await {
            Ok(Some(held)) => {
                if let Err(error) = one(&app, &held).await {
                    tracing::warn!(%error, job.kind = held.kind, "Could not settle a job: {error}");
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "Could not look for jobs: {error}"),
        }
        tokio::select! {
            () = time::sleep(POLL) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// Does a job and settles it.
pub(super) async fn one(app: &App, held: &Held) -> Result<(), sqlx::Error> {
    let kind = KINDS.iter().find(|kind| kind.name == held.kind);
    let span = Span::job(&held.kind, &held.id, held.attempts, &held.payload);
    let result = match kind {
        // Done again soon, as all of these are.
        Some(kind) if kind.by_age && !app.clock.is_steady() => Some(Ok(())),
        Some(kind) => work(app, kind, held, &span).await,
        None => Some(Err(JobError::Unknown(held.kind.clone()))),
    };
    // Another process has it by now.
    let Some(result) = result else { return Ok(()) };
    if let Err(error) = &result {
        span.failed(error.kind());
    }
    let fate = fate(kind, held, result);
    tell(app, held, &fate, &span);
    span.around(jobs::settle(&app.db, held, &fate)).await
}

/// Counts a job that was tried, and logs one that failed.
fn tell(app: &App, held: &Held, fate: &Fate, span: &Span) {
    let _within = span.enter();
    let outcome = match fate {
        Fate::Gone | Fate::Again(_) => "done",
        Fate::Retry(..) => "retried",
        Fate::Failed(_) => "failed",
    };
    app.telemetry.job(&held.kind, outcome);
    if let Fate::Retry(_, error) | Fate::Failed(error) = fate {
        tracing::warn!(
            job.kind = held.kind,
            job.id = held.id,
            job.attempts = held.attempts,
            error,
            "The job `{}` failed, time {}: {error}",
            held.kind,
            held.attempts
        );
    }
}

/// Runs it while the lease is renewed; `None` when the lease was lost.
async fn work(app: &App, kind: &Kind, held: &Held, span: &Span) -> Option<Result<(), JobError>> {
    // A task of its own: a panic ends the job and nothing else. Dropped, it stops.
    let mut task = JoinSet::new();
    task.spawn(span.around((kind.run)(app.clone(), held.payload.clone())));
    let mut renewals = time::interval(RENEW);
    renewals.tick().await;
    loop {
        tokio::select! {
            done = task.join_next() => return Some(match done {
                Some(Ok(result)) => result,
                Some(Err(error)) => Err(JobError::Panicked(error.to_string())),
                None => Ok(()),
            }),
            _ = renewals.tick() => if matches!(jobs::renew(&app.db, held, LEASE).await, Ok(false)) {
                return None;
            }
        }
    }
}

fn fate(kind: Option<&Kind>, held: &Held, result: Result<(), JobError>) -> Fate {
    let every = kind.and_then(|kind| kind.every);
    match (result, every) {
        (Ok(()), Some(every)) => Fate::Again(every),
        (Ok(()), None) => Fate::Gone,
        (Err(error), every) => {
            let last = kind.is_some_and(|kind| held.attempts >= kind.attempts) && every.is_none();
            if last {
                Fate::Failed(error.to_string())
            } else {
                Fate::Retry(backoff(held.attempts), error.to_string())
            }
        }
    }
}
