"""Folders of `.data/`: put in their place whole, and compared with what they should hold."""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

# What a folder was made by, and the sha256 of its files.
STAMP = "split.json"


def install(folder, files):
    """Puts a whole folder in its place at once: an interrupted run leaves nothing half made."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        made = Path(scratch) / folder.name
        made.mkdir()
        for name, data in files.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(data)
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)


def stated(folder, **recipe):
    """What the stamp of a folder says, where it was made by this recipe and nothing of it was changed."""
    stamp = folder / STAMP
    written = json.loads(stamp.read_text()) if stamp.is_file() else {}
    is_ours = all(written.get(key) == value for key, value in recipe.items())
    return written if written and is_ours and intact(folder, written["sha256"]) else None


def install_stamped(folder, files, source, **said):
    """Puts a folder in its place with where it comes from, what is said of it, and the sha256 of every file."""
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    stamp = json.dumps(said | {"sha256": sha256}, indent=2).encode()
    install(folder, files | {STAMP: stamp, "SOURCE.md": source.encode()})


def digest(path):
    hasher = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            hasher.update(chunk)
    return hasher.hexdigest()


def intact(folder, expected):
    """Whether every file is there with the expected sha256."""
    return all((folder / name).is_file() and digest(folder / name) == sha256 for name, sha256 in expected.items())


def shown(path):
    return os.path.relpath(path)
