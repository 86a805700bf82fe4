//! `hub org`: namespaces that several people share.

use crate::{
    args::{OrgArgs, OrgVerb},
    context::Context,
    failure::Exit,
};

/// Makes an organisation.
pub(crate) fn run(context: &Context, args: &OrgArgs) -> anyhow::Result<Exit> {
    let OrgVerb::Create { name } = &args.verb;
    let client = context.client()?;
    let info = context.block_on(async { Ok(client.create_organisation(name).await?) })?;
    context.printer.done(
        "created",
        &format!("`{name}`, which you own; `hub access grant {name} USER ROLE` lets others in"),
    );
    if context.printer.is_json() {
        context.printer.json(&info)?;
    }
    Ok(Exit::Success)
}
