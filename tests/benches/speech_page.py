"""The page that `tests/benches/speech` writes, in three parts."""

import statistics

from bench import one_line, percent, spread, table, version
from speech_parts import DIGITS, LANGUAGES, METHODS, NEIGHBOURS, TRAIN

# Prompts that are shown with what was written down.
SHOWN = 8


def flags(method):
    return " ".join(METHODS[method])


def error(count):
    """The largest standard error of a share of so many."""
    return percent((0.25 / count) ** 0.5)


def weights(cost):
    return [f"{cost['adapter']:,}", f"{cost['head']:,}"]


def digits(found, sizes):
    methods = list(dict.fromkeys(method for method, _ in found))
    speakers = list(dict.fromkeys(out for _, out in found))
    accuracy = {method: [found[method, out]["test"]["accuracy"] for out in speakers] for method in methods}
    rows = []
    for method, values in accuracy.items():
        worst = speakers[values.index(min(values))]
        seconds = statistics.mean(found[method, out]["cost"]["seconds"] for out in speakers)
        rows.append([method, *weights(found[method, speakers[0]]["cost"]), spread(values),
                     f"{percent(min(values))} ({worst})", f"{seconds:.0f} s"])
    numbers = table(["", "adapter weights", "head", "accuracy %", "worst speaker %", "CPU time each"], rows)
    each = table(["accuracy %, left out:", *speakers],
                 [[method, *map(percent, values)] for method, values in accuracy.items()])
    gains = [lora - probe for lora, probe in zip(accuracy["LoRA"], accuracy["linear probe"])]
    others, test = len(speakers) - 1, 10 * sizes["test"]
    return f"""\
## Digits of a speaker that was never heard

The Free Spoken Digit Dataset, each of {len(speakers)} speakers left out once: {sizes['train']} clips per digit of every other
speaker to train on ({10 * sizes['train'] * others}), {sizes['validation']} per digit to choose a checkpoint by ({10 * sizes['validation'] * others}), and
{sizes['test']} per digit of the one left out to measure ({test}). Chance is 10 %.

```console
$ hub train --base whisper-tiny-en --data train.csv --validation validation.csv \\
    {flags('LoRA')} --batch-size 4 --precision bf16 --output digits    # columns: audio, label
$ hub eval ./digits --data test.csv
$ hub run ./digits seven.wav
```

{numbers}

± is the sample standard deviation across speakers, not an error of the mean. A speaker's own number is of {test} clips: one
standard error is up to {error(test)} points.

{each}

The LoRA (rank 8 on queries and values) is {100 * statistics.mean(gains):+.1f} points from the probe on average, and better for
{sum(gain > 0 for gain in gains)} of {len(gains)} speakers. The probe has a head on the mean of all positions and takes twenty
passes over states that are computed once; the LoRA has the head of `WhisperForAudioClassification`. So few speakers say
little about others, and those whom `metadata.py` of the data set describes are all men.
"""


def languages(found, sizes):
    rows = []
    for name, row in found.items():
        cost = row.get("cost")
        pair = statistics.mean(row["recall"][label] for label in ("english", "spanish"))
        rows.append([name, *(weights(cost) if cost else ("", "")), percent(row["accuracy"]), percent(pair),
                     percent(row["another"]), f"{cost['seconds']:.0f} s" if cost else ""])
    numbers = table(["", "adapter weights", "head", "same voices %", "English and Spanish %", "another voice %", "CPU time"],
                    rows)
    each = table(["found of each, %", *LANGUAGES],
                 [[name, *[percent(row["recall"][label]) for label in LANGUAGES]] for name, row in found.items()])
    test, another = sizes["test"], sizes["another-voice"]
    return f"""\
## The language of a prompt

Sentences that Asterisk speaks on the telephone, {sizes['train']} in each of five languages to train on, {sizes['validation']}
to choose a checkpoint by, {test} to measure. A sentence is in the same part in every language. The encoder is that of a
Whisper which was trained on English alone. Chance is 20 %.

```console
$ scripts/fetch --with whisper-tiny-en --with spoken-prompts
$ hub train --base whisper-tiny-en --data spoken-prompts/train.csv --validation spoken-prompts/validation.csv \\
    {flags('bottleneck')} --batch-size 4 --precision bf16 --output languages
$ hub eval ./languages --data spoken-prompts/test.csv
$ hub eval ./languages --data spoken-prompts/another-voice.csv
$ hub run ./languages spoken-prompts/fr/vm-tocancel.wav
```

{numbers}

{each}

What that shows, and what it does not:

- *Same voices*: {5 * test} prompts that were not in training, by voices that were. Every language has one voice, so that
  this column may be about voices.
- *English and Spanish*: the {2 * test} of them that are in these two; every other answer is wrong. Allison Smith speaks both,
  so that no voice tells them apart. Her sessions can: the Spanish ones are noisier between the words and have lower peaks.
- *Guess by the sound* understands no word. It compares four numbers of a recording (loudness, noise between the words,
  highest peak, brightness) with those of training, and the {NEIGHBOURS} nearest vote. Only what is above it is more than that.
- *Another voice*: {another} prompts by an Italian woman who was never heard, where training had an Italian man; none of
  these sentences was in training. Neither voice nor session helps. But Italian is the only right answer here: who takes
  every stranger for Italian gets 100 %.

One standard error is up to {error(5 * test)}, {error(2 * test)} and {error(another)} points.
"""


