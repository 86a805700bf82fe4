"""The strings of Django in several languages: a text on every line, for language adapters."""

import ast
import hashlib
import zipfile

from .folders import install_stamped, shown, stated

NAME, PACKAGE = "django-strings", "django==5.2.19"
LANGUAGES = ("en", "de", "fr", "tr", "hi")
# Raise this when strings are read or divided differently.
RECIPE = 1
# Shorter ones are words of buttons.
SHORTEST = 8
SOURCE = """\
# Strings of Django

What Django says to people, in {languages} (the Django project and its translators, BSD-3-Clause), without plurals and
what is marked as fuzzy. A string is in the same part in every language. Taken from the package `{package}`.
"""


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
    for language, texts in lines_of(archives(PACKAGE)).items():
        parts = {"train": [], "validation": []}
        for string, text in texts.items():
            is_validation = hashlib.sha256(string.encode()).digest()[0] % 10 == 0
            parts["validation" if is_validation else "train"].append(text)
        for part, lines in parts.items():
            lines = list(dict.fromkeys(lines))
            files[f"{language}-{part}.txt"] = ("\n".join(lines) + "\n").encode()
            rows[f"{language}-{part}"] = len(lines)
    install_stamped(folder, files, SOURCE.format(languages=", ".join(LANGUAGES), package=PACKAGE), recipe=RECIPE, rows=rows)
    return f"wrote {shown(folder)} ({', '.join(f'{name} {count}' for name, count in rows.items())})"
