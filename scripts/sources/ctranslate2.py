"""Reads the `model.bin` of CTranslate2 under the names of `transformers`.

A file is `u32 version, str spec, u32 revision, u32 n`, then n tensors `str name, u8 rank, u32 dims…, u8 type,
u32 bytes, data`, then aliases; a `str` has a u16 length that counts its last byte, a zero. Only half precision is
read. Nothing in the file is run.
"""

import struct

from .safetensors import Damaged

HALF = 4  # the type of tensors in half precision


def read(data):
    """name: (dims, bytes) of every tensor."""
    at = 0

    def take(count):
        nonlocal at
        if at + count > len(data):
            raise Damaged(f"it ends at byte {len(data)}, in the middle of a tensor")
        at += count
        return data[at - count:at]

    def number(kind):
        return struct.unpack(f"<{kind}", take(struct.calcsize(kind)))[0]

    def text():
        return take(number("H"))[:-1].decode()

    number("I"), text(), number("I")
    tensors = {}
    for _ in range(number("I")):
        name, rank = text(), number("B")
        dims = [number("I") for _ in range(rank)]
        kind, size = number("B"), number("I")
        tensors[name] = (kind, dims, take(size))
    return {name: (dims, raw) for name, (kind, dims, raw) in tensors.items() if kind == HALF}


def rows(tensor, part, parts):
    """One of so many equal parts of a tensor's first dimension."""
    (first, *others), raw = tensor
    each = len(raw) // parts
    return [first // parts, *others], raw[part * each:(part + 1) * each]


def whisper(tensors):
    """Whisper under the names of `transformers`; what is fused is taken apart."""
    found = {}

    def both(new, old, names=("weight", "bias")):
        for part, own in zip(("weight", "bias"), names):
            if f"{old}/{own}" in tensors:
                found[f"{new}.{part}"] = tensors[f"{old}/{own}"]

    def norm(new, old):
        both(new, old, ("gamma", "beta"))

    def split(new, old, names):
        for index, name in enumerate(names):
            for part in ("weight", "bias"):
                # The layer for keys has no bias; the file has zeros there.
                if part == "weight" or name != "k_proj":
                    found[f"{new}.{name}.{part}"] = rows(tensors[f"{old}/{part}"], index, len(names))

    for side in ("encoder", "decoder"):
        found[f"model.{side}.embed_positions.weight"] = tensors[f"{side}/position_encodings/encodings"]
        norm(f"model.{side}.layer_norm", f"{side}/layer_norm")
        layer = 0
        while f"{side}/layer_{layer}/ffn/linear_0/weight" in tensors:
            old, new = f"{side}/layer_{layer}", f"model.{side}.layers.{layer}"
            split(f"{new}.self_attn", f"{old}/self_attention/linear_0", ("q_proj", "k_proj", "v_proj"))
            both(f"{new}.self_attn.out_proj", f"{old}/self_attention/linear_1")
            norm(f"{new}.self_attn_layer_norm", f"{old}/self_attention/layer_norm")
            if side == "decoder":
                both(f"{new}.encoder_attn.q_proj", f"{old}/attention/linear_0")
                split(f"{new}.encoder_attn", f"{old}/attention/linear_1", ("k_proj", "v_proj"))
                both(f"{new}.encoder_attn.out_proj", f"{old}/attention/linear_2")
                norm(f"{new}.encoder_attn_layer_norm", f"{old}/attention/layer_norm")
            both(f"{new}.fc1", f"{old}/ffn/linear_0")
            both(f"{new}.fc2", f"{old}/ffn/linear_1")
            norm(f"{new}.final_layer_norm", f"{old}/ffn/layer_norm")
            layer += 1
    both("model.encoder.conv1", "encoder/conv1")
    both("model.encoder.conv2", "encoder/conv2")
    found["model.decoder.embed_tokens.weight"] = tensors["decoder/embeddings/weight"]
    return found
