//! The OpenAPI document is what the server serves and what `schemas/openapi.json` says.

use std::{collections::BTreeSet, path::Path};

use hub_tests::hub::TestHub;
use serde_json::Value;

/// `HUB_WRITE_SCHEMAS=1 cargo test -p hub-tests --test registry openapi` rewrites the file.
#[test]
fn the_file_in_schemas_is_what_the_handlers_generate() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/openapi.json");
    let json = hub_server::openapi_document().to_pretty_json().expect("serialises");
    let expected = format!("{json}\n");
    if std::env::var_os("HUB_WRITE_SCHEMAS").is_some() {
        std::fs::write(&path, &expected).expect("writes the document");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "schemas/openapi.json is out of date: run HUB_WRITE_SCHEMAS=1 cargo test -p hub-tests --test registry openapi"
    );
}

#[tokio::test]
async fn the_server_serves_its_document_and_every_reference_in_it_resolves() {
    let hub = TestHub::start().await;
    let document = hub.anonymous().get("/api/openapi.json").await.json();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference} does not resolve");
    }
    let operations: Vec<&Value> = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|verbs| verbs.as_object().into_iter().flatten().map(|(_, operation)| operation))
        .collect();
    let names: BTreeSet<_> = operations.iter().map(|found| found["operationId"].as_str()).collect();
    assert_eq!(names.len(), operations.len(), "each operation has a name of its own: {names:?}");
    let undocumented: Vec<_> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, verbs)| {
            verbs.as_object().into_iter().flatten().map(move |(verb, op)| (path, verb, op))
        })
        .filter(|(_, _, operation)| operation["summary"].as_str().unwrap_or_default().is_empty())
        .collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");
}

fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|field| collect(field, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
