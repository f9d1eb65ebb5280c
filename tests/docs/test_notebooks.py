"""In a fresh notebook, progress, tables and figures are seen, each of them once."""

import pytest

nbformat = pytest.importorskip("nbformat", reason="a notebook needs nbclient and ipykernel: the extra docs")
nbclient = pytest.importorskip("nbclient", reason="a notebook needs nbclient and ipykernel: the extra docs")
pytest.importorskip("ipykernel", reason="a notebook needs nbclient and ipykernel: the extra docs")

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.filterwarnings("default"),  # of nbclient; the cells run in another process
]

CELLS = {
    "start": """
import fastdigits as fd
(x, y), _ = fd.load_mnist()
net = fd.NeuralNetwork([fd.Dense(784, 16), fd.ReLU(), fd.Dense(16, 10)], seed=0)
""",
    "summary": "net.summary()",
    "network": "net",
    "fit": "history = net.fit(x[:6000], y[:6000], epochs=3, validation_split=0.2)",
    "history": "history",
    "plot": "history.plot()",
    "completions": "print(*sorted(get_ipython().Completer.all_completions('fd.')))",
    "pyplot": "import matplotlib.pyplot as plt",
    "plot again": "history.plot()",
    "plot unseen": "figure = history.plot()",
    "workers": """
import multiprocessing
def work(seed):
    return len(fd.NeuralNetwork([fd.Dense(784, 10)], seed=seed).fit(x[:100], y[:100], epochs=1))
with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.map(work, [0]))
""",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Return the outputs of each cell, run in a kernel that has imported nothing."""
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    folder = str(tmp_path_factory.mktemp("notebook"))
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}}).execute()
    return dict(zip(CELLS, (cell.outputs for cell in notebook.cells), strict=True))


@pytest.mark.parametrize("name", ["summary", "network", "history"])
def test_networks_and_histories_are_tables(outputs, name):
    (output,) = outputs[name]
    assert output.data["text/html"].startswith("<table>")


def test_the_progress_is_one_text_with_a_line_per_epoch(outputs):
    (output,) = outputs["fit"]
    lines = output.data["text/plain"].splitlines()
    assert [line.split("  loss")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


@pytest.mark.parametrize("name", ["plot", "plot again"])
def test_a_figure_is_shown_once_with_and_without_pyplot(outputs, name):
    (output,) = outputs[name]
    assert "image/png" in output.data


def test_a_figure_with_a_name_is_not_shown(outputs):
    assert outputs["start"] == outputs["pyplot"] == outputs["plot unseen"] == []


def test_completion_offers_the_public_names(outputs):
    import fastdigits as fd

    (output,) = outputs["completions"]
    found = {name.removeprefix("fd.") for name in output.text.split()}
    assert found == {name for name in fd.__all__ if not name.startswith("_")}


def test_a_forked_worker_shows_nothing(outputs):
    assert [output.text for output in outputs["workers"] if output.get("name") == "stdout"] == ["[1]\n"]
    assert all(output.output_type == "stream" for output in outputs["workers"])
    assert "from fork" not in "".join(output.text for output in outputs["workers"])
