"""Writes the safetensors files that converted backbones are published as."""

import json
import math
import struct

WIDTHS = {"F16": 2, "F32": 4}


class Damaged(Exception):
    """What is converted is not what it should be."""


def safetensors(tensors, kind):
    """The bytes of a file of these tensors, `name: (dims, bytes)`, all of one kind."""
    header, start = {"__metadata__": {"format": "pt"}}, 0
    for name, (dims, raw) in sorted(tensors.items()):
        if math.prod(dims) * WIDTHS[kind] != len(raw):
            raise Damaged(f"`{name}` of shape {dims} has {len(raw)} bytes")
        header[name] = {"dtype": kind, "shape": dims, "data_offsets": [start, start + len(raw)]}
        start += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(raw for _, (_, raw) in sorted(tensors.items()))
