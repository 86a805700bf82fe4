"""Prompts of a telephone exchange, the same ones in five languages: recordings of which the language is known."""

import csv
import hashlib
import io
import wave

from .folders import install_stamped, shown, stated
from .packages import contents

NAME, CORE = "spoken-prompts", "asterisk-core-sounds-{}-wav==1.6.1-1"
ANOTHER = "asterisk-prompt-it-menardi-wav==1:1.4.22+mm20110907-3.1"
SOUNDS = "./usr/share/asterisk/sounds/"
# The voice of each language, and how it is labelled.
VOICES = {
    "en": ("en_US_f_Allison", "english"),
    "es": ("es_MX_f_Allison", "spanish"),
    "fr": ("fr_CA_f_June", "french"),
    "it": ("it_IT_m_Carlo", "italian"),
    "ru": ("ru_RU_f_IvrvoiceRU", "russian"),
}
MENARDI = "it_IT_f_Menardi"
# Raise this when prompts are chosen or divided differently.
RECIPE = 1
# Prompts of each part, every one in all five languages; `another-voice` has Italian ones.
SIZES = {"train": 40, "validation": 6, "test": 16}
ANOTHER_SIZE = 40
SHORTEST, LONGEST = 1.0, 20.0
# No speech, or no sentence (names of characters and of protocols sound alike everywhere); `confbridge-` says again what
# `conf-` says.
LEFT_OUT = ("silence/", "tt-monkeys", "digits/", "letters/", "phonetic/", "spy-", "confbridge-")
SOURCE = """\
# Prompts of a telephone exchange

Sentences that Asterisk speaks on the telephone, in English, Spanish, French, Italian and Russian, 8 kHz, {shortest:.0f} to
{longest:.0f} seconds each. {sizes} prompts: every one in all five languages, and in one part only. Then {another}
Italian ones of another voice (`another-voice.csv`), none of which is in train or validation. The files are as they are
in the packages.

One voice a language: Allison Smith speaks English and Spanish (`en_US_f_Allison`, `es_MX_f_Allison`), June Wallack French of
Canada (`fr_CA_f_June`), Carlo Flora Italian (`it_IT_m_Carlo`), a woman Russian (`ru_RU_f_IvrvoiceRU`). So the languages may
be told apart by the voices. English and Spanish are the same speaker, so that the voice does not tell these two, but the
sessions can: the Spanish ones are noisier between the words and have lower peaks. The Italian of `another-voice` is a
woman's (`it_IT_f_Menardi`).

| | by | licence |
|---|---|---|
| English, Spanish | Allison Smith, 2003-2010 (theivrvoice.com) | CC BY-SA 3.0 |
| French | June Wallack, 2006-2008 (junewallack.com) | CC BY-SA 3.0 |
| Italian | Carlo Flora, 2012 (segreterietelefoniche.it), translated by Silvia Petrin | CC BY 3.0 |
| Russian | Maxim Topal, 2010 (ivrvoice.ru) | CC BY 3.0 |
| Italian, another voice | Marco Menardi and Paola Dal Zot (the voice), 2006-2011 | CC BY-SA 3.0 Italy |

The licences: creativecommons.org/licenses/by-sa/3.0, /by/3.0 and /by-sa/3.0/it. Who passes the files of the other voice on
has to tell users, where they see it, that Marco Menardi and his wife made them, and http://www.voip.ammdomus.it.

Taken from the Debian packages `{core}` and
`{other}`; each has its licences in its file `copyright`.
"""


def usable(sounds):
    """The names of sentences that are neither a word nor a lecture."""
    return {name for name, sound in sounds.items()
            if name.endswith(".wav") and not name.startswith(LEFT_OUT) and SHORTEST <= seconds(sound) <= LONGEST}


def seconds(sound):
    with wave.open(io.BytesIO(sound)) as opened:
        return opened.getnframes() / opened.getframerate()


def chosen(voices, another):
    """The prompts of each part; the hash of its name decides where one belongs, in every language."""
    shared = set.intersection(*map(usable, voices.values()))
    order = sorted(shared, key=lambda name: hashlib.sha256(name.encode()).digest())
    parts, at = {}, 0
    for part, size in SIZES.items():
        parts[part], at = order[at:at + size], at + size
    # Those of the test part come first, so that both voices say them.
    unheard = parts["test"] + order[at:]
    return parts, [name for name in unheard if name in usable(another)][:ANOTHER_SIZE]


def table(rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("audio", "label"))
    writer.writerows(rows)
    return text.getvalue().encode()


def fetch_prompts(data, archives):
    folder = data / NAME
    if stated(folder, recipe=RECIPE):
        return f"{shown(folder)} is already there"
    voices = {code: contents(archives(CORE.format(code)), f"{SOUNDS}{voice}/") for code, (voice, _) in VOICES.items()}
    another = contents(archives(ANOTHER), f"{SOUNDS}{MENARDI}/")
    parts, others = chosen(voices, another)
    files, rows = {}, {}
    for part, names in parts.items():
        files |= {f"{code}/{name}": voices[code][name] for name in names for code in VOICES}
        rows[part] = [(f"{code}/{name}", label) for name in names for code, (_, label) in VOICES.items()]
    files |= {f"it-menardi/{name}": another[name] for name in others}
    rows["another-voice"] = [(f"it-menardi/{name}", VOICES["it"][1]) for name in others]
    files |= {f"{part}.csv": table(own) for part, own in rows.items()}
    counts = {part: len(own) for part, own in rows.items()}
    install_stamped(folder, files, source(), recipe=RECIPE, rows=counts)
    return f"wrote {shown(folder)} ({', '.join(f'{part} {count}' for part, count in counts.items())} recordings)"


def source():
    sizes = ", ".join(f"{size} {part}" for part, size in SIZES.items())
    return SOURCE.format(sizes=sizes, another=ANOTHER_SIZE, shortest=SHORTEST, longest=LONGEST,
                         core=CORE.format("{" + ",".join(VOICES) + "}"), other=ANOTHER)
