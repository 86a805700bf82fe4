//! `docs/audit.md`, line by line: every route that changes something, and what the log says of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use hub_schemas::api::AuditPage;

use super::permissions::world::{Line, ROLES, Roles, World, table};

/// Who prepares what a request needs, and makes good what it did.
const OTHERS: [&str; 2] = ["olga", "(operator)"];

/// Logins by the word of others, which no line of the permission table lets succeed: `publishers.rs` and
/// `people_login.rs` look for theirs.
const BY_OTHERS: [&str; 4] = [
    "DELETE /api/v1/identities/{id}",
    "POST /api/v1/identities",
    "POST /api/v1/oidc/exchange",
    "POST /api/v1/oidc/login",
];

/// The routes of the page, each with the actions that it names, what it always leaves first; none for those that leave
/// no line.
fn page() -> BTreeMap<String, Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/audit.md");
    let text = std::fs::read_to_string(path).expect("the page is there");
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = text.lines().filter(|line| line.starts_with("| `") && line.contains(" /api/"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        (quoted(cells[0]).remove(0), cells.get(1).map_or_else(Vec::new, |cell| quoted(cell)))
    })
    .collect()
}

/// The actions of others than those who prepare, since the line `after`, and the last line.
async fn actions(world: &World, after: &str) -> (BTreeSet<String>, String) {
    let administrator = world.people.last().expect("an administrator");
    let page: AuditPage = administrator.get(&format!("audit?limit=1000&after={after}")).await.expect_ok();
    let last = page.items.last().map_or_else(|| after.to_owned(), |record| record.id.clone());
    let items = page.items.into_iter().filter(|record| !OTHERS.contains(&record.actor.as_str()));
    (items.map(|record| record.action).collect(), last)
}

/// The first role that a line lets do it.
fn allowed(line: &Line) -> Option<usize> {
    line.expected.iter().position(|status| status.is_some_and(|status| (200..300).contains(&status)))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_recorded_as_the_page_says() {
    let (world, page) = (World::new(Roles::AsMembers).await, page());
    let (_, mut last) = actions(&world, "").await;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in table().iter().filter(|line| !line.route.starts_with("GET")) {
        let seen = found.entry(line.route.clone()).or_default();
        let Some(role) = allowed(line) else { continue };
        let answer = world.send(line, &world.people[role], ROLES[role]).await;
        assert_eq!(Some(answer.status.as_u16()), line.expected[role], "{} as {}", line.route, ROLES[role]);
        let (done, now) = actions(&world, &last).await;
        seen.extend(done);
        last = now;
    }
    let routes: BTreeSet<&String> = found.keys().collect();
    assert_eq!(routes, page.keys().collect(), "docs/audit.md has the routes that change something");
    let lines = table();
    let succeed = |route: &str| lines.iter().any(|line| line.route == route && allowed(line).is_some());
    let without: Vec<&str> = found
        .keys()
        .map(String::as_str)
        .filter(|route| !page[*route].is_empty() && !succeed(route))
        .collect();
    assert_eq!(without, BY_OTHERS);
    let is_right = |route: &str, done: &BTreeSet<String>| match page[route].as_slice() {
        [] => done.is_empty(),
        [always, ..] => done.contains(always) && done.iter().all(|action| page[route].contains(action)),
    };
    let wrong = found.iter().filter(|(route, done)| succeed(route) && !is_right(route, done));
    let wrong: Vec<String> =
        wrong.map(|(route, done)| format!("{route}: {done:?}, not {:?}", page[route])).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
