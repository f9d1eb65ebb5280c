"""A history is a table of its epochs: for loops, for pandas, for people, and as curves."""

import matplotlib.figure
import pytest

import fastdigits as fd


def history(epochs=3, validates=True):
    numbers = list(range(1, epochs + 1))
    held_out = numbers if validates else []
    return fd.History(
        epoch=numbers,
        loss=[0.5 / i for i in numbers],
        accuracy=[1 - 0.1 / i for i in numbers],
        val_loss=[0.6 / i for i in held_out],
        val_accuracy=[1 - 0.2 / i for i in held_out],
        lr=[0.01] * epochs,
        seconds=[0.0965] * epochs,
        images_per_second=[621_761.6] * epochs,
        last_epoch=epochs,
        validates=validates,
    )


def test_a_loop_yields_the_measures_of_each_epoch():
    first, *_, last = history()
    assert first["epoch"] == 1
    assert last == {
        "epoch": 3, "loss": 0.5 / 3, "accuracy": 1 - 0.1 / 3, "val_loss": 0.6 / 3, "val_accuracy": 1 - 0.2 / 3,
        "lr": 0.01, "seconds": 0.0965, "images_per_second": 621_761.6,
    }  # fmt: skip
    assert [set(last) - set(epoch) for epoch in history(validates=False)] == [
        {"val_loss", "val_accuracy"}
    ] * 3


@pytest.mark.parametrize("validates", [True, False])
def test_pandas_reads_a_history_as_its_table(validates):
    pandas = pytest.importorskip("pandas")
    found = history(validates=validates)
    table = pandas.DataFrame(found)
    assert table.to_dict("list") == {name: getattr(found, name) for name in table.columns}
    assert ("val_loss" in table.columns) == validates
    assert pandas.DataFrame(fd.History()).empty


def test_a_history_is_shown_as_a_line_and_printed_as_a_table():
    assert repr(history()) == (
        "<History: epoch 3/3  loss 0.1667  accuracy 96.67 %  validation 93.33 %  96.5 ms>"
    )
    assert repr(fd.History()) == "<History: no epoch>"
    head, *lines = str(history()).splitlines()
    assert head.split() == list(next(iter(history())))
    assert lines[0].split() == ["1", "0.5000", "0.9000", "0.6000", "0.8000", "0.01", "0.097", "621,762"]
    assert len(lines) == 3


def test_a_very_large_loss_is_short():
    found = history(1)
    found.loss, found.val_loss = [99999.25], [3084183473098940866430567972864.0]
    assert "loss 99999.2500 " in repr(found)
    assert str(found).split()[-8:][1::2][:2] == ["99999.2500", "3.084e+30"]
    found.loss = [float("nan")]
    assert "loss nan " in repr(found)


def test_a_long_table_is_cut_in_the_middle():
    assert [line.split()[0] for line in str(history(100)).splitlines()] == [
        "epoch", *map(str, range(1, 11)), "…", *map(str, range(91, 101)),
    ]  # fmt: skip
    assert len(str(history(21)).splitlines()) == 22


def test_a_notebook_shows_the_same_table():
    page = history()._repr_html_()
    assert page.count("<tr>") == 4
    assert '<td style="text-align: right">621,762</td></tr>' in page


def test_plot_draws_the_curves():
    figure = history().plot()
    assert isinstance(figure, matplotlib.figure.Figure)
    loss = figure.axes[0]
    assert loss.get_title() == "loss"
    assert [list(line.get_ydata()) for line in loss.lines] == [history().loss, history().val_loss]
    with pytest.raises(ValueError, match="train first"):
        fd.History().plot()
