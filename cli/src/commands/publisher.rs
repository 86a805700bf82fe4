//! `hub publisher`: programs that publish without a secret.

use hub_schemas::api::{CreatePublisher, Publisher};

use crate::{
    args::{PublisherArgs, PublisherVerb},
    context::Context,
    failure::Exit,
    output::{Table, describe},
};

/// Adds, lists or removes.
pub(crate) fn run(context: &Context, args: PublisherArgs) -> anyhow::Result<Exit> {
    let client = context.client()?;
    match args.verb {
        PublisherVerb::Add { adapter, issuer, claims } => {
            let wanted = CreatePublisher { issuer, claims: claims.into_iter().collect() };
            let made = context.block_on(async { Ok(client.add_publisher(&adapter, &wanted).await?) })?;
            context.printer.done(
                "trusted",
                &format!(
                    "`{}` with publishing `{adapter}`",
                    made.claims.get("sub").map_or("", String::as_str)
                ),
            );
            if context.printer.is_json() {
                context.printer.json(&made)?;
            }
        }
        PublisherVerb::List { adapter } => {
            let publishers = context.block_on(async { Ok(client.publishers(&adapter).await?) })?;
            if context.printer.is_json() {
                context.printer.json(&publishers)?;
            } else if !publishers.is_empty() {
                context.printer.table(&table(&publishers))?;
            }
        }
        PublisherVerb::Remove { adapter, id } => {
            context.block_on(async { Ok(client.remove_publisher(&adapter, &id).await?) })?;
            context.printer.done("removed", &format!("the publisher `{id}` of `{adapter}`"));
        }
    }
    Ok(Exit::Success)
}

fn table(publishers: &[Publisher]) -> Table {
    let mut table = Table::new(&["ID", "ISSUER", "CLAIMS", "RIGHTS OF", "SINCE"]);
    for publisher in publishers {
        let claims: Vec<_> = publisher.claims.iter().map(|(name, value)| format!("{name}={value}")).collect();
        table.row([
            publisher.id.clone(),
            publisher.issuer.clone(),
            claims.join(" "),
            publisher.created_by.to_string(),
            describe::day(publisher.created_at),
        ]);
    }
    table
}
