//! Transfers that are killed, cut, corrupted, or find no room.

use std::fs;

use hub_tests::{
    assert_said,
    cli::{Home, Said, run},
    hub::{SampleAdapter, TestHub},
    proxy::{Fault, Proxy},
};

const MIB: usize = 1 << 20;

/// An adapter with a file that takes a while.
fn large(bytes: usize) -> SampleAdapter {
    let text: Vec<u8> = (0..bytes).map(|i| b'a' + (i / 97 % 26) as u8).collect();
    SampleAdapter::lora("ada/sentiment", "1.0.0").with_file("vocabulary.txt", &text)
}

async fn world(bytes: usize) -> (TestHub, Proxy, Home) {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let author = Home::logged_in(&hub.url(), ada.token()).await;
    let folder = author.write("trained", &large(bytes));
    author.hub(&["push", &folder.to_string_lossy()]).await.expect_code(0);
    let proxy = Proxy::start(&hub.url()).await;
    let home = Home::new(proxy.url());
    (hub, proxy, home)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_pull_leaves_partial_files_only_and_is_continued() {
    let (_hub, proxy, home) = world(3 * MIB).await;
    proxy.set(Fault::Hang(MIB));
    let mut child = home.start(&["pull", "ada/sentiment"]);
    for _ in 0..500 {
        if size_of_partials(&home) >= MIB as u64 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    child.kill().expect("was running");
    child.wait().expect("ended");
    assert!(home.stored("adapters").is_empty() && size_of_partials(&home) >= MIB as u64);
    proxy.set(Fault::None);
    proxy.take_requests();
    let said = home.hub(&["pull", "ada/sentiment"]).await.expect_code(0);
    assert!(said.stderr.contains("continuing download of `vocabulary.txt` at"), "{said}");
    let requests = proxy.take_requests();
    assert!(requests.iter().any(|r| r.contains("bytes=1048576-")), "{requests:?}");
    assert!(home.stored("partial").is_empty());
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_pull_with_130_and_keeps_what_came() {
    let (_hub, proxy, home) = world(3 * MIB).await;
    proxy.set(Fault::Hang(MIB));
    let child = home.start(&["pull", "ada/sentiment"]);
    for _ in 0..500 {
        if size_of_partials(&home) >= MIB as u64 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|s| s.success()));
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().expect("ended"));
    let said = Said::new(&output.await.expect("no panic")).expect_code(130);
    assert!(said.stderr.contains("error: interrupted"), "{said}");
    assert!(size_of_partials(&home) >= MIB as u64 && home.stored("adapters").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_taken_up_again_where_it_broke() {
    let (_hub, proxy, home) = world(3 * MIB).await;
    proxy.set(Fault::Cut(MIB));
    let said = home.hub(&["pull", "ada/sentiment"]).await.expect_code(0);
    assert!(said.stderr.contains("trying again in"), "{said}");
    let requests = proxy.take_requests();
    assert!(requests.iter().any(|r| r.contains("bytes=1048576-")), "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_refused_and_nothing_is_left() {
    let (_hub, proxy, home) = world(1000).await;
    proxy.set(Fault::Corrupt);
    let said = home.hub(&["pull", "ada/sentiment"]).await.expect_code(1);
    assert!(said.stderr.contains("the registry sent wrong bytes for `"), "{said}");
    assert!(said.stderr.contains("hint: nothing was kept"), "{said}");
    assert!(home.stored("adapters").is_empty() && size_of_partials(&home) == 0);
    proxy.set(Fault::None);
    home.hub(&["pull", "ada/sentiment"]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_file_with_wrong_bytes_is_fetched_anew() {
    let (_hub, _proxy, home) = world(2000).await;
    let sample = large(2000);
    let digest = sample.manifest.file("vocabulary.txt").expect("listed").digest;
    fs::create_dir_all(home.cache().join("partial")).expect("creates");
    fs::write(home.cache().join("partial").join(digest.hex()), b"not the beginning").expect("writes");
    let said = home.hub(&["pull", "ada/sentiment"]).await.expect_code(0);
    assert!(said.stderr.contains("is damaged; fetching it again"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_push_is_continued_and_nothing_is_visible_before() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let proxy = Proxy::start(&hub.url()).await;
    let home = Home::logged_in(proxy.url(), ada.token()).await;
    let folder = home.write("trained", &large(40 * MIB));
    let push = ["push", &folder.to_string_lossy()];
    proxy.set(Fault::HangUploadAt(16 << 20));
    let mut child = home.start(&push);
    proxy.wait_for("bytes 16777216-").await;
    child.kill().expect("was running");
    child.wait().expect("ended");
    let listed = hub.anonymous().get("search").await.json();
    assert_eq!(listed["total"], 0);
    proxy.set(Fault::None);
    proxy.take_requests();
    let said = home.hub(&push).await.expect_code(0);
    assert!(said.stderr.contains("continuing upload of `vocabulary.txt` at 16.0 MiB of 40.0 MiB"), "{said}");
    let requests = proxy.take_requests();
    assert!(!requests.iter().any(|r| r.contains("bytes 0-16777215")), "{requests:?}");
    Home::new(&hub.url()).hub(&["pull", "ada/sentiment"]).await.expect_code(0);
}

/// A limit on file sizes stands in for a full disk: writing fails in the same way.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_the_same_command_continues_later() {
    let (_hub, _proxy, home) = world(3 * MIB).await;
    let mut command = std::process::Command::new("sh");
    home.seal(&mut command);
    let hub = hub_tests::cli::hub_binary();
    // The signal that comes with the limit is ignored, so that the write fails as on a full disk.
    command.args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" pull ada/sentiment"]).arg(hub);
    let said = run(command).await.expect_code(1);
    assert_said!(home, said, @r"
    exit: 1
    --- stdout
    --- stderr
    `ada/sentiment@1.0.0` is the newest that fits, of 1 version
    pulling `ada/sentiment@1.0.0` from [REGISTRY]
    error: can't write `[HOME]/cache/partial/12366058100c3b9dbf7f83a2b13eb955d9bdac5646298b79c4a9ac2f88f0a285`: File too large (os error 27)

    hint: free some space, then run the same command again: it continues
    ");
    assert!(home.stored("adapters").is_empty());
    let said = home.hub(&["pull", "ada/sentiment"]).await.expect_code(0);
    assert!(said.stderr.contains("continuing download"), "{said}");
}

fn size_of_partials(home: &Home) -> u64 {
    let Ok(items) = fs::read_dir(home.cache().join("partial")) else { return 0 };
    items.flatten().filter_map(|item| item.metadata().ok()).map(|m| m.len()).sum()
}
