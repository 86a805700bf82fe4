//! `hub search`: adapters that match words and filters.

use std::path::Path;

use hub_client::exchange::looks_like_path;
use hub_schemas::api::SearchQuery;

use crate::{
    args::SearchArgs,
    context::Context,
    failure::Exit,
    output::{Table, describe, units},
};

/// Searches and prints.
pub(crate) fn run(context: &Context, args: SearchArgs) -> anyhow::Result<Exit> {
    let client = context.client()?;
    let words = args.words.join(" ");
    let query = SearchQuery {
        q: (!words.trim().is_empty()).then_some(words),
        task: args.task,
        base: args.base.map(|base| base_filter(context, base)).transpose()?,
        architecture: args.architecture,
        method: args.method,
        language: args.language,
        license: args.license,
        kind: args.kind,
        limit: Some(args.limit),
        cursor: args.cursor,
    };
    let page = context.block_on(async { Ok(client.search(&query).await?) })?;
    if context.printer.is_json() {
        context.printer.json(&page)?;
        return Ok(Exit::Success);
    }
    if page.items.is_empty() {
        context.printer.status(&format!("nothing at {} matches", context.registry_name()));
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["NAME", "VERSION", "TASK", "METHOD", "BASE", "METRIC", "SIZE", "PULLS"]);
    for adapter in &page.items {
        table.row([
            adapter.name.to_string(),
            adapter.version.to_string(),
            adapter.task.to_string(),
            adapter.method_summary.clone(),
            adapter.base.id.clone(),
            adapter.metric.as_ref().map(describe::metric).unwrap_or_default(),
            units::bytes(adapter.size),
            adapter.pulls.to_string(),
        ]);
    }
    context.printer.table(&table)?;
    if let Some(next) = &page.next {
        let (shown, total) = (page.items.len(), units::grouped(page.total));
        let total = if page.more { format!("more than {total}") } else { total };
        context.printer.hint(&format!("{shown} of {total} are shown; the next page: add `--cursor {next}`"));
    }
    Ok(Exit::Success)
}

/// A backbone folder stands for the digest of its weights.
fn base_filter(context: &Context, base: String) -> anyhow::Result<String> {
    if !looks_like_path(&base) {
        return Ok(base);
    }
    let digest = context.block_on(context.base_in_use(None, Some(Path::new(&base))))?;
    Ok(digest.map_or(base, |digest| digest.to_string()))
}
