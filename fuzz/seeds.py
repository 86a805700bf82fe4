"""Writes the first corpus files: small valid inputs, and some that are nearly valid. Standard library only."""

import hashlib
import io
import json
import pathlib
import pickle
import struct
import tarfile
import zipfile

CORPUS = pathlib.Path(__file__).parent / "corpus"
FIXTURES = pathlib.Path(__file__).parent.parent / "tests/fixtures"
# Backbones with what the plain one of their architecture does not have.
SPECIAL_BASES = ["albert-groups", "bert-classifier", "deberta-convolved", "dinov2-gated", "gemma2-open", "llama-dynamic",
                 "llama-yarn", "mistral-window", "modernbert-biased", "qwen2-window", "t5-flan", "vit-narrow", "whisper-weighted"]


def put(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def safetensors(tensors, metadata=None):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, shape in tensors:
        count = 1
        for dimension in shape:
            count *= dimension
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * count]}
        data += struct.pack(f"<{count}f", *[0.5] * count)
    text = canonical(header)
    return struct.pack("<Q", len(text)) + text + data


def base():
    return {
        "id": "tiny", "architecture": "bert", "hidden_size": 16, "num_layers": 2, "num_heads": 2,
        "intermediate_size": 32, "vocab_size": 100, "max_positions": 64, "token_types": 2,
        "weights_digest": digest(b"weights"),
    }


def entry(path, content, kind):
    return {"path": path, "size": len(content), "digest": digest(content), "media_type": kind}


def adapter_manifest(files):
    return {
        "manifest_version": "1.0", "name": "ada/mood", "version": "1.0.0", "license": "MIT", "description": "",
        "task": {"name": "sentiment", "labels": ["negative", "positive"]}, "base": base(), "languages": ["en"],
        "method": {"type": "lora", "r": 2, "lora_alpha": 2, "targets": ["layers.0.query"]},
        "format": "peft", "files": files,
    }


