//! PostgreSQL from Debian's package, reached by a socket in its own folder.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::Guard;

/// Longer than any start takes on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// `$1` programs, `$2` folder. PostgreSQL refuses to run as root.
const SCRIPT: &str = r#"
run() { if [[ $(id -u) -eq 0 ]]; then runuser -u postgres -- "$@"; else "$@"; fi; }
if [[ $(id -u) -eq 0 ]]; then chown postgres "$2"; fi
run "$1/initdb" -U hub -A trust -D "$2/data" || exit 1
options="-c listen_addresses= -c unix_socket_directories=$2 -c fsync=off -c max_connections=400"
run "$1/pg_ctl" -D "$2/data" -w -o "$options" -l "$2/server-log" start || exit 1
touch "$2/ready"
read -r _
run "$1/pg_ctl" -D "$2/data" -m immediate stop
rm -rf "$2"
"#;

/// A PostgreSQL server. Stopped when dropped, and when the test program ends.
#[derive(Debug)]
pub struct Postgres {
    // Before the folder: what runs in it stops first.
    _guard: Guard,
    programs: PathBuf,
    folder: TempDir,
    databases: AtomicU32,
}

impl Postgres {
    /// The server that all tests of this program share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server of the caller's own.
    pub fn start() -> Self {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        let programs = versions.filter_map(Result::ok).map(|v| v.path().join("bin"));
        let programs = programs.filter(|p| p.join("initdb").is_file()).max();
        let programs = programs.expect("PostgreSQL is not installed: run scripts/debian-packages");
        let folder = tempfile::tempdir().expect("a folder");
        let arguments = [text(&programs), text(folder.path())];
        let mut guard = Guard::start(SCRIPT, &arguments, &folder.path().join("log"));
        let began = Instant::now();
        while !folder.path().join("ready").is_file() {
            assert!(guard.ended().is_none() && began.elapsed() < PATIENCE, "{}", log(folder.path()));
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { _guard: guard, programs, folder, databases: AtomicU32::new(0) }
    }

    /// The URL of a new database, empty or a copy of the database `template`.
    pub fn database(&self, template: Option<&str>) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let template = template.unwrap_or("template0");
        self.run("createdb", &["-h", text(self.folder.path()), "-U", "hub", "-T", template, &name]);
        self.url(&name)
    }

    /// The URL of a database.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://hub@{}/{name}", text(self.folder.path()).replace('/', "%2F"))
    }

    /// Breaks every connection and starts again, as after a crash.
    pub fn restart(&self) {
        let data = self.folder.path().join("data");
        self.run("pg_ctl", &["-D", text(&data), "-w", "-m", "immediate", "restart"]);
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

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of plain text")
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}
