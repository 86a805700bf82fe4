"""What benches share: the program, the data they draw from, and the tables of their pages."""

import csv
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".data"
DOCS = ROOT / "docs"
BASE = DATA / "minilm"
# `HUB=path/to/hub` measures another program than the one that was built here.
HUB = Path(os.environ.get("HUB", ROOT / "target/release/hub")).resolve()
csv.field_size_limit(1 << 30)


class Hub:
    """`hub` as somebody who has never used it, in a folder of its own."""

    def __init__(self, home, threads=None):
        self.home = home
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("HUB")}
        self.env |= {"HOME": str(home), "HUB_OFFLINE": "1"}
        if threads is not None:
            self.env |= {"CANDLE_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}

    def json(self, *args, through=()):
        """The JSON that a command prints; the program may be started through another."""
        command = [*through, str(HUB), *map(str, args), "--format", "json"]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, cwd=self.home)
        self.said = done.stderr
        if done.returncode != 0:
            sys.exit(f"error: `hub {' '.join(map(str, args))}` ended with {done.returncode}\n\n{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def train(self, output, *args, base=BASE):
        """Trains and says what it cost: trained weights, those of the head, and seconds of CPU time."""
        command = ["train", "--base", base, "--output", output, *args]
        plan = self.json(*command, "--dry-run")["trainable"]
        before = cpu_seconds()
        self.json(*command)
        cost = {"adapter": plan["method"], "head": plan["head"], "seconds": cpu_seconds() - before}
        say(f"trained {output} in {cost['seconds']:.0f} s of CPU time")
        return cost

    def eval(self, adapter, data, *args, base=BASE):
        scores = self.json("eval", adapter, "--base", base, "--data", data, *args)
        # The names of `hub eval --select` and its metrics, as they are.
        numbers = {name: round(value, 4) for name, value in scores.items() if isinstance(value, float)}
        say(f"{adapter} on {data}: {numbers}")
        return scores


def say(message):
    print(message, file=sys.stderr, flush=True)


def cpu_seconds():
    """CPU time of all children that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def needs_hub():
    if not HUB.is_file():
        sys.exit(f"error: there is no `{HUB}`\n\nhint: cargo build --release --package hub-cli")


def fetch(*names):
    """Sees to it that `.data/` holds MiniLM-L6, the movie reviews and these sets."""
    words = [word for name in names for word in ("--with", name)]
    subprocess.run([sys.executable, ROOT / "scripts/fetch", *words], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def home(name):
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rows_of(path, delimiter=","):
    """The rows of a table below its heading."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter=delimiter))[1:]


def drawn(rows, size, seed=1):
    """So many of the rows, always the same ones."""
    rows = list(rows)
    random.Random(seed).shuffle(rows)
    return rows[:size]


def write_rows(path, rows, heading=("text", "label")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heading, *rows])


def percent(value):
    return f"{100 * value:.1f}"


def table(headings, rows):
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def version():
    done = subprocess.run([HUB, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def publish(page, text):
    page.write_text(text, encoding="utf-8")
    print(f"wrote {os.path.relpath(page)}")
