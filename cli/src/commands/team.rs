//! `hub team`: people of an organisation who have roles together.

use hub_client::registry::TeamChange;
use hub_schemas::api::Team;

use crate::{
    args::{TeamArgs, TeamVerb},
    context::Context,
    failure::Exit,
    output::{Table, describe},
};

/// Makes, lists, changes or deletes teams.
pub(crate) fn run(context: &Context, args: &TeamArgs) -> anyhow::Result<Exit> {
    let client = context.client()?;
    match &args.verb {
        TeamVerb::Create { namespace, team, role } => {
            let made = context.block_on(async { Ok(client.set_team(namespace, team, *role).await?) })?;
            context.printer.done("created", &format!("the team `{team}` of `{namespace}`"));
            if context.printer.is_json() {
                context.printer.json(&made)?;
            }
        }
        TeamVerb::List { namespace } => {
            let teams = context.block_on(async { Ok(client.namespace(namespace).await?.teams) })?;
            if context.printer.is_json() {
                context.printer.json(&teams)?;
            } else if !teams.is_empty() {
                context.printer.table(&table(&teams))?;
            }
        }
        TeamVerb::Add { namespace, team, user } => {
            context
                .block_on(async { Ok(client.change_team(namespace, team, user, TeamChange::Add).await?) })?;
            context.printer.done("added", &format!("`{user}` to the team `{team}` of `{namespace}`"));
        }
        TeamVerb::Remove { namespace, team, user } => {
            context.block_on(async {
                Ok(client.change_team(namespace, team, user, TeamChange::Remove).await?)
            })?;
            context.printer.done("removed", &format!("`{user}` from the team `{team}` of `{namespace}`"));
        }
        TeamVerb::Delete { namespace, team } => {
            context.block_on(async { Ok(client.remove_team(namespace, team).await?) })?;
            context.printer.done("deleted", &format!("the team `{team}` of `{namespace}`"));
        }
    }
    Ok(Exit::Success)
}

fn table(teams: &[Team]) -> Table {
    let mut table = Table::new(&["TEAM", "ROLE", "SINCE", "PEOPLE"]);
    for team in teams {
        let role = team.role.map_or_else(|| "-".to_owned(), |role| role.to_string());
        let people: Vec<_> = team.members.iter().map(ToString::to_string).collect();
        table.row([team.name.to_string(), role, describe::day(team.since), people.join(", ")]);
    }
    table
}
