//! A registry that takes no changes: reading works, everything else says why not.

use hub_schemas::problem::ProblemCode;
use hub_tests::{
    cli::{Home, Said},
    hub::{HubProcess, SampleAdapter, flags},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_registry_is_pulled_from_and_never_changed() {
    let data = tempfile::tempdir().expect("a folder");
    let place = flags().await;
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    let token = HubProcess::token_with(data.path(), &place, "ada");
    let server = HubProcess::start_with(data.path(), &place);
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    server.visitor(&token).publish(&sample).await;
    server.kill();

    let read_only = [&place[..], &["--read-only", "true"]].concat();
    let server = HubProcess::start_with(data.path(), &read_only);
    let ada = server.visitor(&token);
    assert_eq!(ada.get("/readyz").await.status, 200);
    let home = Home::logged_in(&server.url(), &token).await;
    home.hub(&["pull", "ada/sentiment"]).await.expect_code(0);
    let next = SampleAdapter::lora("ada/sentiment", "1.1.0");
    let refused = ada.put_manifest(&next).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, ProblemCode::ReadOnly));
    let folder = home.write("trained", &next);
    let said = home.hub(&["push", &folder.to_string_lossy()]).await.expect_code(1);
    assert!(said.stderr.contains("takes no changes"), "{said}");
    let verb =
        Said::new(&HubProcess::admin(data.path(), &[&["user", "add", "eve"], &read_only[..]].concat()));
    assert!(verb.expect_code(1).stderr.contains("the registry is read-only"));
    drop(server);

    let server = HubProcess::start_with(data.path(), &place);
    let info = server.visitor(&token).get("adapters/ada/sentiment").await.json();
    assert_eq!(info["latest"]["pulls"], 0, "nothing was written, not even a count");
    assert_eq!(info["versions"].as_array().map(Vec::len), Some(1));
}