def headers():
    put("header", "one", safetensors([("a.weight", [2, 3])]))
    put("header", "many", safetensors([(f"layers.{i}.weight", [i + 1, 2]) for i in range(4)], {"format": "pt"}))
    put("header", "empty", safetensors([]))
    put("header", "huge-length", struct.pack("<Q", 2**63) + b"{}")
    overlapping = canonical({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                             "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}})
    put("header", "overlapping", struct.pack("<Q", len(overlapping)) + overlapping + bytes(12))


def manifests():
    config, weights = b"{}", safetensors([("a", [1])])
    files = [entry("adapter_config.json", config, "application/json"),
             entry("adapter_model.safetensors", weights, "application/vnd.safetensors")]
    put("manifest", "adapter", canonical(adapter_manifest(files)))
    put("manifest", "base", canonical({
        "manifest_version": "1.0", "kind": "base", "name": "ada/tiny", "version": "1.0.0", "license": "MIT",
        "description": "", "languages": [], "base": base(),
        "files": [entry("config.json", config, "application/json"),
                  entry("model.safetensors", weights, "application/vnd.safetensors")],
    }))
    deep = b"[" * 200 + b"]" * 200
    put("manifest", "deep", b'{"extra":' + deep + b',"manifest_version":"1.0"}')


def texts():
    put("names", "good", "\n".join([
        "ada/sentiment", "ada/sentiment@^1.2", "sentiment", "1.2.3-rc.1+build", ">=1.0, <2", "adapter_model.safetensors",
        digest(b""), "lab/*", "lab/bert-*", "read,publish,yank", "en", "zh-Hant", "Apache-2.0 OR MIT", "*",
    ]).encode())
    put("names", "bad", "\n".join([
        "../up", "a//b", "C:/x", "nul.txt", "sha256:00", "1.2", "99999999999999999999.0.0", "a" * 300, "\u202eevil", "a/b/c",
    ]).encode())
    for name, size, text in [
        ("first", 100, "bytes=0-49"), ("suffix", 100, "bytes=-10"), ("open", 100, "bytes=50-"), ("empty", 0, "bytes=-1"),
        ("huge", 2**64 - 1, "bytes=0-18446744073709551615"), ("several", 9, "bytes=0-1,3-4"),
        ("content", 100, "bytes 0-49/100"), ("content-huge", 2**64 - 1, "bytes 18446744073709551614-18446744073709551614/18446744073709551615"),
    ]:
        put("ranges", name, struct.pack("<Q", size) + text.encode())


class Storage:
    """Pickled as a persistent id, as torch.save does it."""

    def __init__(self, key, count):
        self.key, self.count = key, count


class FloatStorage:
    __module__ = "torch"


def rebuild():
    """Stands for `torch._utils._rebuild_tensor_v2`."""


rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = "torch._utils", "_rebuild_tensor_v2", "_rebuild_tensor_v2"


def pickles():
    # PROTO 2, a dict with one tensor, written by hand: importing torch to make a seed is not needed.
    body = (
        b"\x80\x02}q\x00X\x08\x00\x00\x00a.weightq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03"
        b"ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x02tq\x07QK\x00K\x02\x85q\x08K\x01\x85q\x09"
        b"\x89ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0ds."
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in [("archive/data.pkl", body), ("archive/data/0", struct.pack("<2f", 1, 2)), ("archive/version", b"3\n")]:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            archive.writestr(info, content)
    put("pickle", "zip", out.getvalue())
    put("pickle", "bare", body)
    put("pickle", "system", pickle.dumps({"a": print}, protocol=2))
    legacy = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1001, protocol=2)
    legacy += pickle.dumps({"little_endian": True, "protocol_version": 1001}, protocol=2) + body + pickle.dumps(["0"], protocol=2)
    put("pickle", "legacy", legacy + struct.pack("<q2f", 2, 1, 2))


def configurations():
    """Those of the fixtures: of one backbone for each architecture, and of one adapter for each method."""
    bases = {}
    for path in sorted(FIXTURES.glob("methods/bases/*/config.json")):
        config, name = json.loads(path.read_bytes()), path.parent.name
        kind = name if name in SPECIAL_BASES else config["model_type"]
        bases.setdefault(kind, canonical(config))
    adapters = {}
    for path in sorted(FIXTURES.glob("**/adapter_config.json")):
        config = json.loads(path.read_bytes())
        kind = config.get("peft_type") or f"adapters-{(config.get('config') or {}).get('architecture')}"
        adapters[kind] = min(adapters.get(kind, canonical(config)), canonical(config), key=len)
    for target, found in [("config", bases), ("adapter", adapters)]:
        for kind, content in found.items():
            put(target, kind.lower(), content)


def gguf_text(text):
    return struct.pack("<Q", len(text)) + text.encode()


def ggufs():
    def number(key, value):
        return gguf_text(key) + struct.pack("<II", 4, value)

    metadata = [gguf_text("general.architecture") + struct.pack("<I", 8) + gguf_text("llama")]
    metadata += [number(f"llama.{key}", value) for key, value in [
        ("block_count", 1), ("embedding_length", 4), ("feed_forward_length", 8), ("attention.head_count", 1), ("context_length", 8)]]
    tokens = ["<unk>", "<s>", "</s>", "a"]
    metadata.append(gguf_text("tokenizer.ggml.model") + struct.pack("<I", 8) + gguf_text("llama"))
    metadata.append(gguf_text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 4) + b"".join(map(gguf_text, tokens)))
    tensors = gguf_text("token_embd.weight") + struct.pack("<IQQIQ", 2, 4, 4, 0, 0)
    for version in (2, 3):
        head = b"GGUF" + struct.pack("<IQQ", version, 1, len(metadata)) + b"".join(metadata) + tensors
        put("gguf", f"version-{version}", head + bytes(-len(head) % 32) + bytes(64))
    put("gguf", "many", b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60))
    nested = gguf_text("x") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 50
    put("gguf", "nested", b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + nested)
    put("gguf", "whole", whole_gguf(4, 0, 16))
    put("gguf", "whole-q4", whole_gguf(32, 2, 18 * 32))
    # More heads than fit twice into a machine word.
    put("gguf", "heads", whole_gguf(4, 0, 16, heads=2**63 + 1))


