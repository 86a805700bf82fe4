//! `hub eval`.

use crate::{
    args::eval::EvalArgs,
    context::Context,
    failure::{Exit, UserError},
};

/// Runs `hub eval`.
pub(crate) fn run(_context: &Context, _args: EvalArgs) -> anyhow::Result<Exit> {
    Err(UserError::new("`hub eval` is not there yet").into())
}
