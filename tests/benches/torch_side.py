"""PyTorch's side of `tests/benches/engine` and `tests/benches/gpu`: the same case with peft or `adapters`, as their
documents show it.

    torch_side.py train|checkpointed|above|infer|mixed|product DIR lora|pfeiffer|none ROWS LENGTH REPEATS exact|bf16 [cuda]

Two runs more than it is told, those after them printed with the most memory that the process had, as JSON.
"""

import contextlib
import json
import sys
import time
from pathlib import Path

import torch
import transformers

WARM_UP = 2
FIRST_WORD = 1000
THREADS = 2


def model(base, method, only_above):
    """A classifier on the frozen backbone with the adapter in it, or in the upper third of its layers."""
    config = transformers.AutoConfig.from_pretrained(base, **file_in(base))
    layers = config.num_hidden_layers
    upper = list(range(layers - layers // 3, layers)) if only_above else list(range(layers))
    if method == "lora":
        import peft
        chosen = {"r": 8, "lora_alpha": 16, "layers_to_transform": upper}
        if config.model_type == "llama":
            return peft.get_peft_model(plain(base, config), peft.LoraConfig(
                task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], **chosen))
        return peft.get_peft_model(plain(base, config), peft.LoraConfig(
            task_type="SEQ_CLS", target_modules=["query", "value"], **chosen))
    if method == "pfeiffer":
        import adapters
        net = plain(base, config)
        adapters.init(net)
        net.add_adapter("a", config=adapters.SeqBnConfig(
            reduction_factor=16, leave_out=[layer for layer in range(layers) if layer not in upper]))
        net.train_adapter("a")
        return net
    return transformers.AutoModel.from_pretrained(base)


def file_in(base):
    """Which file of a folder is the model, where blocks are restored to single precision."""
    quantised = next(Path(base).glob("*.gguf"), None)
    return {"gguf_file": quantised.name} if quantised else {}


def plain(base, config):
    """What is adapted: a language model for every next token, else a classifier of two classes."""
    if config.model_type == "llama":
        return transformers.AutoModelForCausalLM.from_pretrained(base, **file_in(base))
    return transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)


def batch(rows, length, is_decoder):
    ids = torch.tensor([FIRST_WORD + i * 7919 % 20_011 for i in range(rows * length)]).view(rows, length)
    if is_decoder:
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}


def steps(net, inputs, repeats, precision, checkpointed):
    # No dropout, on neither side.
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    net.train()
    if checkpointed:
        net.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    ids = inputs["input_ids"]
    labels = torch.arange(len(ids), device=ids.device) % 2 if "token_type_ids" in inputs else ids
    optimiser = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-4)

    def step():
        with precision():
            loss = net(**inputs, labels=labels).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return [timed(step) for _ in range(WARM_UP + repeats)]


def passes(net, inputs, repeats, more=None):
    net.eval()

    def forward():
        with torch.inference_mode():
            net(**inputs, **(more or {}))

    return [timed(forward) for _ in range(WARM_UP + repeats)]


def mixed(net, rows):
    """As many LoRAs as rows, and which row has which."""
    import peft
    for row in range(1, rows):
        net.add_adapter(f"a{row}", peft.LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16,
                                                  target_modules=["query", "value"]))
    return {"adapter_names": ["default"] + [f"a{row}" for row in range(1, rows)]}


def products(config, tokens, repeats, arithmetic):
    """The first product of a feed-forward network alone, for every token."""
    dtype = torch.bfloat16 if arithmetic == "bf16" else torch.float32
    weight = torch.randn(config.intermediate_size, config.hidden_size).to(dtype)
    x = torch.randn(tokens, config.hidden_size).to(dtype)

    def product():
        with torch.inference_mode():
            torch.nn.functional.linear(x, weight)

    return [timed(product) for _ in range(WARM_UP + repeats)]


def timed(work):
    start = time.perf_counter()
    work()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


def peak_megabytes():
    if torch.cuda.is_initialized():
        free, total = torch.cuda.mem_get_info()
        return (total - free) / 1e6
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return float(line.split()[1]) * 1024 / 1e6


def lower_frozen(net):
    """Frozen weights in bf16, what is trained in single precision: as PEFT keeps a model that was loaded in bf16."""
    for parameter in net.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)


def main():
    what, base, method, rows, length, repeats, arithmetic, *device = sys.argv[1:]
    device = device[0] if device else "cpu"
    torch.set_num_threads(THREADS)
    transformers.logging.set_verbosity_error()
    if what == "product":
        config = transformers.AutoConfig.from_pretrained(base)
        times = products(config, int(rows) * int(length), int(repeats), arithmetic)
        print(json.dumps({"milliseconds": times[WARM_UP:], "peak_mb": peak_megabytes()}))
        return
    net = model(base, method, what == "above").to(device)
    is_decoder = net.config.model_type == "llama"
    inputs = {name: tensor.to(device) for name, tensor in batch(int(rows), int(length), is_decoder).items()}
    if arithmetic == "bf16" and device == "cuda":
        lower_frozen(net)
    if what in ("train", "checkpointed", "above"):
        # On a GPU a language model in bf16 needs none: PEFT casts for its adapters.
        casts = arithmetic == "bf16" and not (is_decoder and device == "cuda")
        autocast = lambda: torch.autocast(device, torch.bfloat16)
        times = steps(net, inputs, int(repeats), autocast if casts else contextlib.nullcontext,
                      what == "checkpointed")
    else:
        more = mixed(net, int(rows)) if what == "mixed" else None
        if arithmetic == "bf16":
            net = net.to(torch.bfloat16)
        times = passes(net, inputs, int(repeats), more)
    print(json.dumps({"milliseconds": times[WARM_UP:], "peak_mb": peak_megabytes()}))


if __name__ == "__main__":
    main()
