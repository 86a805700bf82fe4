"""SmolLM2 in 4 bits learns to write something from pairs of texts, with four kinds of adapters, beside the untuned model.

LoRA through 4 bits (QLoRA, Dettmers et al. 2023), series and parallel bottlenecks where LLM-Adapters (Hu et al. 2023) has
them, and LLaMA-Adapter (R. Zhang et al. 2023), each on the same pairs in `train.csv`, `validation.csv` and `test.csv`.
"""

from bench import DATA, one_line, percent, table

BASE = DATA / "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf"
METHODS = {
    "LoRA": ["--method", "lora", "--targets", "query,key,value,attention_output,ffn_gate,ffn_up,ffn_down"],
    "series bottleneck": ["--method", "pfeiffer", "--reduction-factor", "16"],
    "parallel bottleneck": ["--method", "parallel", "--reduction-factor", "16"],
    "LLaMA-Adapter": ["--method", "llama-adapter", "--lr", "0.01"],
}
WHERE = """\
Series and parallel bottlenecks (reduction factor 16) stand where LLM-Adapters (Hu et al. 2023) has them: behind and beside
the feed-forward layers; LoRA (rank 8) on all linear layers; LLaMA-Adapter with ten prompts in all layers but the lowest
two, gated from zero. Perplexity is that of the right answers."""


def folder_of(name):
    """What `hub` is told to read an adapter from."""
    return "None" if name == "untuned" else f"./{name.replace(' ', '-').lower()}"


def measure(hub, train, write, methods=METHODS):
    """For the untuned model and every one of these kinds of adapters, what it cost and what it wrote on the test part."""
    found = {"untuned": {"scores": hub.eval("None", "test.csv", *write, base=BASE)}}
    for name in methods:
        folder, flags = folder_of(name), METHODS[name]
        cost = hub.train(folder[2:], "--data", "train.csv", "--validation", "validation.csv", *train, *flags, base=BASE)
        found[name] = {"cost": cost, "scores": hub.eval(folder, "test.csv", *write, base=BASE)}
        found[name]["size"] = sum(path.stat().st_size for path in (hub.home / folder).glob("*.safetensors"))
    return found


def numbers(found):
    """A row per kind of adapter: its size, its cost and how near it came to what is right."""
    headings = ["", "weights", "file kB", "CPU s", "perplexity", "ROUGE-1 %", "ROUGE-2 %", "ROUGE-L %", "BLEU", "words of an answer"]
    return table(headings, [_row(name, each) for name, each in found.items()])


def _row(name, found):
    scores, cost = found["scores"], found.get("cost")
    words = sum(len(each["written"].split()) for each in scores["answers"]) / len(scores["answers"])
    trained = [f"{cost['adapter']:,}", f"{found['size'] / 1e3:,.0f}", f"{cost['seconds']:.0f}"] if cost else ["", "", ""]
    rouge = [percent(scores[kind]) for kind in ("rouge_1", "rouge_2", "rouge_l")]
    return [name, *trained, f"{scores['perplexity']:.1f}", *rouge, f"{scores['bleu']:.1f}", f"{words:.0f}"]


def words_of_a_right_answer(found):
    answers = found["untuned"]["scores"]["answers"]
    return sum(len(each["right"].split()) for each in answers) / len(answers)


def shown(found, count, prompt="question"):
    """The first answers of each, beside what is right; without a heading for prompts these are left out."""
    answers = [each["scores"]["answers"] for each in found.values()]
    asked = lambda at: [one_line(answers[0][at]["prompt"])] if prompt else []
    return table([*([prompt] if prompt else []), "right", *found],
                 [[*asked(at), one_line(answers[0][at]["right"]), *[one_line(each[at]["written"]) for each in answers]]
                  for at in range(count)])
