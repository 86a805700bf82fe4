//! Bundles: carried to a site without a network, and refused when they are not what they say.

use std::{fs, io::Read as _, path::Path};

use hub_schemas::Digest;
use hub_tests::{
    assert_said,
    cli::{Home, Said},
    hub::{SampleAdapter, TestHub},
};
use tar::{EntryType, Header};

use super::bases::with_base_and_adapter;

/// A member of an archive: path, type, content.
type Member = (String, EntryType, Vec<u8>);

fn members(bundle: &Path) -> Vec<Member> {
    let mut archive = tar::Archive::new(fs::File::open(bundle).expect("opens"));
    let read = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
        let mut entry = entry.expect("an entry");
        let path = String::from_utf8(entry.path_bytes().into_owned()).expect("text");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("reads");
        (path, entry.header().entry_type(), content)
    };
    archive.entries().expect("an archive").map(read).collect()
}

/// Writes members as they are, paths that a well-behaved writer refuses too.
fn write(bundle: &Path, members: &[Member]) {
    let mut archive = tar::Builder::new(fs::File::create(bundle).expect("creates"));
    for (path, kind, content) in members {
        let mut header = Header::new_gnu();
        header
            .as_gnu_mut()
            .expect("GNU's")
            .name
            .iter_mut()
            .zip(path.bytes())
            .for_each(|(place, byte)| *place = byte);
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, &content[..]).expect("appends");
    }
    archive.finish().expect("writes");
}

