//! Organisations, members, collaborators, and who may see what.

use hub_schemas::{
    api::{CreatedToken, Role, SearchPage, TokenEntry},
    digest::Digest,
    problem::ProblemCode,
    token::Scope,
};
use hub_tests::hub::{Answer, SampleAdapter, TestHub, Visitor};
use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};

async fn grant(who: &Visitor, path: &str, role: Role) -> Answer {
    who.put_json(path, &json!({"role": role})).await
}

async fn found(who: &Visitor, word: &str) -> (u64, usize) {
    let page: SearchPage = who.get(&format!("search?q={word}")).await.expect_ok();
    let resolved = who.get(&format!("resolve?word={word}")).await.json();
    (page.total, resolved["candidates"].as_array().map_or(0, Vec::len))
}

#[tokio::test]
async fn whoever_makes_an_organisation_owns_it_and_lets_others_in() {
    let hub = TestHub::start().await;
    let (ada, grace) = (hub.user("ada").await, hub.user("grace").await);
    let made = ada.post("namespaces", &json!({"name": "lab"})).await;
    assert_eq!(made.status, 201);
    assert_eq!(ada.post("namespaces", &json!({"name": "grace"})).await.code(), ProblemCode::Conflict);
    let member = grant(&ada, "namespaces/lab/members/grace", Role::Writer).await;
    assert_eq!(member.json()["role"], "writer");
    assert_json_snapshot!(grace.get("namespaces/lab").await.json(), {".members[].since" => "[time]"}, @r#"
    {
      "kind": "organisation",
      "members": [
        {
          "role": "owner",
          "since": "[time]",
          "user": "ada"
        },
        {
          "role": "writer",
          "since": "[time]",
          "user": "grace"
        }
      ],
      "name": "lab",
      "usage": {
        "adapters": 0,
        "bytes": 0,
        "uploading_bytes": 0
      }
    }
    "#);
    assert_eq!(ada.get("namespaces/ada").await.json()["kind"], "user");
    assert!(grace.publish(&SampleAdapter::lora("lab/x", "1.0.0")).await.created);
    assert_eq!(ada.delete("namespaces/lab/members/grace").await.status, 204);
    let refused = grace.put_manifest(&SampleAdapter::lora("lab/x", "1.1.0")).await;
    assert_eq!(refused.problem().detail, "`grace` is not a member of the namespace `lab`");
}

#[tokio::test]
async fn a_namespace_is_never_without_an_owner() {
    let hub = TestHub::start().await;
    let (ada, _grace) = (hub.user("ada").await, hub.user("grace").await);
    hub.add_namespace("lab", "ada").await;
    let last = [
        ada.delete("namespaces/lab/members/ada").await,
        grant(&ada, "namespaces/lab/members/ada", Role::Reader).await,
        ada.delete("namespaces/ada/members/ada").await,
    ];
    let said: Vec<_> = last.iter().map(|answer| (answer.code(), answer.problem().detail)).collect();
    assert!(said.iter().all(|(code, _)| *code == ProblemCode::Conflict), "{said:?}");
    assert_eq!(said[0].1, "`ada` is the owner that `lab` can't be without");
    // Her own namespace stays hers, whoever else owns it.
    grant(&ada, "namespaces/ada/members/grace", Role::Owner).await;
    assert_eq!(ada.delete("namespaces/ada/members/ada").await.code(), ProblemCode::Conflict);
    grant(&ada, "namespaces/lab/members/grace", Role::Owner).await;
    assert_eq!(ada.delete("namespaces/lab/members/ada").await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_owners_who_remove_each_other_at_once_leave_one() {
    let hub = TestHub::start().await;
    let (ada, grace) = (hub.user("ada").await, hub.user("grace").await);
    for i in 0..5 {
        let lab = format!("lab-{i}");
        hub.add_namespace(&lab, "ada").await;
        hub.add_member(&lab, "grace", Role::Owner).await;
        let of = |who: &str| format!("namespaces/{lab}/members/{who}");
        let (first, second) = (of("grace"), of("ada"));
        let (one, two) = tokio::join!(ada.delete(&first), grace.delete(&second));
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        // The slower one is refused as the last owner's remover, or is no owner any more.
        assert!(matches!(statuses, [204, 404 | 409]), "{statuses:?}");
    }
}

#[tokio::test]
async fn an_internal_adapter_is_there_for_every_user_and_for_nobody_else() {
    let hub = TestHub::start().await;
    let (ada, eve) = (hub.user("ada").await, hub.user("eve").await);
    let sample = SampleAdapter::lora("ada/inside", "1.0.0");
    ada.upload_files(&sample).await;
    let path = "adapters/ada/inside/versions/1.0.0?visibility=internal";
    assert_eq!(ada.put(path, sample.manifest_bytes()).await.status, 201);
    let info = eve.get("adapters/ada/inside").await;
    assert_eq!(info.json()["visibility"], "internal");
    assert_eq!(found(&eve, "inside").await, (1, 1));
    let file = eve.get(&format!("adapters/ada/inside/blobs/{}", Digest::of(sample.file("README.md")))).await;
    assert_eq!(file.header("cache-control"), "private, max-age=31536000, immutable");

    let anonymous = hub.anonymous();
    assert_eq!(anonymous.get("adapters/ada/inside").await.status, 404);
    assert_eq!(found(&anonymous, "inside").await, (0, 0));
    let blind = hub.visitor(&hub.token("eve", &[Scope::Yank], None).await);
    assert_eq!(blind.get("adapters/ada/inside").await.status, 404, "without scope `read`");
    // Seeing is not publishing.
    assert_eq!(eve.put_manifest(&SampleAdapter::lora("ada/inside", "1.1.0")).await.status, 403);

    let change = |to: &str| {
        let (ada, body) = (ada.clone(), json!({"visibility": to}));
        async move { ada.patch("adapters/ada/inside", &body).await.json()["visibility"].clone() }
    };
    assert_eq!(change("private").await, "private");
    assert_eq!(eve.get("adapters/ada/inside").await.status, 404);
    assert_eq!(change("internal").await, "internal");
    assert_eq!(eve.get("adapters/ada/inside").await.status, 200);
    assert_eq!(change("public").await, "public");
    assert_eq!(anonymous.get("adapters/ada/inside").await.status, 200);
}

#[tokio::test]
async fn a_collaborator_sees_one_private_adapter_of_a_namespace_and_no_other() {
    let hub = TestHub::start().await;
    let (ada, grace) = (hub.user("ada").await, hub.user("grace").await);
    for name in ["ada/shared", "ada/secret"] {
        ada.publish_private(&SampleAdapter::lora(name, "1.0.0")).await;
    }
    let path = "adapters/ada/shared/collaborators/grace";
    assert_eq!(grant(&ada, path, Role::Writer).await.json()["collaborators"][0]["user"], "grace");
    assert_eq!(grace.get("adapters/ada/shared").await.status, 200);
    assert_eq!(grace.get("adapters/ada/secret").await.status, 404);
    assert_eq!(found(&grace, "shared").await, (1, 1));
    assert_eq!(found(&grace, "secret").await, (0, 0));
    assert!(grace.publish(&SampleAdapter::lora("ada/shared", "1.1.0")).await.created);
    let answers = [
        grant(&ada, path, Role::Owner).await,
        grant(&ada, "adapters/ada/shared/collaborators/nobody", Role::Reader).await,
        grant(&grace, path, Role::Maintainer).await,
        ada.delete("adapters/ada/shared/collaborators/ada").await,
    ];
    assert_snapshot!(answers.map(|answer| answer.problem().detail).join("\n"), @r"
    a namespace has owners; an adapter has `maintainer` and below
    there is no user `nobody`
    `grace` is writer of `ada/shared`; this needs the role `maintainer`
    `ada` is not a collaborator of `ada/shared`
    ");
    assert_eq!(ada.delete(path).await.status, 204);
    assert_eq!(grace.get("adapters/ada/shared").await.status, 404);
}

#[tokio::test]
async fn a_namespace_of_others_and_one_that_does_not_exist_answer_alike() {
    let hub = TestHub::start().await;
    let (ada, eve) = (hub.user("ada").await, hub.user("eve").await);
    ada.post("namespaces", &json!({"name": "hidden"})).await;
    let ask = |name: &'static str| {
        let eve = eve.clone();
        async move {
            let of = |answer: Answer| {
                let problem = answer.problem();
                let said = format!("{} {} {:?}", answer.status, problem.detail, problem.hint);
                said.replace(name, "[name]")
            };
            [
                of(eve.get(&format!("namespaces/{name}")).await),
                of(grant(&eve, &format!("namespaces/{name}/members/eve"), Role::Owner).await),
                of(eve.delete(&format!("namespaces/{name}/members/ada")).await),
                of(eve.put_manifest(&SampleAdapter::lora(&format!("{name}/x"), "1.0.0")).await),
            ]
        }
    };
    assert_eq!(ask("hidden").await, ask("absent").await);
}

#[tokio::test]
async fn a_token_that_is_limited_to_names_sees_and_changes_nothing_beside_them() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    for name in ["ada/bert-a", "ada/bertxa", "ada/t5-a"] {
        ada.publish_private(&SampleAdapter::lora(name, "1.0.0")).await;
    }
    ada.publish(&SampleAdapter::lora("ada/open", "1.0.0")).await;
    let limited = hub.visitor(&hub.limited_token("ada", &Scope::ALL, &["ada/bert-*"]).await);
    assert_eq!(limited.get("whoami").await.json()["token"]["names"], json!(["ada/bert-*"]));
    assert_eq!(limited.get("adapters/ada/bert-a").await.status, 200);
    for hidden in ["ada/bertxa", "ada/t5-a"] {
        assert_eq!(limited.get(&format!("adapters/{hidden}")).await.status, 404);
        assert_eq!(
            limited.patch(&format!("adapters/{hidden}"), &json!({"visibility": "public"})).await.status,
            404
        );
    }
    assert_eq!(limited.get("adapters/ada/open").await.status, 200, "what is public is public");
    assert_eq!(found(&limited, "ada").await.0, 2);
    let manifest = SampleAdapter::lora("ada/t5-a", "1.0.0").digest();
    assert_eq!(limited.get(&format!("manifests/{manifest}")).await.status, 404);

    assert!(limited.publish(&SampleAdapter::lora("ada/bert-b", "1.0.0")).await.created);
    let refused = limited.put_manifest(&SampleAdapter::lora("ada/open", "1.1.0")).await.problem();
    assert_eq!(refused.detail, "the token `test` is limited to other names than `ada/open`");
    assert_eq!(limited.get("tokens").await.code(), ProblemCode::Forbidden);
    assert_eq!(limited.post("namespaces", &json!({"name": "lab"})).await.code(), ProblemCode::Forbidden);
}

#[tokio::test]
async fn a_user_makes_lists_and_revokes_tokens_that_may_do_no_more_than_the_one_at_hand() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let wanted = json!({"name": "ci", "scopes": ["publish-update"], "names": ["ada/*"]});
    let answer = ada.post("tokens", &wanted).await;
    assert_eq!(answer.status, 201);
    let made: CreatedToken = answer.expect_ok();
    assert!(made.secret.starts_with("hubt_") && made.secret.len() == 43);
    let ci = hub.visitor(&made.secret);
    assert_eq!(ci.get("whoami").await.json()["token"]["name"], "ci");

    let listed = ada.get("tokens").await;
    assert!(!String::from_utf8_lossy(&listed.body).contains(&made.secret), "a secret is shown once");
    let listed: Vec<TokenEntry> = listed.expect_ok();
    assert!(listed.contains(&made.token) && listed.len() == 2);

    let admin = hub.visitor(&hub.token("ada", &[Scope::Read, Scope::Admin], Some("1h")).await);
    let more: Value = json!({"name": "more", "scopes": ["yank"]});
    let longer: Value = json!({"name": "longer", "scopes": ["read"]});
    let answers = [
        admin.post("tokens", &more).await,
        admin.post("tokens", &longer).await,
        ada.post("tokens", &json!({"name": "", "scopes": ["read"]})).await,
        ada.post("tokens", &json!({"name": "x", "scopes": []})).await,
        ada.post("tokens", &json!({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}))
            .await,
        ada.post("tokens", &json!({"name": "x", "scopes": ["read"], "names": ["*/x"]})).await,
        ci.post("tokens", &json!({"name": "x", "scopes": ["publish-update"]})).await,
        ada.delete("tokens/nothing").await,
    ];
    assert_snapshot!(answers.map(|answer| answer.problem().detail).join("\n"), @r"
    the token `test` has no scope `yank`, so it can't make a token that has it
    the token `test` expires, so a token that it makes must expire no later
    `name` is one line of 1 to 64 characters
    a token needs at least one scope
    `expires_at` has passed
    the body is not the expected JSON: `*` has the character '*'; a name has lower-case letters, digits, `-` and `_` at line 1 column 27
    the token `ci` has no scope `admin`
    you have no working token with the id `nothing`
    ");
    assert_eq!(ada.delete(&format!("tokens/{}", made.token.id)).await.status, 204);
    assert_eq!(ci.get("whoami").await.code(), ProblemCode::Unauthorized);
    assert_eq!(ada.delete(&format!("tokens/{}", made.token.id)).await.status, 404);
}
