//! `hub delete`: a version, or an adapter, out of the registry for good.

use hub_schemas::{AdapterId, Reference};

use super::yank::exact;
use crate::{
    args::DeleteArgs,
    context::Context,
    failure::{Exit, UserError},
};

/// Deletes one version, or all with the adapter.
pub(crate) fn run(context: &Context, args: &DeleteArgs) -> anyhow::Result<Exit> {
    let reason = &args.reason;
    if args.all_versions {
        let id = whole(&args.reference)?;
        let client = context.client()?;
        context.block_on(async { Ok(client.delete_adapter(&id, reason).await?) })?;
        context.printer.done("deleted", &format!("`{id}` with all versions; its name stays taken"));
        return Ok(Exit::Success);
    }
    let (id, version) = exact(&args.reference).map_err(|error| {
        error.hint("or give `--all-versions` to delete a whole adapter, as in `ada/sentiment`")
    })?;
    let client = context.client()?;
    context.block_on(async { Ok(client.delete_version(&id, &version, reason).await?) })?;
    context.printer.done("deleted", &format!("`{id}@{version}`; its number never comes back"));
    Ok(Exit::Success)
}

/// The adapter that a reference without a version names.
fn whole(reference: &Reference) -> Result<AdapterId, UserError> {
    match reference {
        Reference::Adapter { id, version: None } => Ok(id.clone()),
        _ => Err(UserError::new(format!("`{reference}` does not name a whole adapter"))
            .hint("name it without a version, as in `ada/sentiment`")),
    }
}
