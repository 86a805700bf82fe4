//! `hub run`.

use crate::{
    args::run::RunArgs,
    context::Context,
    failure::{Exit, UserError},
};

/// Runs `hub run`.
pub(crate) fn run(_context: &Context, _args: RunArgs) -> anyhow::Result<Exit> {
    Err(UserError::new("`hub run` is not there yet").into())
}
