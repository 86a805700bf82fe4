"""What `tests/benches/python-libraries` trains, and how both sides compute what it gives."""

import csv
import json
import os
import subprocess
from dataclasses import dataclass, field

from bench import BASE, DATA, HUB, ROOT

FORWARD = ROOT / "tests/fixtures/python/forward.py"
BASES = ROOT / "tests/benches/python_bases.py"
STEPS = 10
BATCHES = ("full", "padded")
# Texts to train on and to choose the checkpoint by: enough for weights that are not those of the start.
SIZES = {"train": 200, "validation": 40}
SETS = {"reviews": DATA / "movie-reviews", "questions": DATA / "questions", "pictures": DATA / "fashion-mnist"}
# No head of the libraries reads the mean, which is what the last layer reads by default.
MORE = {"last-layer": ["--pooling", "first"]}

COMPARE = """
import sys
from safetensors.numpy import load_file
ours, theirs, plain = (load_file(path) for path in sys.argv[1:])
print(max(abs(ours[name].astype("f8") - tensor.astype("f8")).max() for name, tensor in theirs.items()))
# Learned tokens stand in front of the input's.
before, after = plain["last_hidden_state"], ours["last_hidden_state"]
print(abs(after[:, -before.shape[1]:] - before).max())
"""


@dataclass(frozen=True)
class Case:
    """A training: its options, on which model, with which data, and the members that it fuses or stands on."""

    name: str
    options: tuple
    model: str = "minilm"
    data: str = "reviews"
    members: dict = field(default_factory=dict)
    # What the library says where it can't load what `hub train` takes.
    refusal: str | None = None

    @property
    def key(self):
        return self.name if self.model == "minilm" else f"{self.model}-{self.name}"


@dataclass(frozen=True)
class Result:
    """Largest differences on rows without and with padding, and how far the adapter moves the last state."""

    library: str
    full: float | None = None
    padded: float | None = None
    moved: float | None = None
    refused: bool = False


def run(command, **more):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no output"])[-1])
    return done.stdout


def methods():
    """Every method of `hub train`, on MiniLM."""
    text = run([HUB, "train", "--help"])
    listed = text.partition("--method")[2].partition("Possible values:")[2].partition("[default")[0]
    names = [line.strip()[2:].partition(":")[0] for line in listed.splitlines() if line.strip().startswith("- ")]
    return [Case(name, ("--method", name, *MORE.get(name, []))) for name in names]


def compositions():
    """What is trained over other adapters, or on top of them."""
    first = {"first": ("--method", "pfeiffer")}
    two = first | {"second": ("--method", "pfeiffer", "--reduction-factor", 8, "--seed", 2)}
    mixed = first | {"second": ("--method", "houlsby")}
    one = {"below": ("--method", "pfeiffer-inv")}
    return [Case("fuse-dynamic", ("--fusion", "dynamic"), members=two),
            Case("fuse-static", ("--fusion", "static"), members=two),
            Case("fuse-mixed", ("--fusion", "dynamic"), members=mixed, refusal="must define the same value"),
            Case("stack", ("--method", "houlsby"), members=one)]


def others():
    """Some methods on small models of other architectures."""
    def cases(model, data, names, ending=""):
        return [Case(name + ending, ("--method", name), model, data) for name in names]

    prompts = ["prefix", "prefix-flat", "prompt", "p-tuning"]
    return [*cases("llama", "questions", ["pfeiffer", "parallel", "lora", "dora", "ia3", "llama-adapter", *prompts]),
            *cases("llama", "reviews", ["pfeiffer", "lora", "prefix", "prompt", "mam", "unipelt"], "-classifier"),
            *cases("t5", "questions", ["pfeiffer", "lora", "ia3", *prompts]),
            *cases("t5", "reviews", ["pfeiffer", "lora"], "-classifier"),
            *cases("bart", "questions", ["pfeiffer", "lora", "ia3", *prompts]),
            *cases("bart", "reviews", ["pfeiffer", "lora"], "-classifier"),
            Case("prompt-classifier", ("--method", "prompt"), "bart", "reviews",
                 refusal="Passing input embeddings is currently not supported"),
            *cases("vit", "pictures", ["pfeiffer", "houlsby", "lora", "prefix"])]


