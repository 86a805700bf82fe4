"""The strings of Django in several languages: a text on every line, for language adapters, and beside the English ones,
for translation."""

import ast
import csv
import hashlib
import io
import zipfile

from .folders import install_stamped, shown, stated

NAME, PACKAGE = "django-strings", "django==5.2.19"
LANGUAGES = ("en", "de", "fr", "tr", "hi")
# Raise this when strings are read or divided differently.
RECIPE = 2
# Shorter ones are words of buttons.
SHORTEST = 8
SOURCE = """\
# Strings of Django

What Django says to people, in {languages} (the Django project and its translators, BSD-3-Clause), without plurals and
what is marked as fuzzy. A string is in the same part in every language; `en-fr-train.csv` has English strings beside the
French ones. Taken from the package `{package}`.
"""


def table(rows):
    """A CSV file as bytes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def entries(text):
    """Pairs of string and translation of a `.po` file."""
    for block in text.split("\n\n"):
        fields, key = {}, None
        for line in block.splitlines():
            if line.startswith("#,") and "fuzzy" in line:
                break
            if line.startswith("#") or not line.strip():
                continue
            if not line.startswith('"'):
                key, _, line = line.partition(" ")
            fields[key] = fields.get(key, "") + ast.literal_eval(line)
        else:
            if fields.get("msgid") and "msgid_plural" not in fields:
                yield fields["msgid"], fields.get("msgstr", "")


def lines_of(archive):
    """`{language: {string: text}}`; English is the strings themselves."""
    found = {language: {} for language in LANGUAGES}
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(opened.namelist()):
            parts = name.split("/")
            if parts[-1] not in ("django.po", "djangojs.po") or "locale" not in parts:
                continue
            language = parts[parts.index("locale") + 1]
            if language in found:
                for string, text in entries(opened.read(name).decode("utf-8")):
                    text = " ".join((string if language == "en" else text).split())
                    if len(text) >= SHORTEST:
                        found[language][string] = text
    return found


def fetch_translations(data, archives):
    folder = data / NAME
    if stated(folder, recipe=RECIPE):
        return f"{shown(folder)} is already there"
    files, rows = {}, {}
    found = lines_of(archives(PACKAGE))
    for language, texts in found.items():
        parts = {"train": [], "validation": []}
        for string, text in texts.items():
            is_validation = hashlib.sha256(string.encode()).digest()[0] % 10 == 0
            parts["validation" if is_validation else "train"].append((string, text))
        for part, pairs in parts.items():
            lines = list(dict.fromkeys(text for _, text in pairs))
            files[f"{language}-{part}.txt"] = ("\n".join(lines) + "\n").encode()
            rows[f"{language}-{part}"] = len(lines)
            # Of strings that differ in white space alone the first counts.
            pairs = {found["en"][string]: text for string, text in reversed(pairs) if string in found["en"]}
            if language != "en":
                files[f"en-{language}-{part}.csv"] = table([("en", language), *reversed(pairs.items())])
                rows[f"en-{language}-{part}"] = len(pairs)
    install_stamped(folder, files, SOURCE.format(languages=", ".join(LANGUAGES), package=PACKAGE), recipe=RECIPE, rows=rows)
    return f"wrote {shown(folder)} ({', '.join(f'{name} {count}' for name, count in rows.items())})"
