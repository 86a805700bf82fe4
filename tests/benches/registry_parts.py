"""The servers that `tests/benches/registry` compares, and rows by the hundred thousand for them.

Every server listens on a free port of loopback and keeps what it has in a folder of its own.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVER = ROOT / "target/release/hub-server"
PATIENCE = 60
# Adapters that PostgreSQL is given in one piece.
AT_ONCE = 50_000
# Words that every name, task and description is made of.
WORDS = ("amber birch cedar delta ember fjord grove haven inlet jasper kelp lotus maple north ocean pine quartz river "
         "slate tundra umber valley willow xenon yarrow zephyr").split()
TASKS = "sentiment topic intent toxicity entailment similarity".split()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url):
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        with contextlib.suppress(OSError):
            try:
                urllib.request.urlopen(url, timeout=1).close()
                return
            except urllib.error.HTTPError:
                return
        time.sleep(0.05)
    raise SystemExit(f"error: nothing answers at {url}")


@contextlib.contextmanager
def running(command, url, **options):
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        wait_for(url)
        yield process
    finally:
        process.terminate()
        process.wait()


def program(name, package):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/usr/lib/postgresql/15/bin")
    if not found:
        raise SystemExit(f"error: `{name}` is not installed\n\nhint: apt-get install {package}")
    return found


@contextlib.contextmanager
def nginx(folder):
    """nginx with its defaults for static files; its address."""
    port = free_port()
    config = pathlib.Path(folder) / "nginx.conf"
    config.write_text(f"""
        worker_processes 2; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
        {"user root;" if os.getuid() == 0 else ""}
        events {{ worker_connections 1024; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
            client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
            uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
            server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
        }}
    """)
    (pathlib.Path(folder) / "www").mkdir(exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    with running([program("nginx", "nginx-light"), "-p", folder, "-c", config], url):
        yield url


@contextlib.contextmanager
def docker_registry(folder):
    """Docker's registry on local files with its cache in memory; its address."""
    port = free_port()
    config = pathlib.Path(folder) / "registry.yml"
    config.write_text(f"""
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, cache: {{blobdescriptor: inmemory}}}}
http: {{addr: "127.0.0.1:{port}"}}
""")
    url = f"http://127.0.0.1:{port}"
    with running([program("docker-registry", "docker-registry"), "serve", config], f"{url}/v2/"):
        yield url


@contextlib.contextmanager
def hub(data, *flags):
    """The registry; its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [SERVER, "serve", "--listen", f"127.0.0.1:{port}", "--data", data, *flags]
    with running(command, f"{url}/readyz", env=clean_environment() | {"RUST_LOG": "warn"}):
        yield url


def clean_environment():
    return {key: value for key, value in os.environ.items() if not key.startswith("HUB_")}


def operator(data, *words):
    """A verb of `hub-server`; its output."""
    command = [SERVER, *words, "--data", data]
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, env=clean_environment()).stdout.strip()


@contextlib.contextmanager
def postgres():
    """A PostgreSQL server that flushes as it does in service; the address of an empty database and a way to run SQL."""
    folder = tempfile.mkdtemp()
    user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if user:
        shutil.chown(folder, "postgres")

    def run(name, *words, **options):
        subprocess.run([*user, program(name, "postgresql"), *words], check=True, stdout=subprocess.DEVNULL, cwd="/", **options)

    run("initdb", "-U", "hub", "-A", "trust", "-D", f"{folder}/data")
    options = f"-c listen_addresses= -c unix_socket_directories={folder}"
    run("pg_ctl", "-D", f"{folder}/data", "-w", "-o", options, "-l", f"{folder}/log", "start")
    try:
        run("createdb", "-h", folder, "-U", "hub", "bench")
        url = f"postgres://hub@{folder.replace('/', '%2F')}/bench"
        yield url, lambda sql: run("psql", "-h", folder, "-U", "hub", "-q", "-v", "ON_ERROR_STOP=1", "bench", input=sql, text=True)
    finally:
        run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def rows(first, last):
    """Adapters number `first` to `last`: one version each, as a publish would have written them."""
    base = digest(b"a base model")
    for i in range(first, last):
        namespace = f"team{i % 997}"
        name = f"{WORDS[i % 26]}-{WORDS[i // 26 % 26]}-{i}"
        description = " ".join(WORDS[(i * 7 + k * 11 + i // 26) % 26] for k in range(8))
        manifest = canonical({"name": f"{namespace}/{name}", "description": description})
        yield {
            "id": f"a{i:09}", "namespace": namespace, "name": name, "digest": digest(manifest), "manifest": manifest.decode(),
            "description": description, "task": TASKS[i % len(TASKS)], "base": base, "pulls": i * 7919 % 1009, "at": 1_760_000_000_000_000 + i,
        }


def statements(first, last, postgres):
    """SQL that inserts `rows`, in one transaction."""
    def text(value):
        return "'" + str(value).replace("'", "''") + "'"

    yield "BEGIN;"
    yield from (f"INSERT INTO namespaces (name, created_at) VALUES ('team{i}', 0) ON CONFLICT DO NOTHING;" for i in range(min(997, last)))
    for row in rows(first, last):
        words = f"{row['namespace']} {row['name'].replace('-', ' ')}"
        in_order = "".join(f" {word}" for word in sorted(set(f"{words} {row['task']} {row['description']}".split())))
        yield (f"INSERT INTO adapters (id, namespace, name, visibility, pulls, created_at) VALUES ({text(row['id'])}, "
               f"{text(row['namespace'])}, {text(row['name'])}, 'public', {row['pulls']}, {row['at']});")
        yield ("INSERT INTO versions (id, adapter_id, version, digest, manifest, size, base_id, base_digest, architecture, method, "
               f"published_by, published_at) VALUES ({text('v' + row['id'])}, {text(row['id'])}, '1.0.0', {text(row['digest'])}, "
               f"{text(row['manifest'])}, 1000, 'tiny', {text(row['base'])}, 'bert', 'lora', 'ada', {row['at']});")
        yield ("INSERT INTO listings (adapter_id, version, digest, description, task, subtask, languages, license, base_id, base_digest, "
               f"architecture, method, method_summary, size, published_at, words) VALUES ({text(row['id'])}, '1.0.0', {text(row['digest'])}, "
               f"{text(row['description'])}, {text(row['task'])}, '', ' en ', 'MIT', 'tiny', {text(row['base'])}, 'bert', 'lora', 'lora', "
               f"1000, {row['at']}, {text(in_order)});")
        if postgres:
            yield (f"INSERT INTO listing_words (adapter_id, document) VALUES ({text(row['id'])}, setweight(to_tsvector('simple', {text(words)}), 'A') "
                   f"|| setweight(to_tsvector('simple', {text(row['task'])}), 'B') || setweight(to_tsvector('simple', {text(row['description'])}), 'C'));")
        else:
            yield (f"INSERT INTO listing_words (adapter_id, name, task, body) VALUES ({text(row['id'])}, {text(words)}, {text(row['task'])}, "
                   f"{text(row['description'])});")
    yield "COMMIT;"


def fill_sqlite(data, first, last):
    with contextlib.closing(sqlite3.connect(pathlib.Path(data) / "registry.sqlite", isolation_level=None)) as database:
        for statement in statements(first, last, postgres=False):
            database.execute(statement)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("ANALYZE")
