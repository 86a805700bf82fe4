//! `hub remove`: adapters and base models out of the local cache.

use hub_client::cache::{Cache, Entry};
use hub_schemas::{Reference, manifest::Artifact, nearest};
use serde::Serialize;

use crate::{
    args::RemoveArgs,
    context::Context,
    failure::{Exit, UserError},
    output::{Transfers, units},
};

#[derive(Serialize)]
struct Answer {
    removed: Vec<String>,
    freed: u64,
}

/// Removes and says what became free.
pub(crate) fn run(context: &Context, args: &RemoveArgs) -> anyhow::Result<Exit> {
    let cache = context.cache();
    let reporter = Transfers(context.printer.clone());
    let _lock = context.block_on(async { Ok(cache.lock_for_removing(&reporter).await?) })?;
    let answer = if args.all {
        let removed = cache.everything()?.iter().map(title).collect();
        Answer { removed, freed: cache.clear()? }
    } else {
        let all = cache.everything()?;
        let mut entries: Vec<Entry<Artifact>> = Vec::new();
        // All are looked up before the first is removed: a slip removes nothing.
        for reference in &args.references {
            for entry in matching(&cache, &all, reference)? {
                if !entries.iter().any(|e| e.folder == entry.folder) {
                    entries.push(entry);
                }
            }
        }
        Answer { removed: entries.iter().map(title).collect(), freed: cache.remove(&entries)? }
    };
    for title in &answer.removed {
        context.printer.done("removed", &format!("`{title}`"));
    }
    context.printer.status(&format!("{} freed", units::bytes(answer.freed)));
    if context.printer.is_json() {
        context.printer.json(&answer)?;
    }
    Ok(Exit::Success)
}

fn title(entry: &Entry<Artifact>) -> String {
    format!("{}@{}", entry.manifest.name(), entry.manifest.version())
}

fn matching(
    cache: &Cache,
    all: &[Entry<Artifact>],
    reference: &Reference,
) -> anyhow::Result<Vec<Entry<Artifact>>> {
    let found: Vec<Entry<Artifact>> = match reference {
        Reference::Digest(digest) => cache.entry_by_digest(digest).into_iter().collect(),
        Reference::Adapter { id, version } => {
            let fits = |e: &&Entry<Artifact>| {
                e.manifest.name() == id && version.as_ref().is_none_or(|v| v.matches(e.manifest.version()))
            };
            all.iter().filter(fits).cloned().collect()
        }
        Reference::Word(_) => Vec::new(),
    };
    if found.is_empty() { Err(not_there(cache, all, reference).into()) } else { Ok(found) }
}

fn not_there(cache: &Cache, all: &[Entry<Artifact>], reference: &Reference) -> UserError {
    let root = cache.root().display();
    let mut error = UserError::new(format!("`{reference}` is not in the cache at `{root}`"));
    let names: Vec<_> = all.iter().map(|e| e.manifest.name().to_string()).collect();
    let meant = match reference {
        // A bare word is never resolved here: what is removed is named in full.
        Reference::Word(word) => all
            .iter()
            .find(|e| e.manifest.name().name.as_str() == word)
            .map(|e| e.manifest.name().to_string()),
        other => nearest(&other.to_string(), names.iter().map(String::as_str)).map(ToOwned::to_owned),
    };
    if let Some(meant) = meant {
        error = error.hint(format!("did you mean `{meant}`?"));
    }
    error.hint("`hub list` shows what is there")
}
