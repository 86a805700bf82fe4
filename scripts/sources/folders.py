"""Folders of `.data/`: put in their place whole, and compared with what they should hold."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path


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
