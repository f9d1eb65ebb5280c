"""Text in the output of a notebook changes in place, as on a terminal; tests/docs/test_notebooks.py runs a real one."""

import sys
import types

import numpy as np
import pytest
from tqdm import tqdm

import fastdigits as fd
from fastdigits.core import notebook
from fastdigits.core.streams import Messages


class Kernel:
    """Stands for IPython within a notebook: records what each output has shown, one list per output."""

    def __init__(self):
        self.outputs = []

    def get_ipython(self):
        return types.SimpleNamespace(kernel=self)

    def display(self, content, *, raw, display_id):
        assert raw
        assert display_id
        shown = [content["text/plain"]]
        self.outputs.append(shown)
        return types.SimpleNamespace(update=lambda content, *, raw: shown.append(content["text/plain"]))


@pytest.fixture
def kernel(monkeypatch):
    found = Kernel()
    monkeypatch.setitem(sys.modules, "IPython", found)
    monkeypatch.setitem(sys.modules, "IPython.display", found)
    return found


def fit(**options):
    net = fd.NeuralNetwork([fd.Dense(4, 2)], seed=0)
    return net.fit(np.random.default_rng(0).random((8, 4)), np.arange(8) % 2, **options)


def test_only_the_kernel_of_a_notebook_is_one(monkeypatch, kernel):
    assert notebook.in_notebook()
    with monkeypatch.context() as patch:
        patch.setattr("multiprocessing.parent_process", lambda: "a worker's")
        assert not notebook.in_notebook()
    kernel.get_ipython = lambda: None  # IPython is imported by a script
    assert not notebook.in_notebook()
    kernel.get_ipython = lambda: types.SimpleNamespace()  # the IPython of a terminal
    assert not notebook.in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebook.in_notebook()
    assert type(notebook.progress_stream()) is Messages


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (["a\n", "b"], "a\nb"),
        (["old", "\rnew"], "new"),
        (["a\nold", "\r   \r", "new\n"], "a\nnew"),
        ([f"{i}\n" for i in range(30)], "\n".join(map(str, range(10, 30)))),
    ],
)
def test_a_live_text_shows_what_a_terminal_would_and_keeps_the_last_lines(kernel, written, shown):
    text = notebook.LiveText()
    for part in written:
        text.write(part)
    text.end()
    assert len(kernel.outputs) == 1
    assert kernel.outputs[0][-1] == shown


def test_fit_shows_its_progress_in_one_output_of_a_notebook(kernel, capsys):
    history = fit(epochs=300)
    assert capsys.readouterr() == ("", "")
    assert len(kernel.outputs) == 1
    assert len(kernel.outputs[0]) < 100 + 10 * sum(history.seconds)  # not one per epoch
    lines = kernel.outputs[0][-1].splitlines()
    assert [line.split("  loss")[0] for line in lines] == [f"epoch {i}/300" for i in range(281, 301)]


def test_the_bar_moves_below_the_lines_also_beside_a_bar_of_the_user(kernel, monkeypatch, capsys):
    monkeypatch.setattr(notebook, "PAUSE", 0)
    for _ in tqdm(range(1), file=sys.stdout):
        fit(epochs=2)
    text = "\n\n".join(kernel.outputs[0])
    assert "epoch 1/2:   0%|" in text
    assert "ms\nepoch 2/2:   0%|" in text
    assert "\x1b" not in text


def test_fit_shows_nothing_or_once_as_asked(kernel, capsys):
    fit(epochs=1, progress=False)
    assert kernel.outputs == []
    fit(epochs=1, callbacks=[fd.Progress()])
    assert len(kernel.outputs) == 1
    assert capsys.readouterr() == ("", "")


def test_fit_goes_on_if_the_notebook_is_gone(kernel):
    def gone(*_, **__):
        raise OSError("the socket is closed")

    kernel.display = gone
    assert len(fit(epochs=2)) == 2
