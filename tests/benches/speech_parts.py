"""The recordings that `tests/benches/speech` trains and measures on, and a guess that understands no word of them."""

import array
import math
import statistics
import wave
from collections import Counter
from operator import mul, sub

from bench import DATA, drawn, rows_of

PROMPTS = DATA / "spoken-prompts"
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# The first one's clips are also written down.
SPEAKERS = ["theo", "george", "jackson", "lucas", "nicolas", "yweweler"]
# Clips of every digit: of each speaker in training and validation, and of the one left out.
CLIPS = {"train": 4, "validation": 1, "test": 5}
LANGUAGES = ["english", "spanish", "french", "italian", "russian"]
# Prompts of each language.
SENTENCES = {"train": 40, "validation": 6, "test": 16, "another-voice": 40}
METHODS = {
    "linear probe": ["--method", "last-layer"],
    "LoRA": ["--method", "lora", "--epochs", "1"],
    "bottleneck": ["--method", "pfeiffer", "--reduction-factor", "16", "--epochs", "1"],
}
ROUNDED = ["--precision", "bf16"]
TRAIN = ["--batch-size", "4", "--evaluate-every", "1000", "--seed", "1", *ROUNDED]
# Neighbours that vote in a guess, and the numbers of a frame at 8 kHz.
NEIGHBOURS, FRAME = 5, 160


def clips(folder, speakers, out, sizes):
    """The clips of each part, always the same ones, with their digits in words."""
    parts = {part: [] for part in sizes}
    for speaker in speakers:
        for digit, word in enumerate(DIGITS):
            own = drawn(sorted(folder.glob(f"{digit}_{speaker}_*.wav")), 50)
            for part, size in sizes.items():
                if (part == "test") == (speaker == out):
                    parts[part] += [(path.resolve(), word) for path in own[:size]]
                    own = own[size:]
    return parts


def prompts(sizes):
    """The prompts of each part with their languages. A table has all languages of a prompt below each other."""
    parts = {}
    for part, size in sizes.items():
        rows = [(PROMPTS / name, label) for name, label in rows_of(PROMPTS / f"{part}.csv")]
        parts[part] = rows[:size * len({label for _, label in rows})]
    return parts


def sound(path):
    """How something was recorded, whatever is said: loudness, noise between the words, highest peak, brightness."""
    with wave.open(str(path)) as opened:
        samples = array.array("h", opened.readframes(opened.getnframes()))
    frames = sorted(loudness(samples[at:at + FRAME]) for at in range(0, len(samples) - FRAME + 1, FRAME))
    steps = array.array("i", map(sub, samples[1:], samples))
    level = loudness(samples)
    values = level, frames[len(frames) // 20], max(map(abs, samples)), loudness(steps) / (level + 1)
    return [math.log1p(value) for value in values]


def loudness(samples):
    return math.sqrt(sum(map(mul, samples, samples)) / len(samples))


def guessed(train, test):
    """Right labels and guesses: what the recordings of training say that sound most alike."""
    known = [sound(path) for path, _ in train]
    scales = [(statistics.mean(column), statistics.stdev(column) or 1.0) for column in zip(*known)]

    def scaled(numbers):
        return [(value - mean) / deviation for value, (mean, deviation) in zip(numbers, scales)]

    known = [(scaled(numbers), label) for numbers, (_, label) in zip(known, train)]
    pairs = []
    for path, right in test:
        own = scaled(sound(path))
        near = sorted(known, key=lambda pair: math.dist(pair[0], own))[:NEIGHBOURS]
        pairs.append((right, Counter(label for _, label in near).most_common(1)[0][0]))
    return pairs


def recalls(pairs):
    """The share of each label's recordings that were guessed right."""
    guesses = {}
    for right, guess in pairs:
        guesses.setdefault(right, []).append(guess == right)
    return {label: statistics.mean(map(int, hits)) for label, hits in guesses.items()}
