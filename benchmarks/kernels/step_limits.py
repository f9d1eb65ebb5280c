"""Compare a training step of the original network with floors: the table of docs/limits.md.

    python benchmarks/kernels/step_limits.py           prints the table of this machine: half a minute
    python benchmarks/kernels/step_limits.py --write   writes it into docs/limits.md, in place of that of its backend

A floor is the time that one resource of a core needs for a part of the step, if all others cost nothing. It needs a C
compiler for loops that use one resource. Calls take turns; times are medians, floors the fastest of many runs.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import limits  # first: it limits the BLAS to one thread
import numpy as np

from fastdigits import backend, load_mnist
from fastdigits.commands import bench
from fastdigits.commands.peers import machine, report

PAGE = Path(__file__).resolve().parents[2] / "docs" / "limits.md"
BATCHES = (64, 256)
WEIGHTS, HIDDEN, SMALL = 784 * 64, 64, 64 * 32 + 32 * 10  # weights of the first layer, and of the others
ROUNDS = 15

FLOORS = r"""
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { WEIGHTS = 784 * 64, ROW = 64 };
static float rows[WEIGHTS] __attribute__((aligned(64)));
static float w[WEIGHTS] __attribute__((aligned(64))), m[WEIGHTS] __attribute__((aligned(64)));
static float v[WEIGHTS] __attribute__((aligned(64)));
static unsigned char from[256 * 784], to[256 * 784];
static volatile float sink;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

#ifdef __AVX512F__
enum { BYTES = 64 };
#elif defined(__AVX__)
enum { BYTES = 32 };
#else
enum { BYTES = 16 };
#endif
typedef int bits __attribute__((vector_size(BYTES), may_alias));

/* Load whole rows of 64 floats, some rows apart, as for nonzero pixels; xor has the least latency. */
static inline __attribute__((always_inline)) void load(unsigned of) {
    bits a = {0}, b = a, c = a, d = a;
    for (unsigned i = 0, k = 0; i < 8192; i++, k = (k + 7) % of) {
        const bits *row = (const bits *)(rows + k * ROW);
        for (int at = 0; at < ROW * 4 / BYTES; at += 4) {
            a ^= row[at];
            b ^= row[at + 1];
            c ^= row[at + 2];
            d ^= row[at + 3];
        }
    }
    a ^= b ^ c ^ d;
    sink = (float)a[0];
}

/* Square root and division of few numbers again and again: from the first-level cache. */
static void divide(void) {
    for (int again = 0; again < WEIGHTS / 1024; again++) {
        for (int i = 0; i < 1024; i++) w[i] = m[i] / (sqrtf(v[i]) + 1e-8f);
        __asm__ volatile("" ::: "memory");
    }
}

static void update(void) {
    for (int i = 0; i < WEIGHTS; i++) {
        w[i] += 1.0f;
        m[i] += 1.0f;
        v[i] += 1.0f;
    }
    __asm__ volatile("" ::: "memory");
}

#define BEST(call, name, last)                                                   \
    do {                                                                         \
        double best = 1e30;                                                      \
        for (int run = 0; run < 400; run++) {                                    \
            double begin = now();                                                \
            call;                                                                \
            double taken = now() - begin;                                        \
            if (taken < best) best = taken;                                      \
        }                                                                        \
        printf("\"%s\": %.1f%s", name, best, last ? "}\n" : ", ");               \
    } while (0)

int main(void) {
    for (int i = 0; i < WEIGHTS; i++) rows[i] = v[i] = m[i] = 1.0f + i;
    printf("{");
    BEST(load(64), "near", 0);  /* 16 KB */
    BEST(load(512), "far", 0);  /* 128 KB */
    BEST(divide(), "divide", 0);
    BEST(update(), "update", 0);
    BEST(memcpy(to, from, 64 * 784); __asm__ volatile("" ::: "memory"), "copy_64_images", 1);
    return 0;
}
"""


def floors() -> dict[str, float]:
    """Return ns: per row of 64 floats from each cache, for Adam's parts over all weights, per image copied."""
    compiler = limits.c_compiler()
    if compiler is None:
        raise SystemExit("step_limits.py: needs a C compiler: install one, such as gcc")
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "floors.c"), Path(folder, "floors")
        source.write_text(FLOORS, encoding="utf-8")
        flags = ["-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math"]
        subprocess.run([compiler, *flags, source, "-o", program, "-lm"], check=True)
        found = json.loads(subprocess.run([program], check=True, capture_output=True).stdout)
    return {
        "near": found["near"] / 8192,
        "far": found["far"] / 8192,
        "divide": found["divide"],
        "update": found["update"],
        "copy": found["copy_64_images"] / 64,
    }


