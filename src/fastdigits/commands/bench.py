"""The command ``fastdigits bench``: compare the compiled kernels with NumPy, or fastdigits with other libraries."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from .. import backend
from ..backend import aligned
from ..backend.threads import get_num_threads
from ..core.arrays import Array
from ..core.text import tabulate, wrap
from ..data import load_mnist
from ..errors import printable
from ..network import NeuralNetwork
from ..nn.layers import BatchNorm, Dense, ReLU
from ..nn.losses import SoftmaxCrossEntropy
from ..optim.optimizers import Adam
from ..training.lowering import TrainingStep
from . import arguments, console, runner
from .parser import Parser
from .peers import machine, measures, report
from .peers.players import interpreters

COMMAND = "fastdigits bench"
STEPS = 16  # training steps per call: the threads are not started for a single one
WIDTHS = (30, 12, 8, 8, 6, 4)  # characters of the table's columns
LARGEST = 60_000 // STEPS  # batch: MNIST has 60,000 training images

Call = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One kernel on arrays of one size.

    Attributes
    ----------
    name : str
        The kernel.
    size : str
        The size of the layer, for the table.
    multiply_adds : int
        The multiply-adds of a dense kernel; 0 for other kernels.
    bind : callable
        Takes a module of kernels; returns the call to time.
    """

    name: str
    size: str
    multiply_adds: int
    bind: Callable[[ModuleType], Call]


def cases(batch: int) -> list[Case]:
    """Return the kernels of the original network in the order of a training step.

    Parameters
    ----------
    batch : int
        Rows. The input of the first layer is MNIST; the other arrays hold random numbers.
    """
    rng = np.random.default_rng(0)
    pixels = aligned.empty(batch, 784, dtype=np.uint8)
    pixels[...] = load_mnist()[0][0][:batch].reshape(batch, 784)
    rows, row_weights = max(batch, 2), aligned.floats(batch)  # batch normalisation needs two rows
    row_weights.fill(1 / batch)
    labels = rng.integers(0, 10, batch)

    def floats(*shape: int) -> Array:
        array = aligned.floats(*shape)
        array[...] = rng.standard_normal(shape)
        return array

    x, y, dy = floats(batch, 784), floats(batch, 64), floats(batch, 64)
    weight, bias, dweight, dbias = floats(784, 64), floats(64), floats(784, 64), floats(64)
    x2, y2, weight2, bias2 = floats(batch, 64), floats(batch, 32), floats(64, 32), floats(32)
    h, h_hat, v = floats(rows, 64), floats(rows, 64), [np.abs(floats(64)) for _ in range(5)]
    logits, probs, losses = floats(batch, 10), floats(batch, 10), floats(batch)
    value, grad, m, s = (np.abs(floats(784 * 64)) for _ in range(4))
    first, second = batch * 784 * 64, batch * 64 * 32

    def case(name: str, size: str, multiply_adds: int, *args: Any) -> Case:
        return Case(name, size, multiply_adds, lambda kernels: lambda: getattr(kernels, name)(*args))

    return [
        case("dense_forward_uint8", "784 → 64", first, y, pixels, weight, bias),
        case("dense_forward", "784 → 64", first, y, x, weight, bias),
        case("batchnorm_forward", "64", 0, h, h_hat, *v[:3], floats(rows, 64), *v[3:], 0.1, 1e-5),
        case("relu_forward", "64", 0, x2, y),
        case("dense_forward", "64 → 32", second, y2, x2, weight2, bias2),
        case("softmax_cross_entropy_forward", "10", 0, losses, probs, logits, labels, row_weights, 0.0),
        case("softmax_cross_entropy_backward", "10", 0, logits, probs, labels, row_weights, 0.0),
        case("dense_backward_input", "64 → 32", second, x2, y2, weight2),
        case("dense_backward_weight", "64 → 32", second, floats(64, 32), bias2, y2, x2),
        case("batchnorm_backward", "64", 0, h, v[0], v[1], floats(rows, 64), h_hat, v[2], v[3]),
        case("dense_backward_weight", "784 → 64", first, dweight, dbias, dy, x),
        case("dense_backward_weight_uint8", "784 → 64", first, dweight, dbias, dy, pixels),
        case("adam_update", "50,176", 0, value, m, s, grad, np.array([9]), 1e-4, 0.9, 0.999, 1e-8, 0.0),
    ]


