//! `hub access`: who may do what.

use hub_client::registry::RegistryClient;
use hub_schemas::{
    Namespace, TeamName,
    api::{Collaborators, Member, Role, Team, TeamRole, Visibility},
};
use serde::Serialize;

use crate::{
    args::{AccessArgs, AccessVerb, Place, Who},
    context::Context,
    failure::{Exit, UserError},
    output::{Table, describe},
};

/// Whoever has a role somewhere.
#[derive(Serialize)]
struct Answer {
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<Visibility>,
    people: Vec<Member>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    teams: Vec<TeamRole>,
}

/// Shows or changes roles and visibility.
pub(crate) fn run(context: &Context, args: &AccessArgs) -> anyhow::Result<Exit> {
    let client = context.client()?;
    match &args.verb {
        AccessVerb::Show { place } => {
            let answer = context.block_on(ask(&client, place))?;
            show(context, &answer)?;
        }
        AccessVerb::Grant { place, who, role } => {
            context.block_on(grant(&client, place, who, *role))?;
            context.printer.done("granted", &format!("`{who}` the role {role} in `{place}`"));
        }
        AccessVerb::Revoke { place, who } => {
            context.block_on(revoke(&client, place, who))?;
            context.printer.done("revoked", &format!("the role of `{who}` in `{place}`"));
        }
        AccessVerb::Visibility { adapter, visibility } => {
            let info =
                context.block_on(async { Ok(client.change_visibility(adapter, *visibility).await?) })?;
            context.printer.done("made", &format!("`{adapter}` {}", info.visibility));
            info.warnings.iter().for_each(|warning| context.printer.warn(warning));
        }
    }
    Ok(Exit::Success)
}

async fn ask(client: &RegistryClient, place: &Place) -> anyhow::Result<Answer> {
    let name = place.to_string();
    Ok(match place {
        Place::Namespace(namespace) => {
            let info = client.namespace(namespace).await?;
            let role =
                |team: Team| team.role.map(|role| TeamRole { team: team.name, role, since: team.since });
            let teams = info.teams.into_iter().filter_map(role).collect();
            Answer { place: name, visibility: None, people: info.members, teams }
        }
        Place::Adapter(id) => {
            let visibility = Some(client.adapter(id).await?.visibility);
            let Collaborators { collaborators: people, teams, .. } = client.collaborators(id).await?;
            Answer { place: name, visibility, people, teams }
        }
    })
}

async fn grant(client: &RegistryClient, place: &Place, who: &Who, role: Role) -> anyhow::Result<()> {
    match (place, who) {
        (Place::Namespace(name), Who::User(user)) => client.grant_member(name, user, role).await?,
        (Place::Namespace(name), Who::Team(team)) => {
            known_team(client, name, team).await?;
            client.set_team(name, team, Some(role)).await?;
        }
        (Place::Adapter(id), Who::User(user)) => client.grant_collaborator(id, user, role).await?,
        (Place::Adapter(id), Who::Team(team)) => client.grant_team(id, team, role).await?,
    }
    Ok(())
}

async fn revoke(client: &RegistryClient, place: &Place, who: &Who) -> anyhow::Result<()> {
    match (place, who) {
        (Place::Namespace(name), Who::User(user)) => client.revoke_member(name, user).await?,
        (Place::Namespace(name), Who::Team(team)) => {
            known_team(client, name, team).await?;
            client.set_team(name, team, None).await?;
        }
        (Place::Adapter(id), Who::User(user)) => client.revoke_collaborator(id, user).await?,
        (Place::Adapter(id), Who::Team(team)) => client.revoke_team(id, team).await?,
    }
    Ok(())
}

/// Refuses a team that is not there: setting its role would make it.
async fn known_team(client: &RegistryClient, namespace: &Namespace, team: &TeamName) -> anyhow::Result<()> {
    if client.namespace(namespace).await?.teams.iter().any(|known| known.name == *team) {
        return Ok(());
    }
    Err(UserError::new(format!("`{namespace}` has no team `{team}`"))
        .hint(format!("`hub team create {namespace} {team}` makes it"))
        .into())
}

fn show(context: &Context, answer: &Answer) -> anyhow::Result<()> {
    if context.printer.is_json() {
        return Ok(context.printer.json(answer)?);
    }
    let mut table = Table::new(&["USER", "ROLE", "SINCE"]);
    for member in &answer.people {
        table.row([member.user.to_string(), member.role.to_string(), describe::day(member.since)]);
    }
    for team in &answer.teams {
        table.row([format!("@{}", team.team), team.role.to_string(), describe::day(team.since)]);
    }
    if let Some(visibility) = answer.visibility {
        let place = &answer.place;
        context
            .printer
            .status(&format!("`{place}` is {visibility}; members of the namespace have their roles"));
    }
    if !answer.people.is_empty() || !answer.teams.is_empty() {
        context.printer.table(&table)?;
    }
    Ok(())
}
