//! `hub delete`: a version out of the registry, for good.

use super::yank::exact;
use crate::{args::DeleteArgs, context::Context, failure::Exit};

/// Deletes one version.
pub(crate) fn run(context: &Context, args: &DeleteArgs) -> anyhow::Result<Exit> {
    let (id, version) = exact(&args.reference)?;
    let client = context.client()?;
    context.block_on(async { Ok(client.delete_version(&id, &version, &args.reason).await?) })?;
    context.printer.done("deleted", &format!("`{id}@{version}`; its number never comes back"));
    Ok(Exit::Success)
}