def texts(state, kind):
    return [row["text"] for row in state[kind]["transcripts"]]


def is_digit(row):
    """Whether it is the right digit, as a word or as a numeral."""
    written = "".join(character for character in row["text"].lower() if character.isalnum())
    return written in (row["right"], str(DIGITS.index(row["right"])))


def rates(name, state):
    found = state["digits"]
    right = statistics.mean(map(is_digit, found["transcripts"]))
    return [name, percent(found["word_error_rate"]), percent(found["plain_word_error_rate"]), percent(right)]


def transcripts(found, labels, speaker):
    before, on, after, cost = (found[name] for name in ("before", "on", "after", "cost"))
    is_same = all(texts(before, kind) == texts(after, kind) for kind in ("digits", "prompts"))
    same = "the same, word for word" if is_same else "NOT THE SAME"
    same_file = "the same" if before["weights"] == after["weights"] else "NOT THE SAME"
    errors = table(["", "words wrong %", "without case and punctuation %", "digit right, as word or numeral %"],
                   [rates("plain model", before), rates("adapter on", on), rates("adapter off again", after)])
    every, rows = before["digits"]["examples"] // len(DIGITS), before["digits"]["transcripts"]
    clips = list(zip(rows, texts(on, "digits")))[::every]
    shown = table(["said", "plain model", "adapter on"],
                  [[row["right"], one_line(row["text"]), one_line(text)] for row, text in clips])
    pairs = [(one_line(off), one_line(own)) for off, own in zip(texts(before, "prompts"), texts(on, "prompts"))]
    changed = [pair for pair in pairs if pair[0] != pair[1]]
    examples = table(["plain model", "adapter on"], changed[:SHOWN]) if changed else "None to show."
    seconds = before["digits"]["seconds"] + before["prompts"]["seconds"]
    return f"""\
## Writing down, with an adapter and without

An adapter is some tensors beside the model; off means that the plain weights are used, with `None` in the adapter's place.
Nothing writes to the backbone's file. What the plain model writes down of {before['digits']['examples']} digits ({speaker}'s) and
{len(pairs)} English prompts, before the first training of this page and after the last: {same}. The sha256 of
`model.safetensors` before and after: {same_file} (`{after['weights'][:16]}…`). In between the LoRA of the first part that
never heard {speaker} labels {percent(labels)} % of his clips right, on that very file.

Transcripts can be learned too. A LoRA on encoder and decoder ({cost['adapter']:,} weights, no head of its own) learned from the
clips of the other speakers to write digits as words, in {cost['seconds']:.0f} s of CPU time:

```console
$ hub eval None --base whisper-tiny-en --data spoken.csv                         # columns: audio, text
$ hub train --base whisper-tiny-en --data train.csv --validation validation.csv \\
    {flags('LoRA')} --batch-size 4 --precision bf16 --output spoken
$ hub eval ./spoken --data spoken.csv
$ hub run None --base whisper-tiny-en seven.wav
```

{errors}

Words wrong are those to be replaced, left out or added, for each that is right, so that more than 100 % is possible. A
numeral in place of a word counts as wrong; the last column counts it as right. One clip of each digit:

{shown}

What that adapter does to other speech while it is on: {len(changed)} of {len(pairs)} prompts are written down differently. It
learned ten words and nothing else; off, it is gone. The prompts come without their texts, so that no error rate is given.

{examples}

To write down these {before['digits']['examples'] + len(pairs)} recordings takes the plain model {seconds:.0f} s of CPU time.
"""


def page(on_digits, on_prompts, written, clips, sentences):
    speaker = next(out for _, out in on_digits)
    labels = on_digits["LoRA", speaker]["test"]["accuracy"]
    costs = [row["cost"]["seconds"] for row in [*on_digits.values(), *on_prompts.values(), written] if "cost" in row]
    return f"""\
# Recordings: digits, languages, transcripts

Written by `tests/benches/speech`; do not edit.

Whisper tiny.en (Radford et al. 2022) as it is, with adapters. Labels are read off its encoder alone, transcripts are
written by the whole. Every recording is read as 30 seconds, which is what the encoder reads: half a second costs as much
as half a minute. One seed; `hub train {' '.join(TRAIN)}`. The {len(costs)} trainings of
this page took {sum(costs) / 60:.0f} minutes of CPU time together.

{digits(on_digits, clips)}
{languages(on_prompts, sentences)}
{transcripts(written, labels, speaker)}
## The data

Digits (CC BY-SA 4.0): github.com/Jakobovski/free-spoken-digit-dataset at
26eb9aaf76e81b692f806f9140c2d2777410d7a1. Prompts: `scripts/fetch --with spoken-prompts`, out of Debian's `asterisk-core-sounds-{{en,es,fr,it,ru}}-wav` and `asterisk-prompt-it-menardi-wav`: English
and Spanish by Allison Smith and French by June Wallack (CC BY-SA 3.0), Italian by Carlo Flora and Russian by Maxim Topal
(CC BY 3.0), the other Italian by Marco Menardi and Paola Dal Zot (CC BY-SA 3.0 Italy, http://www.voip.ammdomus.it). The
backbone: `scripts/fetch --with whisper-tiny-en`. {version()}.
"""
