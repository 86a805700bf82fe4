//! `hub train`.

use crate::{
    args::train::TrainArgs,
    context::Context,
    failure::{Exit, UserError},
};

/// Runs `hub train`.
pub(crate) fn run(_context: &Context, _args: TrainArgs) -> anyhow::Result<Exit> {
    Err(UserError::new("`hub train` is not there yet").into())
}
