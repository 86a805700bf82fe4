//! SeaweedFS, a store that speaks S3, as `scripts/seaweedfs` installs it.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::Guard;

/// Longer than any start takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// The bucket that all tests share: each has its own prefix.
const BUCKET: &str = "hub-tests";
/// Its one account.
pub const KEYS: (&str, &str) = ("hubkey", "hubsecret");

/// `$1` program, `$2` folder, `$3` to `$6` ports. Each has another one for gRPC. Volumes are made as they are
/// needed; all of them hold 3 GiB, so that the largest blob of the tests (`HUB_TEST_BLOB_MIB=2048`) has room.
const SCRIPT: &str = r#"
"$1" server -dir="$2" -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false \
  -master.volumeSizeLimitMB=64 -volume.max=48 -master.port="$3" -volume.port="$4" -filer.port="$5" \
  -filer.localSocket="$2/filer.sock" -s3.localSocket="$2/s3.sock" \
  -s3 -s3.port="$6" -s3.port.iceberg=0 -s3.port.lance=0 -s3.config="$2/s3.json" &
server=$!
read -r _
kill -9 $server
wait $server
[[ -e "$2/keep" ]] || rm -rf "$2"
"#;

/// A SeaweedFS server. Stopped when dropped, and when the test program ends.
#[derive(Debug)]
pub struct SeaweedFs {
    // Before the folder: what runs in it stops first.
    guard: Guard,
    program: PathBuf,
    ports: [u16; 4],
    folder: TempDir,
    prefixes: AtomicU32,
}

impl SeaweedFs {
    /// The server that all tests of this program share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<SeaweedFs> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server of the caller's own.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = r#"{"identities": [{"name": "hub", "credentials": [{"accessKey": "hubkey",
            "secretKey": "hubsecret"}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}"#;
        std::fs::write(folder.path().join("s3.json"), config).expect("writes");
        let (program, ports) = (program(), free_ports());
        let guard = spawn(&program, folder.path(), ports);
        let mut server = Self { guard, program, ports, folder, prefixes: AtomicU32::new(0) };
        server.wait_until_ready();
        server
    }

    /// Stops it, as a power cut would.
    pub fn stop(&mut self) {
        std::fs::write(self.folder.path().join("keep"), "").expect("writes");
        let nothing = Guard::start("read -r _", &[], &self.folder.path().join("log-of-nothing"));
        drop(std::mem::replace(&mut self.guard, nothing));
    }

    /// Starts it again on the same data and ports.
    pub fn start_again(&mut self) {
        std::fs::remove_file(self.folder.path().join("keep")).expect("removes");
        self.guard = spawn(&self.program, self.folder.path(), self.ports);
        self.wait_until_ready();
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[3])
    }

    /// A storage URL that nobody else uses.
    pub fn location(&self) -> String {
        format!("s3://{BUCKET}/{}", self.prefixes.fetch_add(1, Ordering::Relaxed))
    }

    fn wait_until_ready(&mut self) {
        let began = Instant::now();
        // Without an account it refuses once it knows its accounts.
        while status(self.ports[3]) != Some(403) {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(self.guard.ended().is_none() && began.elapsed() < PATIENCE, "{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn spawn(program: &Path, folder: &Path, ports: [u16; 4]) -> Guard {
    let ports = ports.map(|port| port.to_string());
    let [master, volume, filer, s3] = &ports;
    let text = |path: &Path| path.to_str().expect("a path of plain text").to_owned();
    Guard::start(SCRIPT, &[&text(program), &text(folder), master, volume, filer, s3], &folder.join("log"))
}

/// Beside the build, where `scripts/seaweedfs` puts it.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("this program's path");
    let target = test.ancestors().nth(3).expect("target/<profile>/deps/<test>");
    let program = target.join("tools/bin/weed");
    assert!(program.is_file(), "SeaweedFS is not installed: run scripts/seaweedfs");
    program
}

/// Four ports that are free, and whose gRPC ports are.
fn free_ports() -> [u16; 4] {
    let mut held = Vec::new();
    let mut found = Vec::new();
    // Below the ports that the system gives to outgoing connections; where to begin
    // differs from program to program.
    let mut port = 11_000 + (std::process::id() % 800) as u16 * 10;
    while found.len() < 4 {
        port += 1;
        let both = [port, port + 10_000].map(|port| TcpListener::bind(("127.0.0.1", port)));
        if let [Ok(one), Ok(other)] = both {
            held.push((one, other));
            found.push(port);
        }
    }
    drop(held);
    found.try_into().expect("four ports")
}

/// The status of a plain request.
fn status(port: u16) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head[9..]).ok()?.parse().ok()
}
