"""PyTorch's side of `tests/benches/engine`: the same case with peft or `adapters`, as their documents show it.

    torch_side.py train|above|infer|mixed DIR lora|pfeiffer|none ROWS LENGTH REPEATS exact|bf16

Two runs more than it is told, those after them printed with the most memory that the process had, as JSON.
"""

import contextlib
import json
import sys
import time

import torch
import transformers

WARM_UP = 2
FIRST_WORD = 1000
THREADS = 2


def model(base, method, only_above):
    """A classifier on the frozen backbone with the adapter in it, or in the upper third of its layers."""
    layers = transformers.AutoConfig.from_pretrained(base).num_hidden_layers
    upper = list(range(layers - layers // 3, layers)) if only_above else list(range(layers))
    if method == "lora":
        import peft
        plain = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
        config = peft.LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=["query", "value"],
                                 layers_to_transform=upper)
        return peft.get_peft_model(plain, config)
    if method == "pfeiffer":
        import adapters
        plain = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
        adapters.init(plain)
        plain.add_adapter("a", config=adapters.SeqBnConfig(
            reduction_factor=16, leave_out=[layer for layer in range(layers) if layer not in upper]))
        plain.train_adapter("a")
        return plain
    return transformers.AutoModel.from_pretrained(base)


def batch(rows, length):
    ids = torch.tensor([FIRST_WORD + i * 7919 % 20_011 for i in range(rows * length)]).view(rows, length)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}


def steps(net, inputs, repeats, precision):
    # No dropout, on neither side.
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    net.train()
    labels = torch.arange(len(inputs["input_ids"])) % 2
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


def timed(work):
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def peak_megabytes():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return float(line.split()[1]) * 1024 / 1e6


def main():
    what, base, method, rows, length, repeats, arithmetic = sys.argv[1:]
    torch.set_num_threads(THREADS)
    transformers.logging.set_verbosity_error()
    net, inputs = model(base, method, what == "above"), batch(int(rows), int(length))
    if what in ("train", "above"):
        autocast = lambda: torch.autocast("cpu", torch.bfloat16)
        times = steps(net, inputs, int(repeats), autocast if arithmetic == "bf16" else contextlib.nullcontext)
    else:
        more = mixed(net, int(rows)) if what == "mixed" else None
        if arithmetic == "bf16":
            net = net.to(torch.bfloat16)
        times = passes(net, inputs, int(repeats), more)
    print(json.dumps({"milliseconds": times[WARM_UP:], "peak_mb": peak_megabytes()}))


if __name__ == "__main__":
    main()
