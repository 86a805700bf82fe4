"""The Python side of a bench: an interpreter with pinned packages, installed once below `.data/`."""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python(variable, name, pins):
    """The interpreter that `variable` names, else one in `.data/name` with what `pins` lists."""
    if variable in os.environ:
        return os.environ[variable]
    folder = ROOT / ".data" / name
    found = folder / "bin/python"
    complete = folder / "complete"
    if not complete.is_file() or complete.read_text() != pins.read_text():
        print(f"installing the libraries of {pins.relative_to(ROOT)}", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([found, "-m", "pip", "install", "--quiet", "-r", pins], check=True)
        complete.write_text(pins.read_text())
    return str(found)
