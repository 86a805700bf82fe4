//! HTTPS by the server itself, and certificates that are renewed under it.

use std::{fs, process::Command};

use hub_tests::{
    cli::Home,
    eventually,
    hub::{Certificate, HubProcess, SampleAdapter, Visitor, certificate},
};

#[tokio::test(flavor = "multi_thread")]
async fn adapters_are_pushed_and_pulled_over_https() {
    let (data, files) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let ours = certificate();
    let flags = ours.install(files.path());
    let token = HubProcess::token(data.path(), "ada");
    let server = HubProcess::start_with(data.path(), &flags.each_ref().map(String::as_str));
    let url = server.secure_url();
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    let home = Home::new(&url);
    let folder = home.write("trained", &sample);
    let trust = flags[1].as_str();
    let environment = [("SSL_CERT_FILE", trust), ("HUB_TOKEN", token.as_str())];
    home.hub_with(&environment, &["push", &folder.to_string_lossy()]).await.expect_code(0);
    home.hub_with(&environment, &["pull", "ada/sentiment"]).await.expect_code(0);
    // Whoever does not know the certificate sends nothing, its token least of all.
    let stranger = certificate();
    fs::write(files.path().join("other.pem"), &stranger.certificate).expect("writes");
    let other = files.path().join("other.pem");
    let environment = [("SSL_CERT_FILE", &*other.to_string_lossy()), ("HUB_TOKEN", &token)];
    let refused = home.hub_with(&environment, &["whoami"]).await.expect_code(1);
    assert!(refused.stderr.contains("certificate"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken_without_a_restart() {
    let (data, files) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (old, new) = (certificate(), certificate());
    let flags = old.install(files.path());
    let server = HubProcess::start_with(data.path(), &flags.each_ref().map(String::as_str));
    let trusting =
        |certificate: &Certificate| Visitor::trusting(server.secure_url(), None, &certificate.certificate);
    assert!(trusting(&old).reaches("/healthz").await);
    assert!(!trusting(&new).reaches("/healthz").await);
    // Half of a renewal: the pair does not fit, and the old one is served on.
    fs::write(files.path().join("certificate.pem"), &new.certificate).expect("writes");
    hang_up(&server);
    assert!(trusting(&old).reaches("/healthz").await);
    fs::write(files.path().join("key.pem"), &new.key).expect("writes");
    hang_up(&server);
    let taken = async || trusting(&new).reaches("/healthz").await.then_some(());
    eventually("the new certificate is taken", taken).await;
    assert!(!trusting(&old).reaches("/healthz").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_read_files_again_ends_no_server_that_has_none() {
    let data = tempfile::tempdir().expect("a folder");
    let server = HubProcess::start(data.path());
    hang_up(&server);
    let anyone = Visitor::new(server.url(), None);
    assert_eq!(anyone.get("/startupz").await.status, 200);
    assert_eq!(server.terminate(), Some(0));
}

fn hang_up(server: &HubProcess) {
    let sent = Command::new("kill").args(["-HUP", &server.id().to_string()]).status();
    assert!(sent.is_ok_and(|s| s.success()), "the signal was sent");
}
