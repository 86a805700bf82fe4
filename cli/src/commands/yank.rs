//! `hub yank`: a version out of use, or back.

use hub_schemas::{Reference, Version, api::YankRequest};

use crate::{
    args::YankArgs,
    context::Context,
    failure::{Exit, UserError},
};

/// Yanks or un-yanks one version.
pub(crate) fn run(context: &Context, args: &YankArgs) -> anyhow::Result<Exit> {
    let (id, version) = exact(&args.reference)?;
    let client = context.client()?;
    let request = YankRequest { yanked: !args.undo, reason: args.reason.clone().unwrap_or_default() };
    let entry = context.block_on(async { Ok(client.yank(&id, &version, &request).await?) })?;
    if args.undo {
        context.printer.done("brought back", &format!("`{id}@{version}`"));
    } else {
        context.printer.done("yanked", &format!("`{id}@{version}`; `--undo` brings it back"));
    }
    if context.printer.is_json() {
        context.printer.json(&entry)?;
    }
    Ok(Exit::Success)
}

/// The one version that a reference names.
pub(super) fn exact(reference: &Reference) -> Result<(hub_schemas::AdapterId, Version), UserError> {
    let refuse = || {
        UserError::new(format!("`{reference}` does not name one version"))
            .hint("name it exactly, as in `ada/sentiment@1.2.0`")
    };
    let Reference::Adapter { id, version: Some(requirement) } = reference else { return Err(refuse()) };
    let text = requirement.to_string();
    let version = text.strip_prefix('=').and_then(|v| v.parse().ok()).ok_or_else(refuse)?;
    Ok((id.clone(), version))
}
