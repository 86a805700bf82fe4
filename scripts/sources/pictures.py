"""Fashion-MNIST as pictures in files, with tables of which shows what."""

import csv
import gzip
import io
import random
import struct
import zlib

from .folders import install_stamped, shown, stated
from .packages import Failed, contents

NAME, PACKAGE = "fashion-mnist", "dataset-fashion-mnist==0.0~git20200523.55506a9-1"
FOLDER = "./usr/share/datasets/fashion-mnist/"
LABELS = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot")
# Pictures of each part, drawn once: a file each, so not all 70,000.
SIZES = {"train": 4000, "validation": 500, "test": 1000}
SOURCE = """\
# Fashion-MNIST

Grey pictures of clothes, 28 pixels a side, ten kinds, by H. Xiao, K. Rasul and R. Vollgraf (Zalando Research, 2017; MIT
licence). {sizes} pictures, drawn from the 60,000 for training (train and validation) and the 10,000 for testing. Taken
from the Debian package `{package}`.
"""


def numbers(packed, dims):
    """The bytes of an IDX file: `0 0 8 rank`, sizes, then one byte each."""
    data = gzip.decompress(packed)
    if data[:3] != b"\0\0\x08" or data[3] != dims:
        raise Failed("Fashion-MNIST is not in the IDX format", "please report this: the pin is wrong")
    sizes = struct.unpack_from(f">{dims}I", data, 4)
    return sizes, data[4 + 4 * dims:]


def png(pixels, width):
    """A grey PNG file."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + pixels[at:at + width] for at in range(0, len(pixels), width))
    head = struct.pack(">2I5B", width, len(pixels) // width, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def fetch_pictures(data, archives):
    folder = data / NAME
    if stated(folder, rows=SIZES):
        return f"{shown(folder)} is already there"
    found = contents(archives(PACKAGE), FOLDER)
    files = {}
    order = {half: random.Random(half).sample(range(count), count) for half, count in (("train", 60000), ("t10k", 10000))}
    for part, size in SIZES.items():
        half = "t10k" if part == "test" else "train"
        (_, height, width), pixels = numbers(found[f"{half}-images-idx3-ubyte.gz"], 3)
        _, labels = numbers(found[f"{half}-labels-idx1-ubyte.gz"], 1)
        chosen, order[half] = order[half][:size], order[half][size:]
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("image", "label"))
        for index in chosen:
            name = f"{part}/{index:05}.png"
            files[name] = png(pixels[index * height * width:(index + 1) * height * width], width)
            writer.writerow((name, LABELS[labels[index]]))
        files[f"{part}.csv"] = table.getvalue().encode()
    sizes = ", ".join(f"{size} {part}" for part, size in SIZES.items())
    install_stamped(folder, files, SOURCE.format(sizes=sizes, package=PACKAGE), rows=SIZES)
    return f"wrote {shown(folder)} ({sizes} pictures)"
