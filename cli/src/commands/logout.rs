//! `hub logout`: forget tokens. The registry is not told: its operator revokes tokens.

use serde::Serialize;

use crate::{args::LogoutArgs, context::Context, env, failure::Exit};

#[derive(Serialize)]
struct Answer {
    removed: usize,
}

/// Forgets the token for the registry, or all.
pub(crate) fn run(context: &Context, args: &LogoutArgs) -> anyhow::Result<Exit> {
    let mut store = context.auth_store()?;
    let registry = context.registry_name();
    let removed = if args.all {
        let removed = store.clear()?;
        context
            .printer
            .done("logged out", &format!("of {}", crate::output::units::count(removed as u64, "registry")));
        removed
    } else {
        let removed = usize::from(store.remove(&context.settings.registry.value)?);
        if removed == 1 {
            context.printer.done("logged out", &format!("of {registry}"));
        } else {
            context.printer.status(&format!("no token for {registry} was kept"));
        }
        removed
    };
    if env::get(env::TOKEN).is_some() {
        context.printer.warn(&format!("`{}` is set, so requests still carry a token", env::TOKEN));
    }
    if context.printer.is_json() {
        context.printer.json(&Answer { removed })?;
    }
    Ok(Exit::Success)
}
