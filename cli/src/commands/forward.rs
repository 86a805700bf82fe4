//! `hub forward`.

use crate::{
    args::forward::ForwardArgs,
    context::Context,
    failure::{Exit, UserError},
};

/// Runs `hub forward`.
pub(crate) fn run(_context: &Context, _args: ForwardArgs) -> anyhow::Result<Exit> {
    Err(UserError::new("`hub forward` is not there yet").into())
}
