//! The feed of changes: in order, without gaps, and only of what one may see.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use hub_schemas::api::{Change, ChangesPage, Role};
use hub_tests::hub::{SampleAdapter, TestHub, Visitor};
use serde_json::json;

async fn page(who: &Visitor, since: u64) -> ChangesPage {
    who.get(&format!("changes?since={since}")).await.expect_ok()
}

fn told(changes: &[Change]) -> Vec<String> {
    let line = |change: &Change| {
        let version = change.version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
        format!("{} {}{version}", change.kind.as_str(), change.name)
    };
    changes.iter().map(line).collect()
}

#[tokio::test]
async fn everything_that_others_may_see_is_told_in_the_order_in_which_it_happened() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    hub.make_administrator("ada").await;
    ada.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await;
    ada.publish(&SampleAdapter::lora("ada/x", "1.1.0")).await;
    let version = "adapters/ada/x/versions/1.0.0";
    for yanked in [true, false] {
        ada.patch(version, &json!({"yanked": yanked, "reason": "x"})).await.expect_ok::<serde_json::Value>();
    }
    assert_eq!(ada.delete(&format!("{version}?reason=y")).await.status, 204);
    assert_eq!(ada.put_json("adapters/ada/x/quarantine", &json!({"reason": "z"})).await.status, 200);
    assert_eq!(ada.delete("adapters/ada/x/quarantine").await.status, 200);
    assert_eq!(ada.post("adapters/ada/x/move", &json!({"to": "ada/y"})).await.status, 200);
    assert_eq!(ada.delete("adapters/ada/x/kept-name").await.status, 204);
    assert_eq!(ada.delete("adapters/ada/y?reason=old").await.status, 204);
    let found = page(&hub.anonymous(), 0).await;
    insta::assert_snapshot!(told(&found.items).join("\n"), @r"
    version.published ada/x@1.0.0
    version.published ada/x@1.1.0
    version.yanked ada/x@1.0.0
    version.unyanked ada/x@1.0.0
    version.deleted ada/x@1.0.0
    adapter.quarantined ada/x
    adapter.released ada/x
    adapter.moved ada/x
    adapter.moved ada/y
    name.freed ada/x
    version.deleted ada/y@1.1.0
    adapter.deleted ada/y
    ");
    let serials: Vec<u64> = found.items.iter().map(|change| change.serial).collect();
    assert_eq!(serials, (1..=serials.len() as u64).collect::<Vec<_>>());
    assert_eq!((found.next, found.more), (serials.len() as u64, false));
    // What is known is not told again, and the same bytes again are no change.
    let rest = page(&ada, 4).await;
    assert_eq!(rest.items[0].serial, 5);
    assert_eq!(page(&ada, found.next).await.items, []);
}

#[tokio::test]
async fn what_one_may_not_see_is_not_told_but_that_it_was_hidden_is() {
    let hub = TestHub::start().await;
    let (ada, bob) = (hub.user("ada").await, hub.user("bob").await);
    let anyone = hub.anonymous();
    ada.publish_private(&SampleAdapter::lora("ada/secret", "1.0.0")).await;
    ada.publish(&SampleAdapter::lora("ada/open", "1.0.0")).await;
    assert_eq!(told(&page(&ada, 0).await.items).len(), 2);
    for stranger in [&bob, &anyone] {
        let found = page(stranger, 0).await;
        assert_eq!(told(&found.items), ["version.published ada/open@1.0.0"]);
        assert_eq!(found.next, 2, "what is left out is passed over");
    }
    let show = async |name: &str, visibility: &str| {
        let answer = ada.patch(&format!("adapters/ada/{name}"), &json!({"visibility": visibility})).await;
        assert_eq!(answer.status, 200);
    };
    show("open", "internal").await;
    assert_eq!(told(&page(&anyone, 2).await.items), ["adapter.visibility ada/open"], "it goes");
    show("open", "private").await;
    ada.publish(&SampleAdapter::lora("ada/open", "1.1.0")).await;
    assert_eq!(told(&page(&anyone, 3).await.items), [""; 0], "who saw nothing hears nothing");
    assert_eq!(told(&page(&bob, 3).await.items), ["adapter.visibility ada/open"]);
    assert_eq!(told(&page(&ada, 3).await.items).len(), 2);
    // From the beginning nobody hears more of it than that it was hidden.
    assert_eq!(told(&page(&anyone, 0).await.items), ["adapter.visibility ada/open"]);
    // A role opens what was private, and a token that is limited to other names sees none of it.
    hub.add_member("ada", "bob", Role::Reader).await;
    let names: BTreeSet<_> = page(&bob, 0).await.items.into_iter().map(|c| c.name.to_string()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["ada/open", "ada/secret"]);
    let limited = hub.limited_token("bob", &hub_schemas::token::Scope::ALL, &["ada/other"]).await;
    assert!(!told(&page(&hub.visitor(&limited), 0).await.items).iter().any(|line| line.contains("secret")));
}

#[tokio::test]
async fn pages_follow_each_other_and_bad_numbers_are_refused() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    for minor in 0..5 {
        ada.publish(&SampleAdapter::lora("ada/x", &format!("1.{minor}.0"))).await;
    }
    let (mut since, mut seen) = (0, Vec::new());
    loop {
        let found: ChangesPage = ada.get(&format!("changes?since={since}&limit=2")).await.expect_ok();
        since = found.next;
        seen.extend(found.items);
        if !found.more {
            break;
        }
    }
    assert_eq!((seen.len(), since), (5, 5));
    // A database that was set back is noticed by whoever has seen more of it.
    assert_eq!(page(&ada, 999).await.next, 5);
    for query in ["since=-1", "since=x", "limit=0", "limit=1001", "wait=21", "colour=red"] {
        assert_eq!(ada.get(&format!("changes?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_told_at_once() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let waiting = tokio::spawn({
        let anyone = hub.anonymous();
        async move { anyone.get("changes?since=0&wait=20").await.expect_ok::<ChangesPage>() }
    });
    ada.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await;
    assert_eq!(told(&waiting.await.expect("no panic").items), ["version.published ada/x@1.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_misses_nothing_while_many_publish() {
    const PUBLISHERS: usize = 12;
    const VERSIONS: usize = 6;
    let hub = TestHub::start().await;
    let mut users = Vec::new();
    for number in 0..PUBLISHERS {
        users.push(hub.user(&format!("u{number}")).await);
    }
    let publish = join_all(users.into_iter().enumerate().map(|(number, user)| async move {
        for minor in 0..VERSIONS {
            user.publish(&SampleAdapter::lora(&format!("u{number}/x"), &format!("1.{minor}.0"))).await;
        }
    }));
    let anyone = hub.anonymous();
    // Reads as fast as it can and never looks back.
    let read = async {
        let (mut since, mut seen) = (0, Vec::new());
        while seen.len() < PUBLISHERS * VERSIONS {
            let found = page(&anyone, since).await;
            assert!(found.next >= since);
            since = found.next;
            seen.extend(found.items);
        }
        seen
    };
    let (_, seen) = tokio::join!(publish, read);
    let serials: Vec<u64> = seen.iter().map(|change| change.serial).collect();
    assert_eq!(serials, (1..=(PUBLISHERS * VERSIONS) as u64).collect::<Vec<_>>());
    let names: BTreeSet<_> = told(&seen).into_iter().collect();
    assert_eq!(names.len(), PUBLISHERS * VERSIONS, "each once");
}
