//! Work that no request waits for: a row in `jobs`, written in the transaction that
//! causes it, and taken by whichever server or worker is free.
//!
//! A job may run twice (its process was killed between the work and the row), so
//! every [`Job`] is written to be repeated.

mod delete_object;
mod deliver;
mod follow;
mod forget;
mod garbage;
mod keep_manifest;
mod retire;
mod runner;
mod sweep;

use std::{future::Future, pin::Pin, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

pub(crate) use delete_object::DeleteObject;
pub(crate) use deliver::{Deliver, announce};
pub(crate) use follow::FollowRegistries;
pub(crate) use forget::ForgetTokens;
pub(crate) use garbage::{CollectGarbage, remove_unknown, review};
pub(crate) use keep_manifest::KeepManifest;
pub(crate) use retire::RetireVersions;
pub(crate) use runner::run;
pub(crate) use sweep::SweepUploads;

use crate::{
    app::App,
    db::{WriteTx, jobs},
    storage::StorageError,
    trace,
};

/// Something to do later. Its fields are what it needs to know, kept as JSON.
pub(crate) trait Job: Serialize + DeserializeOwned + Send + 'static {
    /// Its name in the database, in metrics and in the log.
    const KIND: &'static str;
    /// How often it is tried before it is given up: with the waits of [`backoff`], half a day.
    const ATTEMPTS: i64 = 18;
    /// It is done again after this time, for ever.
    const EVERY: Option<Duration> = None;
    /// It removes what is old enough, so it waits while the clock can't be believed.
    const BY_AGE: bool = false;

    /// Does it.
    fn run(self, app: &App) -> impl Future<Output = Result<(), JobError>> + Send;

    /// Puts it into the queue; it runs once the transaction is committed.
    fn enqueue(&self, tx: &mut WriteTx) -> impl Future<Output = Result<(), sqlx::Error>> + Send
    where
        Self: Sync,
    {
        async move {
            let mut payload = serde_json::to_value(self).map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
            trace::note_cause(&mut payload);
            jobs::insert(tx, Self::KIND, &payload.to_string(), Duration::ZERO).await
        }
    }
}

/// Why a job failed this time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("its values can't be read: {0}")]
    Payload(#[from] serde_json::Error),
    /// A webhook did not take an event.
    #[error("{0}")]
    Delivery(String),
    /// Made by a newer server, which will take it.
    #[error("this version of the server has no job of the kind `{0}`")]
    Unknown(String),
    #[error("it panicked: {0}")]
    Panicked(String),
}

impl JobError {
    /// The error in a word, for traces.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Database(_) => "database",
            Self::Storage(_) => "storage",
            Self::Payload(_) => "payload",
            Self::Delivery(_) => "delivery",
            Self::Unknown(_) => "unknown-job",
            Self::Panicked(_) => "panic",
        }
    }
}

type Work = Pin<Box<dyn Future<Output = Result<(), JobError>> + Send>>;

/// A kind of job, without its type.
struct Kind {
    name: &'static str,
    attempts: i64,
    every: Option<Duration>,
    by_age: bool,
    run: fn(App, String) -> Work,
}

impl Kind {
    const fn of<J: Job>() -> Self {
        Self { name: J::KIND, attempts: J::ATTEMPTS, every: J::EVERY, by_age: J::BY_AGE, run: start::<J> }
    }
}

fn start<J: Job>(app: App, payload: String) -> Work {
    Box::pin(async move { serde_json::from_str::<J>(&payload)?.run(&app).await })
}

/// Every kind of job there is.
const KINDS: [Kind; 8] = [
    Kind::of::<DeleteObject>(),
    Kind::of::<SweepUploads>(),
    Kind::of::<CollectGarbage>(),
    Kind::of::<Deliver>(),
    Kind::of::<KeepManifest>(),
    Kind::of::<RetireVersions>(),
    Kind::of::<FollowRegistries>(),
    Kind::of::<ForgetTokens>(),
];

/// The name of every kind.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name)
}

/// How long to wait after the n-th failure: two seconds, doubled, at most an hour.
fn backoff(failures: i64) -> Duration {
    let doublings = u32::try_from(failures.clamp(1, 12)).unwrap_or(12);
    Duration::from_secs(1 << doublings).min(Duration::from_hours(1))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::drain;
