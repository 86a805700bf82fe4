//! Teams: people of an organisation who have roles together.

use hub_schemas::{api::Role, problem::ProblemCode};
use hub_tests::hub::{SampleAdapter, TestHub, Visitor};
use insta::assert_snapshot;
use serde_json::json;

async fn set(who: &Visitor, team: &str, role: Option<Role>) {
    let answer = who.put_json(&format!("namespaces/lab/teams/{team}"), &json!({"role": role})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn add(who: &Visitor, team: &str, user: &str) {
    let path = format!("namespaces/lab/teams/{team}/members/{user}");
    assert_eq!(who.put(&path, Vec::new()).await.status, 204);
}

#[tokio::test]
async fn the_strongest_of_all_roles_counts_and_ends_with_the_team() {
    let hub = TestHub::start().await;
    let (ada, grace) = (hub.user("ada").await, hub.user("grace").await);
    hub.add_namespace("lab", "ada").await;
    ada.publish_private(&SampleAdapter::lora("lab/x", "1.0.0")).await;
    set(&ada, "readers", Some(Role::Reader)).await;
    set(&ada, "authors", Some(Role::Writer)).await;
    add(&ada, "readers", "grace").await;
    add(&ada, "readers", "grace").await;
    assert_eq!(grace.get("adapters/lab/x").await.status, 200);
    assert_eq!(grace.get("whoami").await.json()["namespaces"], json!(["grace", "lab"]));
    let next = SampleAdapter::lora("lab/x", "1.1.0");
    assert_eq!(
        grace.put_manifest(&next).await.problem().detail,
        "`grace` is reader of `lab/x`; this needs the role `writer`"
    );
    add(&ada, "authors", "grace").await;
    hub.add_member("lab", "grace", Role::Reader).await;
    assert_eq!(grace.get("whoami").await.json()["namespaces"], json!(["grace", "lab"]));
    assert!(grace.publish(&next).await.created);
    let info = ada.get("namespaces/lab").await.json();
    assert_eq!(info["teams"][0]["name"], "authors");
    assert_eq!(
        (&info["teams"][1]["role"], &info["teams"][1]["members"]),
        (&json!("reader"), &json!(["grace"]))
    );
    assert_eq!(ada.delete("namespaces/lab/teams/authors").await.status, 204);
    assert_eq!(grace.put_manifest(&SampleAdapter::lora("lab/x", "1.2.0")).await.status, 403);
    // Whoever is taken out of the organisation is in none of its teams.
    assert_eq!(ada.delete("namespaces/lab/members/grace").await.status, 204);
    assert_eq!(grace.get("adapters/lab/x").await.status, 404);
    assert_eq!(ada.get("namespaces/lab").await.json()["teams"][0]["members"], json!([]));
}

#[tokio::test]
async fn a_team_without_a_role_sees_the_adapters_that_it_collaborates_on() {
    let hub = TestHub::start().await;
    let (ada, grace) = (hub.user("ada").await, hub.user("grace").await);
    hub.add_namespace("lab", "ada").await;
    for name in ["lab/shared", "lab/secret"] {
        ada.publish_private(&SampleAdapter::lora(name, "1.0.0")).await;
    }
    set(&ada, "guests", None).await;
    add(&ada, "guests", "grace").await;
    assert_eq!(grace.get("namespaces/lab").await.status, 404);
    let given = ada.put_json("adapters/lab/shared/teams/guests", &json!({"role": "writer"})).await;
    assert_eq!(given.json()["teams"][0]["team"], "guests");
    assert_eq!(grace.get("whoami").await.json()["adapters"], json!(["lab/shared"]));
    assert_eq!(grace.get("adapters/lab/secret").await.status, 404);
    assert_eq!(grace.get("search?q=shared").await.json()["total"], 1);
    assert!(grace.publish(&SampleAdapter::lora("lab/shared", "1.1.0")).await.created);
    // An adapter that leaves the organisation leaves its teams.
    assert_eq!(ada.post("adapters/lab/shared/move", &json!({"to": "ada/shared"})).await.status, 200);
    assert_eq!(grace.get("adapters/ada/shared").await.status, 404);
    assert_eq!(grace.get("index/lab/shared").await.status, 404);
}

#[tokio::test]
async fn what_can_not_be_is_refused_by_name() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    hub.add_namespace("lab", "ada").await;
    ada.publish(&SampleAdapter::lora("lab/x", "1.0.0")).await;
    set(&ada, "linguists", None).await;
    let reader = json!({"role": "reader"});
    let answers = [
        ada.put_json("namespaces/ada/teams/linguists", &json!({})).await,
        ada.put_json("namespaces/lab/teams/linguists", &json!({"role": "owner"})).await,
        ada.put_json("adapters/lab/x/teams/linguists", &json!({"role": "owner"})).await,
        ada.put_json("adapters/lab/x/teams/none", &reader).await,
        ada.put("namespaces/lab/teams/none/members/ada", Vec::new()).await,
        ada.put("namespaces/lab/teams/linguists/members/nobody", Vec::new()).await,
        ada.delete("namespaces/lab/teams/linguists/members/ada").await,
        ada.delete("adapters/lab/x/teams/linguists").await,
        ada.delete("namespaces/lab/teams/none").await,
    ];
    assert_eq!(answers[0].code(), ProblemCode::Conflict);
    assert_snapshot!(answers.map(|answer| answer.problem().detail).join("\n"), @r"
    `ada` is the namespace of a user; organisations have teams
    owners are people; a team has `maintainer` and below
    owners are people; a team has `maintainer` and below
    `lab` has no team `none`
    `lab` has no team `none`
    there is no user `nobody`
    `ada` is not in the team `linguists` of `lab`
    the team `linguists` has no role on `lab/x`
    `lab` has no team `none`
    ");
}
