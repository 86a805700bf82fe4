"""llama.cpp's side of `tests/benches/generation`, through its Python binding.

    llama_side.py read|write FILE none 1 LENGTH REPEATS exact

Two runs more than it is told, those after them printed with the most memory that the process had, as JSON.
"""

import json
import sys
import time

import llama_cpp
import numpy

WARM_UP = 2
FIRST_WORD = 1000
THREADS = 2


def timed(work):
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def peak_megabytes():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return float(line.split()[1]) * 1024 / 1e6


def main():
    what, file, _, _, length, repeats, _ = sys.argv[1:]
    length, repeats = int(length), int(repeats)
    room = length + WARM_UP + repeats + 1
    model = llama_cpp.Llama(model_path=file, n_ctx=room, n_batch=length, n_ubatch=length, n_threads=THREADS,
                            n_threads_batch=THREADS, verbose=False)
    prompt = [FIRST_WORD + i * 7919 % 20_011 for i in range(length)]

    def read():
        model.reset()
        model.eval(prompt)

    def write():
        last = llama_cpp.llama_get_logits_ith(model.ctx, -1)
        scores = numpy.ctypeslib.as_array(last, shape=(model.n_vocab(),))
        model.eval([int(scores.argmax())])

    if what == "write":
        read()
    times = [timed(read if what == "read" else write) for _ in range(WARM_UP + repeats)]
    print(json.dumps({"milliseconds": times[WARM_UP:], "peak_mb": peak_megabytes()}))


if __name__ == "__main__":
    main()
