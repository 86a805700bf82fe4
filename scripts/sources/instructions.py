"""Questions with answers, as people wrote them down for a chat program: a small set to tune a language model on."""

import csv
import hashlib
import io
import zipfile

from .folders import install_stamped, shown, stated

NAME, PACKAGE = "questions", "chatterbot-corpus==1.3.3"
FOLDER = "chatterbot_corpus/data/english/"
# Knowledge; the others are small talk, and half-finished support dialogues.
TOPICS = ("ai", "coding", "computers", "food", "history", "literature", "money", "movies", "politics", "psychology", "science",
          "sports", "trivia")
# Raise this when pairs are read or divided differently.
RECIPE = 1
LONGEST = 300
SOURCE = """\
# Questions and answers

{rows} questions with one answer each, about
{topics}.
Written by those who contributed to the corpus of ChatterBot (Gunther
Cox and others, BSD-3-Clause): short, of uneven quality, some of them jokes. A question is in one part only. Taken from the
package `{package}`.
"""


def conversations(text):
    """The turns of every conversation. The files are YAML of one shape: lists of lists of texts, folded over lines."""
    turns = []
    for line in text.splitlines():
        if line.startswith("- - "):
            if turns:
                yield list(map(plain, turns))
            turns = [line[4:]]
        elif line.startswith("  - ") and turns:
            turns.append(line[4:])
        elif line.startswith("    ") and turns:
            turns[-1] += " " + line.strip()
    if turns:
        yield list(map(plain, turns))


def plain(text):
    """A text without YAML's quotes; none of these has a backslash."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].replace("''", "'")
    return " ".join(text.split())


def pairs(archive):
    """A question with the first answer to it, every question once."""
    found = {}
    with zipfile.ZipFile(archive) as opened:
        for topic in TOPICS:
            for turns in conversations(opened.read(f"{FOLDER}{topic}.yml").decode("utf-8")):
                if len(turns) > 1 and 0 < len(turns[1]) <= LONGEST:
                    found.setdefault(turns[0].rstrip(" ?.").lower(), (turns[0], turns[1]))
    return found


def part_of(question):
    """A tenth is for choosing a checkpoint, two for measuring."""
    drawn = hashlib.sha256(question.encode()).digest()[0] % 10
    return "validation" if drawn == 0 else "test" if drawn < 3 else "train"


def fetch_questions(data, archives):
    folder = data / NAME
    if stated(folder, recipe=RECIPE):
        return f"{shown(folder)} is already there"
    parts = {"train": [], "validation": [], "test": []}
    for question, pair in pairs(archives(PACKAGE)).items():
        parts[part_of(question)].append(pair)
    files = {}
    for part, rows in parts.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([("instruction", "output"), *rows])
        files[f"{part}.csv"] = text.getvalue().encode()
    counts = {part: len(rows) for part, rows in parts.items()}
    source = SOURCE.format(rows=sum(counts.values()), topics=", ".join(TOPICS), package=PACKAGE)
    install_stamped(folder, files, source, recipe=RECIPE, rows=counts)
    return f"wrote {shown(folder)} ({', '.join(f'{part} {count}' for part, count in counts.items())})"
