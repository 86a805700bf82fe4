//! `hub whoami`: who the registry takes the caller for.

use hub_schemas::api::WhoAmI;
use serde::Serialize;

use crate::{
    context::Context,
    failure::{Exit, UserError},
    output::{Fields, describe},
};

#[derive(Serialize)]
struct Answer<'a> {
    registry: &'a str,
    #[serde(flatten)]
    account: &'a WhoAmI,
}

/// Asks and prints.
pub(crate) fn run(context: &Context) -> anyhow::Result<Exit> {
    let client = context.client()?;
    let registry = context.registry_name();
    if !client.has_token() {
        return Err(UserError::new(format!("no token for {registry}"))
            .hint("log in with `hub login`, or set `HUB_TOKEN`")
            .into());
    }
    let account = context.block_on(async { Ok(client.whoami().await?) })?;
    if context.printer.is_json() {
        context.printer.json(&Answer { registry, account: &account })?;
        return Ok(Exit::Success);
    }
    let join = |words: Vec<String>| words.join(", ");
    let mut fields = Fields::default();
    fields.add("user", &account.user);
    fields.add("registry", registry);
    fields.add("namespaces", join(account.namespaces.iter().map(ToString::to_string).collect()));
    if !account.adapters.is_empty() {
        fields.add("adapters", join(account.adapters.iter().map(ToString::to_string).collect()));
    }
    fields.add("token", &account.token.name);
    fields.add("scopes", join(account.token.scopes.iter().map(ToString::to_string).collect()));
    if !account.token.names.is_empty() {
        fields.add("names", join(account.token.names.iter().map(ToString::to_string).collect()));
    }
    fields.add("expires", account.token.expires_at.map_or_else(|| "never".to_owned(), describe::day));
    context.printer.fields(&fields)?;
    Ok(Exit::Success)
}
