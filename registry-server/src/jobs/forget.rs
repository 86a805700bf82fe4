//! Forgetting tokens that ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Job, JobError};
use crate::{
    app::App,
    db::{clock, publishers, tokens},
};

/// Whoever looks for the token of yesterday's job still finds it.
const KEEP: Duration = Duration::from_hours(24);

/// Forgets short-lived tokens that have expired, and identity tokens that nobody takes any more.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ForgetTokens {}

impl Job for ForgetTokens {
    const KIND: &'static str = "forget-tokens";
    const EVERY: Option<Duration> = Some(Duration::from_hours(1));
    const BY_AGE: bool = true;

    async fn run(self, app: &App) -> Result<(), JobError> {
        let before = clock::micros(OffsetDateTime::now_utc() - KEEP);
        let mut tx = app.db.write().await?;
        let tokens = tokens::forget_short_lived(&mut tx, before).await?;
        let identities = publishers::forget_exchanged(&mut tx).await?;
        tx.commit().await?;
        if tokens + identities > 0 {
            tracing::info!("Forgot {tokens} expired tokens and {identities} identity tokens");
        }
        Ok(())
    }
}