def measured(batch: int) -> dict[str, float]:
    """Return µs per step: whole on one and two threads, and the first layer's two passes on one."""
    count = 12_800 // batch
    whole, order, rates = limits.whole_step(count, batch)
    x = load_mnist()[0][0].reshape(-1, 784)
    forward, gradient = (limits.first_layer(x, forward=each, size=batch) for each in (True, False))
    calls = {
        "whole": lambda: whole.run(order, rates, 1),
        "two": lambda: whole.run(order, rates, 2),
        "forward": lambda: forward.run(order, rates, 1),
        "gradient": lambda: gradient.run(order, rates, 1),
    }
    times = limits.in_turn(list(calls.values()))
    found = {name: 1e6 * statistics.median(each) / count for name, each in zip(calls, times, strict=True)}
    return found | {"nonzero": np.count_nonzero(x[order]) / count, "stages": whole._program.stages}


def table() -> str:
    """Return the table of this machine in Markdown."""
    per_second = bench.measure_peak(backend.kernels)
    floor, steps = floors(), [measured(batch) for batch in BATCHES]
    with limits.flag_between_cores() as round_trip:
        flag = round_trip and statistics.median(round_trip() for _ in range(5))
    us = 1e6 / per_second

    def row(words: str, values: list[float], measured: bool = False) -> str:
        cells = [f"{value:.1f}" if value < 100 else f"{value:.0f}" for value in values]
        return "| " + " | ".join(f"**{cell}**" if measured else cell for cell in [words, *cells]) + " |"

    def scaled(cost: float) -> list[float]:
        return [cost * batch for batch in BATCHES]

    products = [step["nonzero"] * HIDDEN * us for step in steps]
    near, far = ([step["nonzero"] * floor[cache] / 1e3 for step in steps] for cache in ("near", "far"))
    lines = [
        "| µs per step | " + " | ".join(f"{batch} images" for batch in BATCHES) + " |",
        "| --- | " + " | ".join("---:" for _ in BATCHES) + " |",
        row("first layer, forward", [step["forward"] for step in steps], True),
        row("multiply-adds of the nonzero pixels at the peak", products),
        row("their weights, loaded from the first-level cache", near),
        row("… from the second-level cache", far),
        row("first layer, gradient and Adam", [step["gradient"] for step in steps], True),
        row("multiply-adds of the nonzero pixels at the peak", products),
        row("gradients of its outputs, loaded from the first-level cache", near),
        row("square root and division of each weight", [floor["divide"] / 1e3] * 2),
        row("weights and moments read and written", [floor["update"] / 1e3] * 2),
        row("the images read and written once, to transpose them", scaled(floor["copy"] / 1e3)),
        row("all else", [s["whole"] - s["forward"] - s["gradient"] for s in steps], True),
        row("multiply-adds of the small layers at the peak", scaled(3 * SMALL * us)),
        row("whole step, one thread", [step["whole"] for step in steps], True),
        row("whole step, two threads", [step["two"] for step in steps], True),
        row("half the time of one thread", [step["whole"] / 2 for step in steps]),
    ]
    if flag is not None:
        lines.append(row("a flag there and back for each stage", [s["stages"] * flag / 1e3 for s in steps]))
    facts = machine.describe("", PAGE.parent)
    caption = (
        f"{facts['processor']}, {facts['cores']} cores, backend {backend.backend_name()}, peak "
        f"{2 * per_second / 1e9:.0f} GFLOP/s per core, {time.strftime('%Y-%m-%d')}, commit {facts['commit']}:"
    )
    return "\n".join([caption, "", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write the table into docs/limits.md")
    options = parser.parse_args()
    text = table()
    print(text)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        mark = f"limits {backend.backend_name()}"
        if f"<!-- {mark} -->" not in page:
            raise SystemExit(
                f"step_limits.py: docs/limits.md has no place for this backend: add <!-- {mark} -->, <!-- end -->"
            )
        PAGE.write_text(report.replaced(page, mark, f"\n{text}\n"), encoding="utf-8")


if __name__ == "__main__":
    main()