def whole_gguf(width, kind, row, heads=2):
    """A LLaMA of one layer with a tokenizer. Matrices are `[width, width]` in blocks of `ggml`'s number `kind`, whose
    bytes are `row` for a row of 4 single-precision numbers, or all of them for blocks."""

    def text(key, value):
        return gguf_text(key) + struct.pack("<I", 8) + gguf_text(value)

    def number(key, value):
        return gguf_text(key) + struct.pack("<IQ", 10, value)

    def texts(key, values):
        return gguf_text(key) + struct.pack("<IIQ", 9, 8, len(values)) + b"".join(map(gguf_text, values))

    matrix = row if kind else row * width
    metadata = [text("general.architecture", "llama"), number("llama.attention.head_count", heads)]
    metadata += [number(f"llama.{key}", value) for key, value in [
        ("block_count", 1), ("embedding_length", width), ("feed_forward_length", width), ("context_length", 8),
        ("attention.head_count_kv", 1)]]
    kinds = struct.pack("<IIQ4i", 9, 5, 4, 3, 1, 1, 4)
    metadata += [
        text("tokenizer.ggml.model", "gpt2"), text("tokenizer.ggml.pre", "llama-bpe"),
        texts("tokenizer.ggml.tokens", ["<s>", "a", "b", "ab"]), texts("tokenizer.ggml.merges", ["a b"]),
        gguf_text("tokenizer.ggml.token_type") + kinds, number("tokenizer.ggml.bos_token_id", 0),
    ]
    listed, data = [], b""

    def tensor(name, dims, kind, size):
        nonlocal data
        listed.append(gguf_text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, len(data)))
        data += bytes(size)
        data += bytes(-len(data) % 32)

    tensor("token_embd.weight", [width, 4], 0, 4 * 4 * width)
    tensor("output_norm.weight", [width], 0, 4 * width)
    for part in ["attn_norm", "ffn_norm"]:
        tensor(f"blk.0.{part}.weight", [width], 0, 4 * width)
    for part in ["attn_q", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]:
        tensor(f"blk.0.{part}.weight", [width, width], kind, matrix)
    for part in ["attn_k", "attn_v"]:
        tensor(f"blk.0.{part}.weight", [width, width // 2], kind, matrix // 2)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(listed), len(metadata)) + b"".join(metadata) + b"".join(listed)
    return head + bytes(-len(head) % 32) + data


def bundles():
    config, weights = b"{}", safetensors([("a", [1])])
    files = [entry("adapter_config.json", config, "application/json"),
             entry("adapter_model.safetensors", weights, "application/vnd.safetensors")]
    manifest = canonical(adapter_manifest(files))
    index = canonical({"bundle_version": 1, "versions": [
        {"name": "ada/mood", "version": "1.0.0", "kind": "adapter", "digest": digest(manifest)}]})
    members = [("bundle.json", index), (f"manifests/{digest(manifest)[7:]}.json", manifest)]
    members += sorted((f"blobs/{digest(blob)[7:]}", blob) for blob in (config, weights))

    def archive(members, kind=tarfile.REGTYPE):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.type = len(content), 0o644, kind
                tar.addfile(info, io.BytesIO(content))
        return out.getvalue()

    put("bundle", "adapter", archive(members))
    put("bundle", "index-only", archive(members[:1]))
    put("bundle", "traversal", archive([*members, ("../../x", b"x")]))
    put("bundle", "long-name", archive([("a" * 200, b"x")]))


if __name__ == "__main__":
    headers()
    manifests()
    texts()
    pickles()
    configurations()
    ggufs()
    bundles()
