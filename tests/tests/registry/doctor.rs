//! `hub-server doctor`: what it finds, and that it leaves nothing behind.

use std::{fs, path::Path};

use hub_tests::{
    cli::Said,
    hub::{HubProcess, certificate},
    services::postgres::Postgres,
};
use serde_json::Value;

fn doctor(data: &Path, flags: &[&str]) -> Said {
    // A port that nobody listens on: the tests run beside each other.
    Said::new(&HubProcess::admin(data, &[&["doctor", "--listen", "127.0.0.1:0"], flags].concat()))
}

fn check(report: &Value, name: &str) -> (String, String, String) {
    let all = report.as_array().expect("a list");
    let found = all.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no `{name}` in {report}"));
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("found"), text("next"))
}

#[test]
fn all_is_well_in_a_new_folder_and_beside_a_running_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    doctor(&data, &[]).expect_code(0);
    assert!(!data.exists(), "it makes nothing");
    fs::create_dir(&data).expect("a folder");
    let server = HubProcess::start(&data);
    let before = count(&data);
    let said = doctor(&data, &[]).expect_code(0);
    assert_eq!(count(&data), before, "it leaves nothing");
    drop(server);
    let filters = [
        (folder.path().to_string_lossy().into_owned(), "[FOLDER]"),
        (r"\d+ MiB".to_owned(), "[N] MiB"),
        (r"[0-9a-f]{32}".to_owned(), "[ID]"),
        (r"\d+ wait".to_owned(), "[N] wait"),
    ];
    insta::with_settings!({ filters => filters.iter().map(|(a, b)| (a.as_str(), *b)) }, {
        insta::assert_snapshot!("doctor", said.stdout);
    });
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("reads").map(|entry| entry.expect("an entry").path());
    // SQLite's own files come and go.
    let ours = |path: &std::path::PathBuf| !path.to_string_lossy().contains("registry.sqlite");
    entries.filter(ours).map(|path| 1 + if path.is_dir() { count(&path) } else { 0 }).sum()
}

#[test]
fn what_is_wrong_comes_with_the_next_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let report =
        |flags: &[&str]| doctor(data, &[flags, &["--format", "json"]].concat()).expect_code(1).json();

    let unmigrated = Postgres::shared().database(None);
    let (status, _, next) = check(&report(&["--database-url", &unmigrated]), "database");
    assert_eq!((status.as_str(), next.as_str()), ("fail", "run `hub-server migrate`"));
    let (status, _, next) = check(&report(&["--database-url", "mysql://x"]), "database");
    assert_eq!(status, "fail");
    assert!(next.contains("`database_url`"), "{next}");

    fs::write(data.join("files"), b"in the way").expect("writes");
    let (status, found, next) = check(&report(&[]), "storage");
    assert_eq!(status, "fail", "{found}");
    assert!(next.contains("give the folder"), "{next}");
}

#[test]
fn a_certificate_that_does_not_fit_its_key_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (certificate(), certificate());
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let installed = one.install(folder.path());
    let flags = [&installed.each_ref().map(String::as_str)[..], &["--format", "json"]].concat();
    let found = check(&doctor(folder.path(), &flags).expect_code(0).json(), "tls");
    assert!(found.1.starts_with("the certificate fits its key, and is valid until"), "{found:?}");
    fs::write(path("key.pem"), &other.key).expect("writes");
    let (status, found, _) = check(&doctor(folder.path(), &flags).expect_code(1).json(), "tls");
    assert_eq!(status, "fail");
    assert!(found.contains("key.pem"), "{found}");
    fs::write(path("certificate.pem"), b"no PEM").expect("writes");
    let (_, found, _) = check(&doctor(folder.path(), &flags).expect_code(1).json(), "tls");
    assert!(found.contains("holds no certificate"), "{found}");
}

#[test]
fn a_storage_of_another_registry_is_found() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    drop((HubProcess::start(one.path()), HubProcess::start(other.path())));
    fs::copy(one.path().join("files/registry-id"), other.path().join("files/registry-id")).expect("copies");
    let report = doctor(other.path(), &["--format", "json"]).expect_code(1).json();
    assert_eq!(check(&report, "identity").0, "fail");
}
