"""The two sides of a bench: the program that this project builds, and another one. They do a case in processes of their
own, in turn, and print their numbers as JSON."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCHES = ROOT / "tests/benches"
HUB = ROOT / "target/release/hub"
TORCH_SIDE = BENCHES / "torch_side.py"
THREADS = "2"
ON_CPU = {"RAYON_NUM_THREADS": THREADS, "CANDLE_NUM_THREADS": THREADS, "OMP_NUM_THREADS": THREADS}


def engine(*flags):
    """The program that times this project's side, and `hub`, built."""
    command = ["cargo", "build", "--release", "-p", "hub-cli", "--bins", "--benches", *flags, "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = map(json.loads, built.splitlines())
    return next(m["executable"] for m in messages
                if m.get("executable") and m["target"]["name"] == "engine" and m["target"]["kind"] == ["bench"])


def one(command, environment=ON_CPU):
    """What a side prints."""
    done = subprocess.run(list(map(str, command)), env=os.environ | environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(map(str, command))}\n\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure(sides, case, rounds, precisions=("exact", "bf16"), device=(), environment=ON_CPU):
    """Median milliseconds and highest memory in MB of every side and precision, in turn, and the device by its name.

    `case` is what is done, the folder of the backbone, the method, rows, tokens, and how often.
    """
    times, peaks, name = {}, {}, "?"
    for _ in range(rounds):
        for side, program in sides.items():
            for precision in precisions:
                found = one([*program, *case, precision, *device], environment)
                times.setdefault((side, precision), []).extend(found["milliseconds"])
                peaks[side, precision] = max(found["peak_mb"], peaks.get((side, precision), 0))
                name = found.get("device", name)
    return {key: (statistics.median(values), peaks[key]) for key, values in times.items()}, name


def alone(home):
    """The environment of somebody who has never used `hub`, with as many threads as everybody gets."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("HUB_")}
    return env | {"HOME": str(home), "HUB_OFFLINE": "1", "OMP_NUM_THREADS": THREADS, "RAYON_NUM_THREADS": THREADS}


def starts(commands, home, rounds):
    """Median seconds from starting each of the commands, by name, to its end, in turn."""
    seconds = {name: [] for name in commands}
    for _ in range(2 * rounds + 1):
        for name, command in commands.items():
            start = time.monotonic()
            subprocess.run(list(map(str, command)), env=alone(home), check=True, capture_output=True)
            seconds[name].append(time.monotonic() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def processor():
    with open("/proc/cpuinfo") as lines:
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of {names[0]}" if names else platform.machine()
