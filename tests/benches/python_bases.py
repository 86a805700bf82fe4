"""Small models of other architectures for `tests/benches/python-libraries`, and what all models are asked.

    python_bases.py BASES TOKENIZER FOLDER

Runs inside the Python that has the libraries. BASES are names of `MODELS` between commas. Their weights are random, and
but for T5's three times as far apart as usual, so that what an adapter adds is far above rounding. FOLDER gets a folder for each and, beside
MiniLM's, two batches of inputs: four rows of the same length (`full`), and of different lengths (`padded`).
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (AutoTokenizer, BartConfig, BartForConditionalGeneration, LlamaConfig, LlamaForCausalLM, T5Config,
                          T5ForConditionalGeneration, ViTConfig, ViTImageProcessor, ViTModel)

WIDTH, INNER, LAYERS, HEADS, VOCABULARY, IMAGE = 64, 128, 4, 4, 30522, 32
STD = 0.06
# `[PAD]`, `[CLS]` and `[SEP]` of MiniLM's vocabulary.
SPECIAL = {"pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102}


def llama():
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=2, max_position_embeddings=256, initializer_range=STD, **SPECIAL))


def t5():
    return T5ForConditionalGeneration(T5Config(
        vocab_size=VOCABULARY, d_model=WIDTH, d_kv=WIDTH // HEADS, d_ff=INNER, num_layers=2, num_heads=HEADS,
        initializer_factor=1.0, pad_token_id=0, eos_token_id=102, decoder_start_token_id=0))


def bart():
    return BartForConditionalGeneration(BartConfig(
        vocab_size=VOCABULARY, d_model=WIDTH, encoder_layers=2, decoder_layers=2, encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS, encoder_ffn_dim=INNER, decoder_ffn_dim=INNER, max_position_embeddings=256,
        init_std=STD, decoder_start_token_id=102, forced_eos_token_id=102, **SPECIAL))


def vit():
    return ViTModel(ViTConfig(
        hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS, num_attention_heads=HEADS, image_size=IMAGE,
        patch_size=8, initializer_range=STD))


MODELS = {"llama": llama, "t5": t5, "bart": bart, "vit": vit}


def inputs(name, lengths, generator):
    """What a model is asked: random words, or random pictures."""
    if name == "vit":
        return {"pixel_values": torch.randn(4, 3, IMAGE, IMAGE, generator=generator)}
    ids = torch.randint(1000, 20000, (4, 9), generator=generator)
    mask = torch.tensor([[1] * n + [0] * (9 - n) for n in lengths])
    if name in ("t5", "bart"):
        # Classifiers read the decoder where a text ends.
        ids[torch.arange(4), torch.tensor(lengths) - 1] = SPECIAL["eos_token_id"]
    asked = {"input_ids": ids * mask, "attention_mask": mask}
    if name == "minilm":
        asked["token_type_ids"] = torch.zeros_like(ids)
    if name in ("t5", "bart"):
        asked["decoder_input_ids"] = torch.randint(1000, 20000, (4, 9), generator=generator)
    return asked


def main():
    names, tokenizer, folder = sys.argv[1].split(","), AutoTokenizer.from_pretrained(sys.argv[2]), Path(sys.argv[3])
    for name in ("minilm", *filter(None, names)):
        generator = torch.Generator().manual_seed(7)
        for batch, lengths in [("full", [9, 9, 9, 9]), ("padded", [9, 7, 4, 2])]:
            save_file(inputs(name, lengths, generator), folder / f"{name}-{batch}.safetensors")
        if name == "minilm":
            continue
        torch.manual_seed(3)
        MODELS[name]().save_pretrained(folder / name)
        if name == "vit":
            ViTImageProcessor(size={"height": IMAGE, "width": IMAGE}).save_pretrained(folder / name)
        else:
            tokenizer.save_pretrained(folder / name)


if __name__ == "__main__":
    main()
