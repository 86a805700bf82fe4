"""What benches share: the program, the data they draw from, and the tables of their pages.

Trainings and measurements of `Hub.train` and `Hub.eval` are kept below `target/benches` until the page is written: a
bench that was interrupted goes on where it was.
"""

import argparse
import csv
import hashlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import labelled

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
        self.kept = home / "kept.json"
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

    def once(self, command, find):
        """What was found before for this command, or is found now."""
        kept = json.loads(self.kept.read_text()) if self.kept.is_file() else {}
        key = " ".join(map(str, command))
        if key not in kept:
            kept[key] = find()
            self.kept.write_text(json.dumps(kept, indent=1))
        return kept[key]

    def train(self, output, *args, base=BASE):
        """Trains and says what it cost (trained weights, those of the head, seconds of CPU time), the labels, and
        what was measured on the validation part and on a `--test` file, whose texts are cut as those of training."""
        command = ["train", "--base", base, "--output", output, *args]

        def find():
            plan = self.json(*command, "--dry-run")
            before = cpu_seconds()
            # What an interrupted bench left of it is replaced.
            metrics = self.json(*command, "--overwrite")["metrics"]
            cost = {"adapter": plan["trainable"]["method"], "head": plan["trainable"]["head"], "labels": plan["labels"],
                    "seconds": cpu_seconds() - before}
            for part in ("validation", "test"):
                cost[part] = {metric["name"]: metric["value"] for metric in metrics if metric["split"] == part}
            return cost

        cost = self.once(command, find)
        say(f"trained {output} in {cost['seconds']:.0f} s of CPU time {rounded(cost['test'] or cost['validation'])}")
        return cost

    def eval(self, adapter, data, *args, base=BASE):
        """The scores of an adapter on a file."""
        command = ["eval", adapter, "--base", base, "--data", data, *args]
        scores = self.once(command, lambda: self.json(*command))
        say(f"{adapter} on {data}: {rounded(scores)}")
        return scores


def rounded(scores):
    return {name: round(value, 4) for name, value in scores.items() if isinstance(value, float)}


def say(message):
    print(message, file=sys.stderr, flush=True)


def cpu_seconds():
    """CPU time of all children that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def needs_hub():
    if not HUB.is_file():
        sys.exit(f"error: there is no `{HUB}`\n\nhint: cargo build --release --package hub-cli")


def arguments(doc, *sets, has_quick=False):
    """`--data DIR`, the folder with these sets, which no package has, and whether `--quick` measures on a fraction of them."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    if has_quick:
        parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.data = options.data.resolve()
    labelled.check(options.data, *sets)
    return options


def fetch(*names):
    """Sees to it that `.data/` holds MiniLM-L6, the movie reviews and these sets."""
    words = [word for name in names for word in ("--with", name)]
    subprocess.run([sys.executable, ROOT / "scripts/fetch", *words], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def home(name):
    """A folder that is gone when all went well. Another program begins with an empty one."""
    folder = ROOT / "target/benches" / name
    stamp = folder / "measured-by.txt"
    digest = hashlib.sha256(HUB.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        stamp.write_text(digest)
    yield folder
    shutil.rmtree(folder)


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


def spread(values):
    """Mean and sample standard deviation, in percent."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.2f} ± {100 * deviation:.2f}"


def one_line(text):
    """A text as it can stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


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
