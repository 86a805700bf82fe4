//! `hub move` and `hub free`: names of adapters.

use crate::{
    args::{FreeArgs, MoveArgs},
    context::Context,
    failure::Exit,
};

/// Gives an adapter another name.
pub(crate) fn run(context: &Context, args: &MoveArgs) -> anyhow::Result<Exit> {
    let (from, to) = (&args.from, &args.to);
    let client = context.client()?;
    let info = context.block_on(async { Ok(client.move_adapter(from, to).await?) })?;
    context.printer.done("moved", &format!("`{from}` to `{to}`; the old name leads there"));
    info.warnings.iter().for_each(|warning| context.printer.warn(warning));
    if context.printer.is_json() {
        context.printer.json(&info)?;
    }
    Ok(Exit::Success)
}

/// Lets a name be used again.
pub(crate) fn free(context: &Context, args: &FreeArgs) -> anyhow::Result<Exit> {
    let client = context.client()?;
    context.block_on(async { Ok(client.free_name(&args.name).await?) })?;
    context.printer.done("freed", &format!("the name `{}`", args.name));
    Ok(Exit::Success)
}
