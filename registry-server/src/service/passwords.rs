//! Trying passwords: counted, a few at once, and with one answer to all who are wrong.

use std::{net::IpAddr, sync::Arc, time::Duration};

use hub_schemas::{name::Namespace, problem::ProblemCode};
use tokio::sync::Semaphore;

use super::rates::Meters;
use crate::{
    app::App,
    db::passwords,
    domain::{
        password::{self, PasswordError},
        rate::{Rate, Taken},
    },
    error::{ApiError, ApiResult},
};

/// Each takes 19 MiB and some tens of milliseconds of one core.
const AT_ONCE: usize = 2;
/// Whoever waits longer for their turn is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);
/// Attempts of one client, whoever it says that it is: a person slips a few times.
const BY_ADDRESS_A_MINUTE: u32 = 20;
/// Attempts at one account, wherever they come from: a password of 15 characters outlasts this,
/// and whoever wants to keep its owner out must go on at this rate.
const BY_USER_A_MINUTE: u32 = 60;

/// What those can do who have no password, or forgot it.
pub(crate) const HINT: &str = "an operator of the registry sets a new one: `hub-server user password NAME`";

/// The attempts of the last minute, in this process, and whose turn it is.
#[derive(Debug)]
pub(crate) struct Passwords {
    users: Meters<Namespace>,
    addresses: Meters<IpAddr>,
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            users: Meters::default(),
            addresses: Meters::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Passwords {
    /// Counts an attempt, and refuses one too many. What an address may not try counts for no
    /// account: else a single client would keep its owner out.
    fn count(&self, user: &Namespace, address: Option<IpAddr>) -> ApiResult<()> {
        let by_address = address.zip(Rate::per_minute(BY_ADDRESS_A_MINUTE));
        if let Some((address, rate)) = by_address {
            allowed(&self.addresses.take_address(rate, address))?;
        }
        Rate::per_minute(BY_USER_A_MINUTE)
            .map_or(Ok(()), |rate| allowed(&self.users.take(rate, user.clone())))
    }

    /// Does something slow, when it is its turn.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> ApiResult<T> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(ApiError::new(
                ProblemCode::Unavailable,
                "too many passwords are tried at the moment",
            )
            .hint("try again in a moment"));
        };
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(ApiError::internal)?.map_err(ApiError::internal)
    }
}

/// Whether `password` is that of `user`; whoever is not there has none. Also tells what is
/// stored, to replace it.
pub(crate) async fn try_password(
    app: &App,
    address: Option<IpAddr>,
    user: &Namespace,
    password: String,
) -> ApiResult<(bool, Option<String>)> {
    app.passwords.count(user, address)?;
    let stored = passwords::hash_of(&app.db, user).await?;
    let against = stored.clone();
    let right = app.passwords.work(move || password::verify(&password, against.as_deref())).await?;
    Ok((right, stored))
}

/// What is stored of a new password of `user`, which is checked before.
pub(crate) async fn hash_new(app: &App, user: &Namespace, password: String) -> ApiResult<String> {
    password::check(&password, user).map_err(ApiError::invalid_value)?;
    app.passwords.work(move || password::hash(&password, &mut rand::rng())).await
}

/// The one answer to all who are wrong.
pub(crate) fn wrong() -> ApiError {
    ApiError::unauthorized("the user or the password is wrong").hint(HINT)
}

fn allowed(taken: &Taken) -> ApiResult<()> {
    let Some(wait) = taken.retry_after else { return Ok(()) };
    let problem = ApiError::new(ProblemCode::TooManyRequests, "too many passwords were tried");
    Err(problem.retry_after(wait.as_secs() + 1))
}
