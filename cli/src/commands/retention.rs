//! `hub retention`: which versions of a namespace are deleted by rule.

use hub_schemas::api::{RetentionPreview, RetentionRules};

use crate::{
    args::{RetentionArgs, RetentionVerb},
    context::Context,
    failure::Exit,
    output::{Table, units},
};

/// Shows, sets or previews.
pub(crate) fn run(context: &Context, args: &RetentionArgs) -> anyhow::Result<Exit> {
    let client = context.client()?;
    match &args.verb {
        RetentionVerb::Show { namespace } => {
            let rules = context.block_on(async { Ok(client.retention(namespace).await?) })?;
            show(context, &rules)?;
        }
        RetentionVerb::Set { namespace, rules, dry_run } => {
            let rules = RetentionRules::from(rules);
            let preview =
                context.block_on(async { Ok(client.preview_retention(namespace, &rules).await?) })?;
            let count = preview.expired.iter().filter(|expired| expired.kept.is_none()).count();
            let versions = units::count(count as u64, "version");
            if *dry_run {
                context.printer.status(&format!("these rules would delete {versions} of `{namespace}` now"));
            } else {
                context.block_on(async { Ok(client.set_retention(namespace, &rules).await?) })?;
                let text = format!("the rules of `{namespace}`; within an hour they delete {versions}");
                context.printer.done("set", &text);
            }
            list(context, &preview)?;
        }
    }
    Ok(Exit::Success)
}

fn show(context: &Context, rules: &RetentionRules) -> anyhow::Result<()> {
    if context.printer.is_json() {
        return Ok(context.printer.json(rules)?);
    }
    if let Some(days) = rules.prerelease_days {
        let kept = match rules.keep_prereleases {
            0 => String::new(),
            count => format!(", but for the newest {count} of an adapter"),
        };
        context.printer.line(&format!("pre-releases are deleted after {days} days{kept}"))?;
    }
    if let Some(days) = rules.yanked_days {
        context.printer.line(&format!("yanked versions are deleted after {days} days"))?;
    }
    if *rules == RetentionRules::default() {
        context.printer.status("nothing is deleted by rule");
    }
    Ok(())
}

fn list(context: &Context, preview: &RetentionPreview) -> anyhow::Result<()> {
    if context.printer.is_json() {
        return Ok(context.printer.json(preview)?);
    }
    if preview.expired.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["VERSION", "RULE", "STAYS BECAUSE"]);
    for expired in &preview.expired {
        let title = format!("{}@{}", expired.name, expired.version);
        table.row([title, expired.reason.clone(), expired.kept.clone().unwrap_or_default()]);
    }
    Ok(context.printer.table(&table)?)
}
