//! The real `hub-server` program, for tests that kill it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use super::{FakeClock, Visitor};

/// Longer than any start takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program beside the test programs; `cargo build --workspace --bins` makes it.
pub fn server_binary() -> PathBuf {
    let test = std::env::current_exe().expect("this program's path");
    let folder = test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let binary = folder.join(format!("hub-server{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.is_file(), "run `cargo build --workspace --bins` first: there is no {}", binary.display());
    binary
}

/// A running `hub-server`. Killed when dropped.
#[derive(Debug)]
pub struct HubProcess {
    child: Child,
    address: String,
}

impl HubProcess {
    /// Serves `data` on a free port.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// Serves `data` on a free port, with more flags.
    pub fn start_with(data: &Path, flags: &[&str]) -> Self {
        Self::spawn(command(data), data, flags, Stdio::null())
    }

    /// Serves `data` by another clock.
    pub fn start_by(clock: &FakeClock, data: &Path, flags: &[&str]) -> Self {
        let mut program = command(data);
        clock.wind(&mut program);
        Self::spawn(program, data, flags, Stdio::null())
    }

    /// Serves `data` on a free port, with more flags and variables of the environment.
    pub fn start_in(data: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut program = command(data);
        program.envs(environment.iter().copied());
        Self::spawn(program, data, flags, Stdio::null())
    }

    /// Serves `data` and writes its log to a file, with every statement that the database is asked.
    pub fn start_telling_statements(data: &Path, log: &Path) -> Self {
        let log = std::fs::File::create(log).expect("a file");
        let mut program = command(data);
        program.env("RUST_LOG", "error,sqlx::query=debug");
        Self::spawn(program, data, &["--log-format", "json", "--run-jobs=false"], log.into())
    }

    /// Serves `data` and writes its log to a file, one JSON object a line.
    pub fn start_with_log(data: &Path, flags: &[&str], log: &Path) -> Self {
        let log = std::fs::File::create(log).expect("a file");
        Self::spawn(command(data), data, &[&["--log-format", "json"], flags].concat(), log.into())
    }

    /// Starts an operator's verb and does not wait for its end.
    pub fn verb(data: &Path, verb: &[&str]) -> Child {
        let child = command(data).args(verb).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        child.expect("the program starts")
    }

    /// Runs `hub-server worker` beside it.
    pub fn worker(data: &Path, flags: &[&str]) -> Child {
        let worker = command(data).arg("worker").args(flags).stderr(Stdio::null()).spawn();
        worker.expect("the worker starts")
    }

    fn spawn(mut program: Command, data: &Path, flags: &[&str], log: Stdio) -> Self {
        let port_file = data.join(format!("port-{}", std::process::id()));
        drop(std::fs::remove_file(&port_file));
        let child = program
            .args(["serve", "--listen", "127.0.0.1:0", "--port-file"])
            .arg(&port_file)
            .args(flags)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let began = Instant::now();
        let address = loop {
            match std::fs::read_to_string(&port_file) {
                Ok(address) => break address.trim().to_owned(),
                Err(_) if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => panic!("the server does not listen: {error}"),
            }
        };
        Self { child, address }
    }

    /// Serves `data` on a disk that [`limit_files`](Self::limit_files) fills: it lives on when it may not write.
    pub fn start_on_small_disk(data: &Path) -> Self {
        let mut shell = Command::new("bash");
        shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "bash"]).arg(server_binary()).arg("--data").arg(data);
        Self::spawn(shell, data, &[], Stdio::null())
    }

    /// Lets no file grow beyond so many bytes: as good as a full disk, for one file at a time. `None` makes room again.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let mut program = Command::new("prlimit");
        let done = program.arg(format!("--pid={}", self.id())).arg(format!("--fsize={limit}:")).status();
        assert!(done.expect("`prlimit` of util-linux runs").success(), "the limit is set");
    }

    /// Runs an operator's verb on `data`, such as `["user", "add", "ada"]`.
    pub fn admin(data: &Path, verb: &[&str]) -> Output {
        command(data).args(verb).output().expect("the program runs")
    }

    /// The same with variables of the environment.
    pub fn admin_in(data: &Path, verb: &[&str], environment: &[(&str, &str)]) -> Output {
        command(data).args(verb).envs(environment.iter().copied()).output().expect("the program runs")
    }

    /// The same with something on standard input.
    pub fn admin_with(data: &Path, verb: &[&str], input: &str) -> Output {
        let mut program = command(data);
        let streams = program.args(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = streams.spawn().expect("the program starts");
        // A program that refuses the verb does not read it.
        drop(child.stdin.take().expect("its input").write_all(input.as_bytes()));
        child.wait_with_output().expect("the program ends")
    }

    /// A new token of `user`, who is made if need be.
    pub fn token(data: &Path, user: &str) -> String {
        Self::token_with(data, &[], user)
    }

    /// The same with more flags.
    pub fn token_with(data: &Path, flags: &[&str], user: &str) -> String {
        Self::token_for(data, flags, user, &[])
    }

    /// A new token of `user`, who is made if need be, for all that one may do.
    pub fn owner_token(data: &Path, flags: &[&str], user: &str) -> String {
        Self::token_for(data, flags, user, &["--scope", "read,publish,yank,admin"])
    }

    fn token_for(data: &Path, flags: &[&str], user: &str, scope: &[&str]) -> String {
        Self::admin(data, &[&["user", "add", user], flags].concat());
        let output = Self::admin(data, &[&["token", "create", "--user", user], scope, flags].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same where it ends TLS itself.
    pub fn secure_url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Somebody with this token.
    pub fn visitor(&self, token: &str) -> Visitor {
        Visitor::new(self.url(), Some(token))
    }

    /// Kills it as the system would: no signal handler runs.
    pub fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it stopped");
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop (SIGTERM) and waits until it did; its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let signal = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(signal.is_ok_and(|s| s.success()), "the signal was sent");
        self.child.wait().expect("it stopped").code()
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The program on `data`, deaf to the settings of whoever runs the tests.
fn command(data: &Path) -> Command {
    let mut command = Command::new(server_binary());
    let read = ["HUB_SERVER_", "AWS_"];
    let ours = |name: &std::ffi::OsStr| read.iter().any(|start| name.to_string_lossy().starts_with(start));
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command.arg("--data").arg(data);
    command
}
