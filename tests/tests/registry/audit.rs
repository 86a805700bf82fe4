//! The audit log: what was changed, by whom, with which token.

use hub_schemas::api::{AuditPage, AuditRecord, CreatedToken, Role};
use hub_tests::{
    cli::Said,
    hub::{HubProcess, SampleAdapter, TestHub, Visitor},
};
use insta::assert_snapshot;
use serde_json::json;

async fn put(who: &Visitor, path: &str, role: Role) {
    assert_eq!(who.put_json(path, &json!({"role": role})).await.status, 200);
}

#[tokio::test]
async fn every_change_is_recorded_with_who_made_it() {
    let hub = TestHub::start().await;
    let (ada, root) = (hub.user("ada").await, hub.user("root").await);
    hub.make_administrator("root").await;
    ada.post("namespaces", &json!({"name": "lab"})).await;
    put(&ada, "namespaces/lab/members/root", Role::Writer).await;
    ada.delete("namespaces/lab/members/root").await;
    ada.publish(&SampleAdapter::lora("lab/x", "1.0.0")).await;
    ada.patch("adapters/lab/x/versions/1.0.0", &json!({"yanked": true, "reason": "wrong labels"})).await;
    ada.patch("adapters/lab/x/versions/1.0.0", &json!({"yanked": false})).await;
    ada.patch("adapters/lab/x", &json!({"visibility": "internal"})).await;
    // What changes nothing is no change.
    ada.patch("adapters/lab/x", &json!({"visibility": "internal"})).await;
    put(&ada, "adapters/lab/x/collaborators/root", Role::Reader).await;
    ada.delete("adapters/lab/x/collaborators/root").await;
    let wanted = json!({"name": "ci", "scopes": ["read"], "names": ["lab/*"]});
    let made: CreatedToken = ada.post("tokens", &wanted).await.expect_ok();
    ada.delete(&format!("tokens/{}", made.token.id)).await;

    let page: AuditPage = root.get("audit?limit=1000").await.expect_ok();
    let told = |record: &AuditRecord| {
        let with = if record.token_id.is_some() { "token" } else { "no token" };
        format!("{} ({with}) {} {} {}", record.actor, record.action, record.subject, record.detail)
    };
    let text = page.items.iter().map(told).collect::<Vec<_>>().join("\n");
    let ids = without_ids(&text);
    assert_snapshot!(ids);
    assert!(!text.contains(&made.secret) && page.next.is_none());
}

/// Identifiers and digests, which differ from run to run, made equal.
fn without_ids(text: &str) -> String {
    let plain = |word: &str| {
        let hex = word.strip_prefix("sha256:").unwrap_or(word);
        if hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            "[id]".to_owned()
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| line.split(' ').map(plain).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_log_is_read_page_by_page_and_by_actor() {
    let hub = TestHub::start().await;
    let (ada, root) = (hub.user("ada").await, hub.user("root").await);
    hub.make_administrator("root").await;
    for i in 0..5 {
        ada.post("namespaces", &json!({"name": format!("lab-{i}")})).await;
    }
    let mut after = String::new();
    let mut seen = Vec::new();
    loop {
        let page: AuditPage = root.get(&format!("audit?actor=ada&limit=3&after={after}")).await.expect_ok();
        seen.extend(page.items);
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    // A namespace and its owner, each.
    assert_eq!(seen.len(), 10);
    assert!(seen.windows(2).all(|pair| pair[0].id < pair[1].id) && seen.iter().all(|r| r.actor == "ada"));
    assert_eq!(root.get("audit?limit=0").await.status, 400);
    assert_eq!(ada.get("audit").await.problem().detail, "`ada` is not an administrator of this registry");
}

#[tokio::test]
async fn an_operator_exports_the_log_as_lines_of_json() {
    let data = tempfile::tempdir().expect("a folder");
    HubProcess::token(data.path(), "ada");
    let export = |verb: &[&str]| {
        let said = Said::new(&HubProcess::admin(data.path(), verb)).expect_code(0);
        said.stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect::<Vec<AuditRecord>>()
    };
    let all = export(&["audit", "export"]);
    let actions: Vec<_> = all.iter().map(|record| record.action.as_str()).collect();
    assert_eq!(actions, ["namespace-add", "user-add", "member-set", "token-create"]);
    assert!(all.iter().all(|record| record.actor == "(operator)"));
    assert_eq!(export(&["audit", "export", "--after", &all[1].id]), all[2..]);
}
