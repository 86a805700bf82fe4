//! `hub access`: who may do what.

use hub_schemas::api::{Member, Visibility};
use serde::Serialize;

use crate::{
    args::{AccessArgs, AccessVerb, Place},
    context::Context,
    failure::Exit,
    output::{Table, describe},
};

/// Whoever has a role somewhere.
#[derive(Serialize)]
struct Answer {
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<Visibility>,
    people: Vec<Member>,
}

/// Shows or changes roles and visibility.
pub(crate) fn run(context: &Context, args: &AccessArgs) -> anyhow::Result<Exit> {
    let client = context.client()?;
    match &args.verb {
        AccessVerb::Show { place } => {
            let answer = context.block_on(async {
                let (visibility, people) = match place {
                    Place::Namespace(name) => (None, client.namespace(name).await?.members),
                    Place::Adapter(id) => {
                        let visibility = client.adapter(id).await?.visibility;
                        (Some(visibility), client.collaborators(id).await?.collaborators)
                    }
                };
                Ok(Answer { place: place.to_string(), visibility, people })
            })?;
            show(context, &answer)?;
        }
        AccessVerb::Grant { place, user, role } => {
            context.block_on(async {
                match place {
                    Place::Namespace(name) => client.grant_member(name, user, *role).await?,
                    Place::Adapter(id) => client.grant_collaborator(id, user, *role).await?,
                }
                Ok(())
            })?;
            context.printer.done("granted", &format!("`{user}` the role {role} in `{place}`"));
        }
        AccessVerb::Revoke { place, user } => {
            context.block_on(async {
                match place {
                    Place::Namespace(name) => client.revoke_member(name, user).await?,
                    Place::Adapter(id) => client.revoke_collaborator(id, user).await?,
                }
                Ok(())
            })?;
            context.printer.done("revoked", &format!("the role of `{user}` in `{place}`"));
        }
        AccessVerb::Visibility { adapter, visibility } => {
            let info =
                context.block_on(async { Ok(client.change_visibility(adapter, *visibility).await?) })?;
            context.printer.done("made", &format!("`{adapter}` {}", info.visibility));
        }
    }
    Ok(Exit::Success)
}

fn show(context: &Context, answer: &Answer) -> anyhow::Result<()> {
    if context.printer.is_json() {
        return Ok(context.printer.json(answer)?);
    }
    let mut table = Table::new(&["USER", "ROLE", "SINCE"]);
    for member in &answer.people {
        table.row([member.user.to_string(), member.role.to_string(), describe::day(member.since)]);
    }
    if let Some(visibility) = answer.visibility {
        let place = &answer.place;
        context
            .printer
            .status(&format!("`{place}` is {visibility}; members of the namespace have their roles"));
    }
    if !answer.people.is_empty() {
        context.printer.table(&table)?;
    }
    Ok(())
}
