//! `hub webhook`: where the events of a namespace are sent.

use crate::{
    args::{WebhookArgs, WebhookVerb},
    context::Context,
    failure::Exit,
    output::{Table, describe},
};

/// Adds, lists or removes.
pub(crate) fn run(context: &Context, args: &WebhookArgs) -> anyhow::Result<Exit> {
    let client = context.client()?;
    match &args.verb {
        WebhookVerb::Add { namespace, url } => {
            let made = context.block_on(async { Ok(client.add_webhook(namespace, url).await?) })?;
            context
                .printer
                .done("added", &format!("a webhook to `{namespace}`; its secret is not shown again"));
            if context.printer.is_json() {
                context.printer.json(&made)?;
            } else {
                context.printer.line(&made.secret)?;
            }
        }
        WebhookVerb::List { namespace } => {
            let webhooks = context.block_on(async { Ok(client.webhooks(namespace).await?) })?;
            if context.printer.is_json() {
                context.printer.json(&webhooks)?;
                return Ok(Exit::Success);
            }
            let mut table = Table::new(&["ID", "URL", "LAST", "OUTCOME"]);
            for webhook in webhooks {
                let last = webhook.last_at.map(describe::day).unwrap_or_default();
                table.row([webhook.id, webhook.url, last, webhook.last_outcome.unwrap_or_default()]);
            }
            context.printer.table(&table)?;
        }
        WebhookVerb::Remove { namespace, id } => {
            context.block_on(async { Ok(client.remove_webhook(namespace, id).await?) })?;
            context.printer.done("removed", &format!("the webhook `{id}` of `{namespace}`"));
        }
    }
    Ok(Exit::Success)
}
