//! The same queries on PostgreSQL: a throw-away instance in a temporary folder.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hub_schemas::api::{Resolution, SearchPage};
use hub_server::{App, config::Config};
use hub_tests::hub::{SampleAdapter, TestHub};
use serde_json::json;

/// A PostgreSQL server of this test's own. Stopped when dropped.
struct Postgres {
    programs: PathBuf,
    folder: tempfile::TempDir,
}

impl Postgres {
    fn start() -> Self {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        let programs = versions.filter_map(Result::ok).map(|v| v.path().join("bin"));
        let programs = programs.filter(|p| p.join("initdb").is_file()).max();
        let programs = programs.expect("PostgreSQL is not installed: run scripts/postgres");
        let postgres = Self { programs, folder: tempfile::tempdir().expect("a folder") };
        let data = postgres.data();
        // PostgreSQL refuses to run as root.
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(postgres.folder.path()).status();
            assert!(owned.is_ok_and(|s| s.success()), "chown");
        }
        postgres.run("initdb", &["-U", "hub", "-A", "trust", "-D", &data]);
        let socket = postgres.folder.path().display();
        let options = format!("-c listen_addresses= -c unix_socket_directories={socket} -c fsync=off");
        postgres.run("pg_ctl", &["-D", &data, "-w", "-o", &options, "-l", &format!("{socket}/log"), "start"]);
        postgres
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn url(&self) -> String {
        let socket = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://hub@{socket}/postgres")
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        let done =
            command.args(arguments).current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(done.as_ref().is_ok_and(std::process::ExitStatus::success), "{} {done:?}", program.display());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|m| m.uid() == 0)
}

#[tokio::test]
async fn the_whole_life_of_an_adapter_on_postgresql() {
    let postgres = Postgres::start();
    let mut config = Config::embedded(postgres.folder.path());
    let scratch = tempfile::tempdir().expect("a folder");
    config.data = scratch.path().to_owned();
    config.database_url = Some(postgres.url());
    App::migrate(&config).await.expect("migrates");
    App::migrate(&config).await.expect("migrating twice is fine");

    let hub = TestHub::start_with(|c| *c = Config { listen: c.listen, ..config.clone() }).await;
    let (ada, eve) = (hub.user("ada").await, hub.user("eve").await);
    hub.add_namespace("lab", "ada").await;
    hub.add_member("lab", "eve").await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0").with_metric("accuracy", 0.9);
    assert!(ada.publish(&sample).await.created);
    assert!(!ada.publish(&sample).await.created);
    let other = sample.clone().with_file("README.md", b"# Other\n");
    assert_eq!(ada.try_publish(&other).await.status, 409);
    eve.publish_private(&SampleAdapter::bottleneck("lab/hidden", "1.0.0-rc.1")).await;

    let anyone = hub.anonymous();
    anyone.get(&format!("manifests/{}?purpose=pull", sample.digest())).await;
    hub.flush_pulls().await;
    let page: SearchPage =
        anyone.get("search?q=sentiment+mov&language=en&license=apache-2.0").await.expect_ok();
    assert_eq!((page.total, page.items[0].pulls), (1, 1));
    let page: SearchPage = ada.get("search?limit=1").await.expect_ok();
    assert_eq!((page.total, page.items.len(), page.next.is_some()), (2, 1, true));
    for q in ["'", "\"", "a & | !b", ":*", "\\", "!!!"] {
        let answer = anyone.request(reqwest::Method::GET, "search").query(&[("q", q)]).send().await;
        assert_eq!(answer.expect("an answer").status(), 200, "{q:?}");
    }
    let resolution: Resolution = anyone.get("resolve?word=sentiment").await.expect_ok();
    assert_eq!(resolution.candidates.len(), 1);
    assert_eq!(anyone.get("adapters/lab/hidden").await.status, 404);
    assert_eq!(ada.get("adapters/lab/hidden").await.status, 200);

    let yank = json!({"yanked": true, "reason": "wrong labels"});
    let yanked = ada.patch("adapters/ada/sentiment/versions/1.0.0", &yank).await;
    assert_eq!(yanked.json()["yanked"]["reason"], "wrong labels");
    let info = anyone.get("adapters/ada/sentiment").await.json();
    assert!(info.get("latest").is_none());
    let shown = ada.patch("adapters/lab/hidden", &json!({"visibility": "public"})).await;
    assert_eq!(shown.json()["visibility"], "public");
    assert_eq!(anyone.get("index/lab/hidden").await.status, 200);
    drop(hub.restart().await);
}

#[tokio::test]
async fn of_many_that_publish_at_once_on_postgresql_exactly_one_wins() {
    let postgres = Postgres::start();
    let scratch = tempfile::tempdir().expect("a folder");
    let mut config = Config::embedded(scratch.path());
    config.database_url = Some(postgres.url());
    App::migrate(&config).await.expect("migrates");
    let hub = TestHub::start_with(|c| *c = Config { listen: c.listen, ..config }).await;
    let ada = hub.user("ada").await;
    let samples: Vec<_> = (0..8)
        .map(|i| {
            let readme = format!("# Number {i}\n");
            SampleAdapter::lora("ada/x", "1.0.0").with_file("README.md", readme.as_bytes())
        })
        .collect();
    for sample in &samples {
        ada.upload_files(sample).await;
    }
    let racing: Vec<_> = samples
        .into_iter()
        .map(|sample| {
            let ada = ada.clone();
            tokio::spawn(async move { ada.put_manifest(&sample).await.status.as_u16() })
        })
        .collect();
    let mut statuses = Vec::new();
    for racer in racing {
        statuses.push(racer.await.expect("no panic"));
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![201], vec![409; 7]].concat());
}
