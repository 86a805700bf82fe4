//! `hub password`: set or change what one logs in with.

use hub_schemas::api::ChangePassword;

use super::login::read_secret;
use crate::{
    args::PasswordArgs,
    context::Context,
    failure::{Exit, UserError},
};

const HINT: &str = "pipe the present one and the new one in, a line each: `hub password --stdin < FILE`";

/// Asks for the present password and the new one.
pub(crate) fn run(context: &Context, args: &PasswordArgs) -> anyhow::Result<Exit> {
    let client = context.client()?;
    let (current, new) = if args.stdin {
        let text = read_secret(context, true, "", HINT)?;
        let mut lines = text.lines().map(ToOwned::to_owned);
        let (Some(current), Some(new)) = (lines.next(), lines.next()) else {
            return Err(UserError::new("standard input has no two lines").hint(HINT).into());
        };
        (current, new)
    } else {
        let current = read_secret(context, false, "Present password (empty: none): ", HINT)?;
        let new = read_secret(context, false, "New password: ", HINT)?;
        if read_secret(context, false, "New password again: ", HINT)? != new {
            return Err(UserError::new("the two are not the same; nothing was changed").into());
        }
        (current, new)
    };
    let change = ChangePassword { current: Some(current).filter(|text| !text.is_empty()), new };
    context.block_on(async { Ok(client.change_password(&change).await?) })?;
    context.printer.done("changed", &format!("your password at {}", context.registry_name()));
    Ok(Exit::Success)
}
