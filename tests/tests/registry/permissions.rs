//! `docs/permissions.md`, line by line: every route, every role, both outcomes.

#[path = "permissions/world.rs"]
pub(crate) mod world;

use std::collections::BTreeSet;

use hub_schemas::token::Scope;
use hub_tests::hub::SampleAdapter;
use serde_json::Value;
use world::{Line, ROLES, Roles, World, table};

#[tokio::test(flavor = "multi_thread")]
async fn every_role_gets_on_every_route_what_the_table_says() {
    walk(&World::new(Roles::AsMembers).await, |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_gives_its_people_what_a_member_of_that_role_has() {
    // Who has a role by a team alone leaves the namespace by leaving its teams.
    walk(&World::new(Roles::ByTeams).await, |line| line.about != "oneself").await;
}

/// Sends every request of the table as every role.
async fn walk(world: &World, part: impl Fn(&Line) -> bool) {
    let mut wrong = Vec::new();
    for line in table().iter().filter(|line| part(line)) {
        for ((role, who), expected) in ROLES.iter().zip(&world.people).zip(&line.expected) {
            let Some(expected) = expected else { continue };
            let answer = world.send(line, who, role).await;
            if answer.status != *expected {
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                wrong.push(format!(
                    "{} ({}) as {role}: {} not {expected}: {body}",
                    line.route, line.about, answer.status
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collaborator_may_on_an_adapter_what_a_member_of_that_role_may() {
    on_an_adapter(&World::new(Roles::AsCollaborators).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_of_collaborators_may_on_an_adapter_what_a_member_of_that_role_may() {
    on_an_adapter(&World::new(Roles::AsTeamCollaborators).await).await;
}

async fn on_an_adapter(world: &World) {
    for line in table().iter().filter(|line| line.route.contains("/adapters/") && line.about.is_empty()) {
        for ((role, who), expected) in ROLES.iter().zip(&world.people).zip(&line.expected) {
            let answer = world.send(line, who, role).await;
            assert_eq!(Some(answer.status.as_u16()), *expected, "{} as {role}", line.route);
        }
    }
    // But the namespace is not theirs.
    let maintainer = &world.people[4];
    assert_eq!(maintainer.get("namespaces/lab").await.status, 404);
    let new = maintainer.put_manifest(&SampleAdapter::lora("lab/other", "1.0.0")).await;
    assert_eq!(new.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_the_scope_of_a_line_is_refused_and_with_it_alone_it_is_enough() {
    let world = World::new(Roles::AsMembers).await;
    for line in &table() {
        let (Some(scope), Some(expected)) = (line.scope, line.expected[5]) else { continue };
        let without: Vec<Scope> = Scope::ALL.into_iter().filter(|s| *s != scope).collect();
        let without = world.hub.visitor(&world.hub.token("owner", &without, None).await);
        let refused = world.send(line, &without, "owner").await.status.as_u16();
        let seen = line.route.starts_with("GET") && line.route.contains("{name}")
            || line.route.contains("manifests");
        let right = if scope == Scope::Read && seen { 404 } else { 403 };
        assert_eq!(refused, right, "{} ({}) without {scope}", line.route, line.about);
        let alone = world.hub.visitor(&world.hub.token("owner", &[scope], None).await);
        let answer = world.send(line, &alone, "owner").await;
        assert_eq!(answer.status.as_u16(), expected, "{} ({}) with {scope}", line.route, line.about);
    }
}

#[test]
fn the_table_has_every_route() {
    let document = hub_server::openapi_document();
    let document: Value = serde_json::from_str(&document.to_json().expect("JSON")).expect("JSON");
    let routes: BTreeSet<String> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, verbs)| {
            let verbs = verbs.as_object().expect("verbs").keys();
            verbs.map(move |verb| format!("{} {path}", verb.to_uppercase()))
        })
        .collect();
    let listed: BTreeSet<String> = table().into_iter().map(|line| line.route).collect();
    let missing: Vec<_> = routes.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&routes).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "docs/permissions.md lacks {missing:?} and has {gone:?} for nothing"
    );
}