def training_steps(batch: int) -> Call:
    """Return a call that runs `STEPS` training steps on the current backend.

    The steps are lowered on a compiled backend, and eager on NumPy.
    """
    (images, digits), _ = load_mnist()
    rows, labels = images.reshape(len(images), -1), digits.astype(np.int64)
    network, loss, optimizer = original_network(), SoftmaxCrossEntropy(), Adam()
    order = np.random.default_rng(0).permutation(len(rows))[: STEPS * batch]
    if hasattr(backend.kernels, "Program"):
        step = TrainingStep(network, rows, labels, None, batch, loss, optimizer)
        lrs = np.full(STEPS, optimizer.lr)
        return lambda: step.run(order, lrs, get_num_threads())

    def eager() -> None:
        for index in order.reshape(STEPS, batch):
            loss.forward(network.run(rows[index], training=True), labels[index])
            network.backward(loss.backward())
            optimizer.step(network.parameters())

    return eager


def original_network(seed: int = 0) -> NeuralNetwork:
    """Return the network of the original project."""
    layers = [Dense(784, 64), BatchNorm(64), ReLU(), Dense(64, 32), ReLU(), Dense(32, 10)]
    return NeuralNetwork(layers, seed=seed)


def take_turns(calls: Sequence[Call], seconds: float) -> list[float]:
    """Return the median seconds of each call; the calls take turns in ten rounds, for about ``seconds`` each."""
    repeats = []
    for call in calls:
        call()
        started = time.perf_counter()
        call()
        repeats.append(max(1, int(seconds / 20 / max(time.perf_counter() - started, 1e-7))))
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(10):
        for call, repeat, found in zip(calls, repeats, times, strict=True):
            started = time.perf_counter()
            for _ in range(repeat):
                call()
            found.append((time.perf_counter() - started) / repeat)
    return [statistics.median(found) for found in times]


def measure_peak(kernels: ModuleType) -> float:
    """Return the multiply-adds per second of one core in the vectors of the kernels: the best of ten runs."""
    count = 2_000_000
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        kernels.multiply_add(count)
        best = min(best, time.perf_counter() - started)
    return float(count * 12 * kernels.LANE_COUNT / best)


def dense_share_of_peak(kernels: ModuleType) -> dict[str, float]:
    """Return the share of the peak that each dense kernel reaches on 256 rows, 1,024 → 1,024: medians of five rounds.

    Peak and kernels take turns, so that other programs slow down both.
    """
    rng = np.random.default_rng(0)
    shapes = {"x": (256, 1024), "dx": (256, 1024), "y": (256, 1024), "w": (1024, 1024), "dw": (1024, 1024)}
    arrays = {name: aligned.floats(*shape) for name, shape in [*shapes.items(), ("b", (1024,))]}
    for array in arrays.values():
        array[...] = rng.standard_normal(array.shape)
    calls: dict[str, Call] = {
        "dense_forward": lambda: kernels.dense_forward(arrays["y"], arrays["x"], arrays["w"], arrays["b"]),
        "dense_backward_input": lambda: kernels.dense_backward_input(arrays["dx"], arrays["y"], arrays["w"]),
        "dense_backward_weight": lambda: kernels.dense_backward_weight(
            arrays["dw"], arrays["b"], arrays["y"], arrays["x"]
        ),
    }
    shares: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(5):
        peak = measure_peak(kernels)
        for name, call in calls.items():
            seconds = min(_timed(call) for _ in range(5))
            shares[name].append(256 * 1024 * 1024 / seconds / peak)
    return {name: statistics.median(found) for name, found in shares.items()}