class Bench:
    """A folder with data, models and inputs, and both programs."""

    def __init__(self, home, interpreter):
        self.home, self.interpreter = home, interpreter
        # `hub` as somebody who has never used it.
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("HUB")}
        self.env |= {"HOME": str(home), "HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}

    def prepare(self, cases):
        """Makes the models, the inputs and the data of these cases."""
        made = sorted({case.model for case in cases} - {"minilm"})
        run([self.interpreter, BASES, ",".join(made), BASE, self.home])
        for name in sorted({case.data for case in cases}):
            for part, size in SIZES.items():
                self.write_part(name, part, size)
        for model in ["minilm", *made]:
            for batch in BATCHES:
                self.hub("forward", "--base", self.base(model), "--inputs", self.home / f"{model}-{batch}.safetensors",
                         "--outputs", self.home / f"{model}-{batch}-plain.safetensors")

    def write_part(self, name, part, size):
        with open(SETS[name] / f"{part}.csv", newline="") as source:
            heading, *rows = csv.reader(source)
        if name == "pictures":
            rows = [(SETS[name].resolve() / image, label) for image, label in rows]
        with open(self.home / f"{name}-{part}.csv", "w", newline="") as few:
            csv.writer(few).writerows([heading, *rows[:size]])

    def base(self, model):
        return BASE if model == "minilm" else self.home / model

    def hub(self, *arguments):
        return run([HUB, *arguments], env=self.env)

    def train(self, case, options, folder):
        self.hub("train", "--base", self.base(case.model), "--data", self.home / f"{case.data}-train.csv",
                 "--validation", self.home / f"{case.data}-validation.csv", "--output", folder, "--steps", STEPS,
                 "--batch-size", 8, *([] if "--seed" in options else ["--seed", 1]), *options)

    def check(self, case):
        """Trains, and lets both sides compute; the error's text where one refuses."""
        work = self.home / "work"
        members = [work / name for name in case.members]
        for member, options in zip(members, case.members.values()):
            self.train(case, options, member)
        flag = "--fuse" if "--fusion" in case.options else "--on"
        folder = work / "trained"
        self.train(case, [*case.options, *(word for member in members for word in (flag, member))], folder)
        library = json.loads((folder / "manifest.json").read_text())["format"]
        if library not in ("peft", "adapters"):
            return Result(library)
        try:
            (full, moved), (padded, _) = self.compare(case, library, folder, members)
        except RuntimeError as error:
            if case.refusal is None or case.refusal not in str(error):
                raise
            return Result(library, refused=True)
        return Result(library, full, padded, moved)

    def compare(self, case, library, folder, members):
        """For each batch the largest difference of the two sides, and the largest change to the model alone."""
        base = ["--base", self.base(case.model)]
        files = [[self.home / f"{prefix}{batch}{end}.safetensors" for prefix, end in
                  [(f"{case.model}-", ""), (f"{case.model}-", "-plain"), ("ours-", ""), ("theirs-", "")]] for batch in BATCHES]
        below = [word for member in members for word in ("--member", member)]
        batches = [word for inputs, _, _, theirs in files for word in ("--inputs", inputs, "--outputs", theirs)]
        run([self.interpreter, FORWARD, library, *base, "--adapter", folder, *below, *batches])
        for inputs, plain, ours, theirs in files:
            self.hub("forward", *base, *ours_of(case, folder, members), "--inputs", inputs, "--outputs", ours)
            yield map(float, run([self.interpreter, "-c", COMPARE, ours, theirs, plain]).split())


def ours_of(case, folder, members):
    """What `hub forward` is given. A fusion knows its members, what stands on another does not."""
    if not members or "--fusion" in case.options:
        return ["--adapter", folder]
    stacked = [*members, folder]
    named = [word for path in stacked for word in ("--adapter", f"{path.name}={path}")]
    return [*named, "--compose", f"Stack({', '.join(path.name for path in stacked)})"]
