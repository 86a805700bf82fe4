//! Two processes, one store.
//!
//! Locks are advisory locks on files under `locks/`: the system gives them back
//! when their process ends, however it ends.

use std::{fs::File, fs::TryLockError, time::Duration};

use super::{Cache, CacheError};
use crate::registry::{Event, Reporter};

/// How often a lock that somebody else has is tried again.
const POLL: Duration = Duration::from_millis(100);

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Shared,
    Exclusive,
}

impl Cache {
    /// Held by everyone who adds to the store: nothing is removed meanwhile.
    pub async fn lock_for_adding(&self, reporter: &dyn Reporter) -> Result<Lock, CacheError> {
        self.lock("store", Mode::Shared, reporter, "another `hub` that removes adapters").await
    }

    /// Held by whoever removes from the store.
    pub async fn lock_for_removing(&self, reporter: &dyn Reporter) -> Result<Lock, CacheError> {
        self.lock("store", Mode::Exclusive, reporter, "another `hub` that pulls").await
    }

    /// Held by whoever works on one thing, such as a blob.
    pub async fn lock_thing(&self, name: &str, reporter: &dyn Reporter) -> Result<Lock, CacheError> {
        self.lock(name, Mode::Exclusive, reporter, "another `hub` that pulls the same").await
    }

    async fn lock(
        &self,
        name: &str,
        mode: Mode,
        reporter: &dyn Reporter,
        whom: &str,
    ) -> Result<Lock, CacheError> {
        let path = self.folder("locks")?.join(name);
        let mut options = File::options();
        let file = options.create(true).append(true).open(&path).map_err(CacheError::write(&path))?;
        let mut told = false;
        loop {
            let result = match mode {
                Mode::Shared => file.try_lock_shared(),
                Mode::Exclusive => file.try_lock(),
            };
            match result {
                Ok(()) => return Ok(Lock(file)),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        reporter.event(&Event::Waiting { what: whom });
                        told = true;
                    }
                    tokio::time::sleep(POLL).await;
                }
                Err(TryLockError::Error(source)) => return Err(CacheError::write(&path)(source)),
            }
        }
    }
}