def _timed(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


# -- the command -------------------------------------------------------------------------------------------


@runner.entry_point(COMMAND)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison that ``argv`` describes; return the exit code."""
    parser = Parser(
        "bench",
        "Compare the compiled kernels with NumPy on this machine: each kernel of the original network, and a "
        "whole training step. Both sides work on the same float32 arrays and take turns; each time is the median "
        "of ten rounds. This takes about half a minute. Column 'ratio' is how many times faster the compiled "
        "kernel is; 'peak' is the share of the highest speed of one core that it reaches.",
        "examples:\n"
        "  fastdigits bench\n"
        "  fastdigits bench --batch 64 --backend generic --threads 1\n"
        "  fastdigits bench --peers\n"
        "  fastdigits bench --peers wide256,import --rounds 3\n"
        "  fastdigits bench --json | tail -1",
    )
    group = parser.add_argument_group("comparison")
    group.add_argument(
        "--batch",
        type=arguments.widths,
        default="1,64,256,1024",
        metavar="N,…",
        help="batch sizes, with commas between them (default: %(default)s)",
    )
    arguments.add_threads_option(group, "threads of the compiled training step")
    arguments.add_backend_option(group)
    group = parser.add_argument_group("other libraries")
    group.add_argument(
        "--peers",
        type=measures.names,
        nargs="?",
        const=measures.QUICK,
        metavar="NAME,…",
        help="compare whole trainings and predictions with those of the other libraries that are installed, such "
        "as PyTorch, JAX, Keras, numba, scikit-learn and onnxruntime, instead of the kernels with NumPy; NAME is "
        f"one or more of {', '.join(measures.ALL)} (without NAME: {','.join(measures.QUICK)}, one to three minutes)",
    )
    group.add_argument(
        "--rounds",
        type=arguments.whole_number,
        metavar="N",
        help="how often each library does each job (default: depends on the measure)",
    )
    arguments.add_result_options(parser.add_argument_group("output"))
    options = parser.read(argv)
    if max(options.batch) > LARGEST:
        parser.error(f"--batch: must be at most {LARGEST:,}; got {max(options.batch):,}")
    if options.rounds and not options.peers:
        parser.error("--rounds: must come with --peers, which it is for")
    work = _compare_with_peers if options.peers else _bench
    return runner.run(COMMAND, lambda: work(options), backend_name=options.backend, threads=options.threads)


def _compare_with_peers(options: argparse.Namespace) -> int:
    """Run the measures of ``--peers`` in processes of their own; print ratios and shares of the peak."""
    say = console.print_nothing if options.quiet else console.print_message
    counts = sorted({1, get_num_threads()})
    without = measures.NOT_QUICK if options.peers is measures.QUICK else ()
    if without:
        say(f"without {', '.join(without)}, which take long: name the measures to include them")
    found = {}
    for name in options.peers:
        say(f"{name}:")
        found[name] = measures.measure(
            name, interpreters([]), counts, say, quick=True, rounds=options.rounds, without=without
        )
        say(report.summary({name: found[name]}))
    for line in report.absences(found):
        say("\n".join(wrap(printable(line), console.width())))
    shares = _say_shares(say, backend.kernels) if hasattr(backend.kernels, "multiply_add") else {}
    if options.json:
        ratios = [vars(line) for line in report.ratios(found)]
        facts = machine.describe("fastdigits bench")
        answer = {"machine": facts, "ratios": ratios, "measures": found, "dense_shares_of_peak": shares}
        console.print_json(answer)
    return runner.SUCCESS


def _say_shares(say: Callable[[str], None], kernels: ModuleType) -> dict[str, float]:
    """Measure and print the share of the peak of each dense kernel."""
    shares = dense_share_of_peak(kernels)
    say("\nshare of the peak of one core, 1,024 × 1,024 × 256")
    say(tabulate([(kernel, f"{share:.0%}") for kernel, share in shares.items()], "<>"))
    return shares


def _bench(options: argparse.Namespace) -> int:
    say = console.print_nothing if options.quiet else console.print_message
    name = backend.backend_name()
    if name == "numpy":
        raise runner.CommandError(
            "--backend: must be a compiled one, to compare with numpy; got numpy: choose another one"
        )
    kernels, twin = backend.kernels, backend.load("numpy")
    peak = measure_peak(kernels)
    say(
        console.fields(
            {
                "backend": f"{name}, {kernels.COMPILER}",
                "threads": f"{get_num_threads()} per training step, 1 per kernel; NumPy's BLAS chooses its own",
                "peak": f"{2 * peak / 1e9:.0f} GFLOP/s on one core, in multiply-adds of {kernels.LANE_COUNT} floats",
            }
        )
    )
    rows: list[dict[str, Any]] = []
    seconds = 20 / (14 * len(options.batch) * 2)  # per call: 20 in all
    for batch in options.batch:
        say(f"\nbatch {batch}\n{_line('kernel', 'of', name, 'numpy', 'ratio', 'peak')}")
        for case in cases(batch):
            fast, slow = take_turns([case.bind(kernels), case.bind(twin)], seconds)
            rows.append(_row(batch, case.name, case.size, fast, slow, case.multiply_adds / fast / peak))
            say(_line(*_cells(rows[-1])))
        fast, slow = _steps(name, batch, seconds)
        rows.append(_row(batch, "training step", "784-64-32-10", fast, slow, 0.0))
        say(_line(*_cells(rows[-1])))
    shares = _say_shares(say, kernels)
    if options.json:
        console.print_json(
            {
                "backend": name,
                "threads": get_num_threads(),
                "multiply_adds_a_second": peak,
                "dense_share_of_peak": min(shares.values()),
                "dense_shares_of_peak": shares,
                "rows": rows,
            }
        )
    return runner.SUCCESS


def _steps(name: str, batch: int, seconds: float) -> list[float]:
    """Return the seconds of a training step on the backend ``name`` and on NumPy."""
    if batch == 1:
        batch = 2  # batch normalisation needs two rows
    calls = [_on_backend(each, training_steps, batch) for each in (name, "numpy")]
    return [total / STEPS for total in take_turns(calls, 4 * seconds)]


def _on_backend(name: str, make: Callable[[int], Call], batch: int) -> Call:
    """Return a call that switches to the backend ``name`` and back."""
    before = backend.backend_name()
    backend.use_backend(name)
    call = make(batch)
    backend.use_backend(before)

    def switched() -> None:
        backend.use_backend(name)
        call()
        backend.use_backend(before)

    return switched


def _row(batch: int, name: str, size: str, fast: float, slow: float, share: float) -> dict[str, Any]:
    return {
        "batch": batch,
        "kernel": name,
        "size": size,
        "seconds": fast,
        "numpy_seconds": slow,
        "ratio": slow / fast,
        "share_of_peak": share,
    }


def _line(*cells: str) -> str:
    return tabulate([cells], "<<>", least=WIDTHS).rstrip()


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    ratio = f"{row['ratio']:.1f}×" if row["ratio"] < 1000 else f"{row['ratio']:,.0f}×"
    share = f"{row['share_of_peak']:.0%}" if row["share_of_peak"] else ""
    return row["kernel"], row["size"], _time(row["seconds"]), _time(row["numpy_seconds"]), ratio, share


def _time(seconds: float) -> str:
    """Return a time as text with about three digits."""
    factor, unit = (1e6, "µs") if seconds < 1e-3 else (1e3, "ms") if seconds < 1 else (1, "s")
    value = factor * seconds
    return f"{value:.{2 if value < 10 else 1}f} {unit}"
