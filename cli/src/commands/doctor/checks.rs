//! What `hub` needs around it.

use std::{path::Path, time::Instant};

use hub_client::{exchange::BaseError, registry::RegistryError};
use hub_schemas::problem::ProblemCode;

use super::{Check, machine};
use crate::{context::Context, output::describe, output::units};

/// Less than this and the next pull may not fit.
const LITTLE_SPACE: u64 = 512 << 20;
/// More than this feels slow.
const SLOW_MILLIS: u128 = 1_000;

pub(super) fn version() -> Check {
    let kind = if cfg!(feature = "stitch") { "with training and inference" } else { "registry client only" };
    Check::ok("version", format!("hub {} ({kind})", env!("CARGO_PKG_VERSION")))
}

pub(super) fn configuration(context: &Context) -> Check {
    let path = &context.settings.config_file.value;
    let found =
        if path.exists() { path.display().to_string() } else { format!("{} (not there)", path.display()) };
    Check::ok("configuration", found)
}

pub(super) fn registry(context: &Context) -> Check {
    const NAME: &str = "registry";
    let url = context.registry_name();
    let source = &context.settings.registry.source;
    let client = match context.client_unless_offline() {
        Ok(Some(client)) => client,
        Ok(None) => {
            return Check::warn(
                NAME,
                format!("{url} not asked: offline"),
                "`hub config get offline` shows why",
            );
        }
        Err(error) => return Check::fail(NAME, error.to_string(), None),
    };
    let started = Instant::now();
    match context.block_on(async { Ok(client.ready().await) }) {
        Ok(Ok(())) => {
            let elapsed = started.elapsed();
            let found = format!("{url} ({source}) answered in {}", units::duration(elapsed));
            if elapsed.as_millis() > SLOW_MILLIS {
                Check::warn(NAME, found, "it is slow: check the network, or its load")
            } else {
                Check::ok(NAME, found)
            }
        }
        Ok(Err(error)) => Check::fail(NAME, error.to_string(), error.hints().into_iter().next()),
        Err(error) => Check::fail(NAME, error.to_string(), None),
    }
}

pub(super) fn token(context: &Context) -> Check {
    const NAME: &str = "token";
    let client = match context.client_unless_offline() {
        Ok(Some(client)) => client,
        Ok(None) => return Check::warn(NAME, "not tried: offline", "`hub config get offline` shows why"),
        Err(error) => {
            return Check::fail(NAME, error.to_string(), Some("log in again with `hub login`".into()));
        }
    };
    if !client.has_token() {
        return Check::warn(
            NAME,
            "none: public adapters only",
            "`hub login` stores one, to push and to see private adapters",
        );
    }
    let asked = context.block_on(async { Ok(client.whoami().await) });
    match asked {
        Ok(Ok(account)) => {
            let until = account
                .token
                .expires_at
                .map_or_else(|| "without end".to_owned(), |at| format!("until {}", describe::day(at)));
            let scopes: Vec<_> = account.token.scopes.iter().map(ToString::to_string).collect();
            Check::ok(NAME, format!("`{}`, {}, {until}", account.user, scopes.join(" ")))
        }
        Ok(Err(error)) => refused(NAME, &error),
        Err(error) => Check::fail(NAME, error.to_string(), None),
    }
}

fn refused(name: &'static str, error: &RegistryError) -> Check {
    if error.code() == Some(ProblemCode::Unauthorized) {
        Check::fail(
            name,
            "not accepted",
            Some("log in again with `hub login`, or correct `HUB_TOKEN`".into()),
        )
    } else {
        Check::warn(name, "not tried: the registry does not answer", "see `registry` above")
    }
}

pub(super) fn cache(context: &Context) -> Check {
    const NAME: &str = "cache";
    let cache = context.cache();
    let root = cache.root().display().to_string();
    if let Err(error) = cache.check_writable() {
        return Check::fail(NAME, error.to_string(), error.hint());
    }
    let used = cache.size().map_or_else(|error| error.to_string(), units::bytes);
    match machine::free_space(cache.root()) {
        Some(free) if free < LITTLE_SPACE => {
            let found = format!("{root} holds {used}, {} free", units::bytes(free));
            Check::warn(NAME, found, "free some space, or move it with `hub config set cache DIR`")
        }
        Some(free) => Check::ok(NAME, format!("{root} holds {used}, {} free", units::bytes(free))),
        None => Check::ok(NAME, format!("{root} holds {used}")),
    }
}

pub(super) fn base(context: &Context, named: Option<&Path>) -> Check {
    const NAME: &str = "backbone";
    match context.base_search(named).find(None, &mut context.folder_digests()) {
        Ok(found) => {
            let id = found.folder.guessed_id();
            let folder = found.folder.path().display();
            Check::ok(NAME, format!("{id} at {folder}, weights {}", found.weights_digest))
        }
        Err(BaseError::NotNamed) => Check::warn(
            NAME,
            "none configured",
            "`hub config set base DIR` names the folder that bare words are resolved for and adapters run on",
        ),
        Err(error) => Check::fail(NAME, error.to_string(), error.hints().into_iter().next()),
    }
}
