//! `hub identity`: who logs in as this user by the word of an identity provider.

use hub_schemas::api::LinkedIdentity;

use crate::{
    args::{IdentityArgs, IdentityVerb},
    context::Context,
    failure::Exit,
    output::{Table, describe},
};

/// Lists or removes.
pub(crate) fn run(context: &Context, args: &IdentityArgs) -> anyhow::Result<Exit> {
    let client = context.client()?;
    match &args.verb {
        IdentityVerb::List => {
            let identities = context.block_on(async { Ok(client.identities().await?) })?;
            if context.printer.is_json() {
                context.printer.json(&identities)?;
            } else if !identities.is_empty() {
                context.printer.table(&table(&identities))?;
            }
        }
        IdentityVerb::Remove { id } => {
            context.block_on(async { Ok(client.unlink_identity(id).await?) })?;
            context
                .printer
                .done("removed", &format!("the identity `{id}`; the tokens that it got go on working"));
        }
    }
    Ok(Exit::Success)
}

fn table(identities: &[LinkedIdentity]) -> Table {
    let mut table = Table::new(&["ID", "PROVIDER", "SUBJECT", "SINCE"]);
    for identity in identities {
        let since = describe::day(identity.linked_at);
        table.row([identity.id.clone(), identity.issuer.clone(), identity.subject.clone(), since]);
    }
    table
}