async fn exported(hub: &TestHub) -> (Home, Said) {
    with_base_and_adapter(hub).await;
    let home = Home::new(&hub.url());
    let said = home.hub(&["bundle", "export", "ada/mood", "-o", "carried.tar"]).await;
    (home, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_is_carried_with_its_base_model_to_a_machine_without_a_network_and_runs_there() {
    let hub = TestHub::start().await;
    let (home, said) = exported(&hub).await;
    assert_said!(home, said, @r"
    exit: 0
    --- stdout
    ada/tiny-bert@1.0.0 [DIGEST]
    ada/mood@1.0.0 [DIGEST]
    --- stderr
    `ada/mood@1.0.0` is the newest that fits, of 1 version
    pulling `ada/mood@1.0.0` from [REGISTRY]
    pulled `ada/mood@1.0.0` (5.0 KiB in [TIME])
    pulling `ada/tiny-bert@1.0.0` from [REGISTRY]
    pulled `ada/tiny-bert@1.0.0` (30.5 KiB in [TIME])
    wrote `carried.tar` (48.5 KiB)
    ");
    // The same versions give the same bytes.
    home.hub(&["bundle", "export", "ada/mood", "-o", "again.tar"]).await.expect_code(0);
    let bytes = |name: &str| Digest::of(&fs::read(home.path(name)).expect("reads"));
    assert_eq!(bytes("carried.tar"), bytes("again.tar"));
    let occupied = home.hub(&["bundle", "export", "ada/mood", "-o", "again.tar"]).await.expect_code(1);
    assert!(occupied.stderr.contains("`again.tar` exists"), "{occupied}");

    let inside = Home::new("http://127.0.0.1:9");
    fs::copy(home.path("carried.tar"), inside.path("carried.tar")).expect("carries");
    assert_said!(inside, inside.hub(&["bundle", "import", "carried.tar", "--offline"]).await, @r"
    exit: 0
    --- stdout
    ada/tiny-bert@1.0.0 [DIGEST]
    ada/mood@1.0.0 [DIGEST]
    --- stderr
    imported 2 versions into the cache (35.5 KiB were new)
    ");
    inside.hub(&["run", "ada/mood", "a good film", "--offline"]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_fills_a_registry_that_never_saw_the_other_one() {
    let (outside, inside) = (TestHub::start().await, TestHub::start().await);
    let (home, said) = exported(&outside).await;
    said.expect_code(0);
    let ada = inside.user("ada").await;
    let carrier = Home::logged_in(&inside.url(), ada.token()).await;
    let bundle = home.path("carried.tar");
    let import = ["bundle", "import", &*bundle.to_string_lossy(), "--push", "--format", "json"];
    let first = carrier.hub(&import).await.expect_code(0).json();
    assert_eq!(first["published"], 2);
    let again = carrier.hub(&import).await.expect_code(0).json();
    assert_eq!((&again["published"], &again["bytes"]), (&0.into(), &0.into()));
    // The same manifests, byte for byte, so the same digests.
    for version in first["versions"].as_array().expect("versions") {
        let path = format!("manifests/{}", version["digest"].as_str().expect("a digest"));
        let (there, here) = (outside.anonymous().get(&path).await, inside.anonymous().get(&path).await);
        assert_eq!((there.status, &there.body), (here.status, &here.body));
    }
    let reader = Home::new(&inside.url());
    reader.hub(&["run", "sentiment", "a good film"]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_bundle_or_a_hostile_one_is_refused_and_leaves_nothing() {
    let hub = TestHub::start().await;
    let (home, said) = exported(&hub).await;
    said.expect_code(0);
    let good = members(&home.path("carried.tar"));
    let inside = Home::new(&hub.url());
    let refused = async |name: &str, reason: &str, change: &dyn Fn(&mut Vec<Member>)| {
        let mut changed = good.clone();
        change(&mut changed);
        write(&inside.path("hostile.tar"), &changed);
        let answer = inside.hub(&["bundle", "import", "hostile.tar"]).await.expect_code(1);
        assert!(answer.stderr.contains(reason), "{name}: {answer}");
        for folder in ["adapters", "blobs", "partial", "staging"] {
            assert_eq!(inside.stored(folder), Vec::<String>::new(), "{name} left something in {folder}");
        }
    };
    let regular = EntryType::Regular;
    let blob =
        |members: &[Member]| members.iter().position(|(p, ..)| p.starts_with("blobs/")).expect("a blob");
    refused("traversal", "`../../outside`, which is no part of a bundle", &|m| {
        m.push(("../../outside".into(), regular, vec![1]));
    })
    .await;
    refused("absolute", "`/etc/cron.d/x`, which is no part of a bundle", &|m| {
        m.push(("/etc/cron.d/x".into(), regular, vec![1]));
    })
    .await;
    refused("inside a digest", "`blobs/../../x`, which is no part of a bundle", &|m| {
        m.push(("blobs/../../x".into(), regular, vec![1]));
    })
    .await;
    refused("another spelling", "which is no part of a bundle", &|m| {
        let at = blob(m);
        m[at].0 = format!("./{}", m[at].0);
    })
    .await;
    for (name, kind) in [
        ("symbolic link", EntryType::Symlink),
        ("hard link", EntryType::Link),
        ("device", EntryType::Char),
        ("folder", EntryType::Directory),
        ("long name", EntryType::GNULongName),
        ("extension", EntryType::XHeader),
        ("sparse file", EntryType::GNUSparse),
    ] {
        refused(name, "which is not a plain file", &|m| {
            let at = blob(m);
            m.insert(at, ("blobs/x".into(), kind, Vec::new()));
        })
        .await;
    }
    refused("a file nobody lists", "which is no part of a bundle", &|m| {
        m.push((format!("blobs/{}", Digest::of(b"extra").hex()), regular, b"extra".to_vec()));
    })
    .await;
    refused("a file twice", "` twice", &|m| m.push(m[blob(m)].clone())).await;
    refused("a flipped bit", "it is damaged", &|m| {
        let at = blob(m);
        m[at].2[0] ^= 1;
    })
    .await;
    refused("a longer file", "bytes; at most", &|m| {
        let at = blob(m);
        m[at].2.extend([0; 4096]);
    })
    .await;
    refused("a missing file", "the bundle lacks `blobs/", &|m| drop(m.pop())).await;
    refused("a missing manifest", "` before `manifests/", &|m| drop(m.remove(1))).await;
    refused("a changed manifest", "it is damaged", &|m| m[1].2.push(b' ')).await;
    refused("no list", "before `bundle.json`", &|m| drop(m.remove(0))).await;
    refused("the list last", "before `bundle.json`", &|m| m.rotate_left(1)).await;
    refused("another format", "the bundle has format 2", &|m| {
        m[0].2 = br#"{"bundle_version":2,"versions":[]}"#.to_vec();
    })
    .await;
    refused("no version", "it lists no version", &|m| {
        m[0].2 = br#"{"bundle_version":1,"versions":[]}"#.to_vec();
    })
    .await;
    refused("a list that is too long", "at most 4194304 are read", &|m| m[0].2 = vec![b' '; (4 << 20) + 1])
        .await;
    // Cut off anywhere, it is refused too.
    let whole = fs::read(home.path("carried.tar")).expect("reads");
    for part in 1..8 {
        fs::write(inside.path("cut.tar"), &whole[..whole.len() * part / 8]).expect("writes");
        inside.hub(&["bundle", "import", "cut.tar"]).await.expect_code(1);
        assert_eq!(inside.stored("adapters"), Vec::<String>::new());
    }
    fs::write(inside.path("no.tar"), b"PK\x03\x04 this is no tar archive").expect("writes");
    inside.hub(&["bundle", "import", "no.tar"]).await.expect_code(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_in_the_cache_is_not_replaced_by_another_one_of_its_name() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    ada.publish(&sample).await;
    let home = Home::new(&hub.url());
    let export = ["bundle", "export", "ada/sentiment", "-o", "carried.tar"];
    let said = home.hub(&export).await.expect_code(0);
    assert!(said.stderr.contains("`tiny-bert` is not in the registry"), "{said}");
    let other = TestHub::start().await;
    other.user("ada").await.publish(&sample.with_file("README.md", b"# Another\n")).await;
    let inside = Home::new(&other.url());
    inside.hub(&["pull", "ada/sentiment"]).await.expect_code(0);
    let bundle = home.path("carried.tar");
    let said = inside.hub(&["bundle", "import", &bundle.to_string_lossy()]).await.expect_code(1);
    assert!(said.stderr.contains("with other content"), "{said}");
}
