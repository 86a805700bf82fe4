"""Labelled data that no package has: where it comes from, and the sha256 of what a page was measured on.

A bench names the sets it reads; what is missing, or is another version, is refused before anything is trained.
"""

import hashlib
import sys

# Where somebody else finds the files: repository on github.com, commit, and what the files are called there.
SOURCES = {
    "banking77": "PolyAI-LDN/task-specific-datasets, commit 57ec275d8078af65b7731c2a98be812d844a6d6b, `banking_data`",
    "fsdd": "Jakobovski/free-spoken-digit-dataset, commit 26eb9aaf76e81b692f806f9140c2d2777410d7a1, `recordings`",
    "sst2": "brunnurs/binary-classification-bert, commit 35e1628db50472679176dd31b992534a3866a86e, `data/SST2`",
    "ud": "UniversalDependencies: `TREEBANKS` in tests/benches/languages has names and commits",
    "wnut17": "leondz/emerging_entities_17, commit e52a2d2a71ac1a051ca2d532eef28653c5c02603",
    "xquad": "google-deepmind/xquad, commit 7d30520c717524000f0d9d2f9c10a069acd9d285",
}
DIGESTS = {
    "banking77/test.csv": "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d",
    "banking77/train.csv": "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b",
    "fsdd/recordings": "1801eae019c063377d98f831d3f93574f259475df7332bb0e3d1b080fb5e6959",
    "sst2/dev.tsv": "54a9c12c77e402fc14d6a66a506f24d999f596b0176eb777c972cccc2f9cc4b0",
    "sst2/train.tsv": "5c47819a1d04cfabc7afcc79a919c97b0b367101ad42d3ff148d67bf501384c2",
    "ud/de_pud.conllu": "a608b42e67d4bd277e9ef1457b25c74fa3927d2ce5e0ef7b846c9fce474ad078",
    "ud/en_ewt-dev.conllu": "69a3734ba2229694401e335f10e17e4858f982f5e1beb5fd0ac2ec82d8842c5a",
    "ud/en_ewt-test.conllu": "b319a244e18ab0e088796edb8a0621e46a8ebf664fc03f33cd71ca32c8872bb0",
    "ud/en_ewt-train.conllu": "8e28d6f17ee44941e7aef28ad3941411d6cba7dc9b7c8fbe6330f3dec44fffde",
    "ud/fr_pud.conllu": "3438c4f1c351933554301197176b356fdb4ca2e5df8cd95384b4550f53540401",
    "ud/hi_pud.conllu": "dceeb1571437b414d105c10c135e3318fb6795399cac614385164d2a21b84eba",
    "ud/tr_pud.conllu": "2d6dc25465485ae698504768c153cef970b7956c262771b8e7d83824487007bb",
    "wnut17/dev.conll": "e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8",
    "wnut17/test.conll": "2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0",
    "wnut17/train.conll": "731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5",
    "xquad/xquad.de.json": "990b5d746746ed65ed4702ea5f35f99ffa4e2f1c390c07d003642acd937916f9",
    "xquad/xquad.en.json": "e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29",
    "xquad/xquad.hi.json": "df2cce3532b37e9beb8979704b5c9a4bf874358f105395a298b89427b43b9d24",
}


def source(name):
    """A set's place, as a page says it."""
    return f"github.com/{SOURCES[name]}"


def check(folder, *names):
    """Ends the program where a set below the folder is not the one that the pages were measured on."""
    for path, expected in DIGESTS.items():
        name = path.partition("/")[0]
        if name not in names:
            continue
        hint = f"take it from {source(name)}"
        if not (folder / path).exists():
            sys.exit(f"error: there is no `{folder / path}`\n\nhint: {hint}")
        found = digest(folder / path)
        if found != expected:
            sys.exit(f"error: `{folder / path}` is another version than was measured (sha256 {found[:12]}, not "
                     f"{expected[:12]})\n\nhint: {hint}")


def digest(path):
    """The sha256 of what a bench reads of a file, or of all recordings in a folder, by name."""
    if path.is_dir():
        lines = (f"{sha256(clip.read_bytes())}  {clip.name}\n" for clip in sorted(path.glob("*.wav")))
        return sha256("".join(lines).encode())
    content = path.read_bytes()
    return sha256(trees(content) if path.suffix == ".conllu" else content)


def trees(content):
    """The words of a treebank without comments and without the last two columns, which differ between its releases."""
    rows = (line.split(b"\t")[:8] for line in content.split(b"\n") if not line.startswith(b"#"))
    return b"\n".join(b"\t".join(row) for row in rows).strip()


def sha256(content):
    return hashlib.sha256(content).hexdigest()
