//! `hub token`: what programs log in with.

use hub_schemas::api::{CreateToken, TokenEntry};
use time::{Duration, OffsetDateTime};

use super::exchange;
use crate::{
    args::{TokenArgs, TokenVerb},
    context::Context,
    failure::Exit,
    output::{Table, describe},
};

/// Makes, lists or revokes.
pub(crate) fn run(context: &Context, args: TokenArgs) -> anyhow::Result<Exit> {
    if let TokenVerb::Exchange { adapter, identity_stdin } = &args.verb {
        return exchange::run(context, adapter, *identity_stdin);
    }
    let client = context.client()?;
    match args.verb {
        TokenVerb::Create { name, scope, names, expires } => {
            let expires_at = expires.map(|days| OffsetDateTime::now_utc() + Duration::days(days.into()));
            let wanted = CreateToken { name, scopes: scope.into_vec(), names, expires_at };
            let made = context.block_on(async { Ok(client.create_token(&wanted).await?) })?;
            context
                .printer
                .done("created", &format!("`{}`; its secret is not shown again", made.token.info.name));
            if context.printer.is_json() {
                context.printer.json(&made)?;
            } else {
                context.printer.line(&made.secret)?;
            }
        }
        TokenVerb::List => {
            let tokens = context.block_on(async { Ok(client.tokens().await?) })?;
            if context.printer.is_json() {
                context.printer.json(&tokens)?;
            } else {
                context.printer.table(&table(&tokens))?;
            }
        }
        // Needs no token, and is done above.
        TokenVerb::Exchange { .. } => {}
        TokenVerb::Revoke { id } => {
            context.block_on(async { Ok(client.revoke_token(&id).await?) })?;
            context.printer.done("revoked", &format!("the token `{id}`"));
        }
    }
    Ok(Exit::Success)
}

fn table(tokens: &[TokenEntry]) -> Table {
    let now = OffsetDateTime::now_utc();
    let mut table = Table::new(&["ID", "NAME", "SCOPES", "NAMES", "SINCE", "STATE"]);
    for token in tokens {
        let info = &token.info;
        let state = match (token.revoked_at, info.expires_at) {
            (Some(at), _) => format!("revoked {}", describe::day(at)),
            (None, Some(at)) if at <= now => format!("expired {}", describe::day(at)),
            (None, Some(at)) => format!("until {}", describe::day(at)),
            (None, None) => "until revoked".to_owned(),
        };
        let scopes: Vec<_> = info.scopes.iter().map(|scope| scope.as_str()).collect();
        let names: Vec<_> = info.names.iter().map(AsRef::<str>::as_ref).collect();
        let names = if names.is_empty() { "*".to_owned() } else { names.join(",") };
        let since = describe::day(token.created_at);
        table.row([token.id.clone(), info.name.clone(), scopes.join(","), names, since, state]);
    }
    table
}
