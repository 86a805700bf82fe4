//! The real `hub` program in a sealed home.
//!
//! A [`Home`] has its own configuration, tokens and cache; nothing of the person
//! who runs the tests reaches the program, and it can't leave the machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::hub::SampleAdapter;

/// The program beside the test programs; `cargo build --workspace --bins` makes it.
pub fn hub_binary() -> PathBuf {
    let test = std::env::current_exe().expect("this program's path");
    let folder = test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let binary = folder.join(format!("hub{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.is_file(), "run `cargo build --workspace --bins` first: there is no {}", binary.display());
    binary
}

/// A person's home folder, and the registry they use.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
    registry: String,
}

/// How `hub` ended and what it said.
#[derive(Debug)]
pub struct Said {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl Home {
    /// An empty home whose person uses the registry at `url`.
    pub fn new(url: &str) -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), registry: url.to_owned() }
    }

    /// An empty home whose person has logged in.
    pub async fn logged_in(url: &str, token: &str) -> Self {
        let home = Self::new(url);
        home.hub(&["login", "--token", token]).await.expect_code(0);
        home
    }

    /// The same home, with another registry from now on.
    #[must_use]
    pub fn at(mut self, url: &str) -> Self {
        url.clone_into(&mut self.registry);
        self
    }

    /// A path in this home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the local store lies.
    pub fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// `hub` with these arguments, ready to start.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(hub_binary());
        self.seal(&mut command);
        command.args(arguments);
        command
    }

    /// Gives a program this home and nothing else.
    pub fn seal(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("HUB_REGISTRY", &self.registry)
            .env("HUB_CONFIG", self.path("config.toml"))
            .env("HUB_DATA", self.path("data"))
            .env("HUB_CACHE", self.cache())
            .env("COLUMNS", "100")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    /// Runs `hub` to its end.
    pub async fn hub(&self, arguments: &[&str]) -> Said {
        run(self.command(arguments)).await
    }

    /// Runs `hub` with more environment.
    pub async fn hub_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        run(command).await
    }

    /// Starts `hub` and leaves it running.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("hub starts")
    }

    /// Writes a sample as the folder `hub train` would leave: its files and a manifest.
    pub fn write(&self, name: &str, sample: &SampleAdapter) -> PathBuf {
        let folder = self.path(name);
        for (path, bytes) in &sample.files {
            put(&folder.join(path), bytes);
        }
        put(&folder.join("manifest.json"), &sample.manifest_bytes());
        folder
    }

    /// Every file below a folder of the local store, sorted.
    pub fn stored(&self, folder: &str) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.cache().join(folder), &mut names);
        names.sort();
        names
    }

    /// What differs from run to run, and what stands for it in snapshots.
    pub fn filters(&self) -> Vec<(String, &'static str)> {
        let folder = self.folder.path().to_string_lossy();
        vec![
            (folder.replace('.', r"\."), "[HOME]"),
            (r"http://127\.0\.0\.1:\d+".to_owned(), "[REGISTRY]"),
            (r"127\.0\.0\.1-\d+-[0-9a-f]{8}".to_owned(), "[REGISTRY-KEY]"),
            (r"\b[0-9a-f]{32}\b".to_owned(), "[ID]"),
            (r"sha256:[0-9a-f]{64}".to_owned(), "[DIGEST]"),
            (r"\b[0-9a-f]{12}\b".to_owned(), "[12-DIGITS]"),
            (r"\d+(\.\d+)? (ms|s)\b".to_owned(), "[TIME]"),
            (r"\d{4}-\d\d-\d\d".to_owned(), "YYYY-MM-DD"),
            (r"request [0-9a-f-]{20,}".to_owned(), "request [ID]"),
        ]
    }
}

impl Said {
    /// From a finished process.
    pub fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Fails unless the program ended with `code`.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "most tests only want the check")]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON, which must be one document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self}"))
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.map_or_else(|| "signal".to_owned(), |code| code.to_string());
        write!(f, "exit: {code}\n--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// Runs a command to its end without blocking the registry in this process.
pub async fn run(mut command: Command) -> Said {
    let output = tokio::task::spawn_blocking(move || command.output().expect("the program runs"));
    Said::new(&output.await.expect("no panic"))
}

/// Compares what `hub` said with a snapshot, whatever differs from run to run replaced.
#[macro_export]
macro_rules! assert_said {
    ($home:expr, $said:expr, @$snapshot:literal) => {{
        let (filters, said) = ($home.filters(), $said.to_string());
        insta::with_settings!({ filters => filters.iter().map(|(a, b)| (a.as_str(), *b)) }, {
            insta::assert_snapshot!(said, @$snapshot);
        });
    }};
    ($home:expr, $name:literal, $said:expr) => {{
        let (filters, said) = ($home.filters(), $said.to_string());
        insta::with_settings!({ filters => filters.iter().map(|(a, b)| (a.as_str(), *b)) }, {
            insta::assert_snapshot!($name, said);
        });
    }};
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("creates the folder");
    fs::write(path, bytes).expect("writes the file");
}

fn collect(folder: &Path, names: &mut Vec<String>) {
    let Ok(items) = fs::read_dir(folder) else { return };
    for item in items.flatten() {
        if item.path().is_dir() {
            collect(&item.path(), names);
        } else {
            names.push(item.file_name().to_string_lossy().into_owned());
        }
    }
}
