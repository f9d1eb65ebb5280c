"""scripts/accuracy/corruptions.py corrupts images, and measures networks on them."""

import json
import re
import sys

import numpy as np
import pytest
from documents import script
from toy_dataset import write_dataset

import fastdigits as fd
from fastdigits.recipes import Recipe

corruptions = script("accuracy/corruptions")


@pytest.fixture(scope="module")
def digits():
    return fd.load_mnist()[1][0][:8]


@pytest.mark.parametrize("kind", corruptions.KINDS)
def test_a_corruption_changes_every_image_and_depends_only_on_its_seed(digits, kind):
    before = digits.copy()
    changed = corruptions.corrupted(digits, kind)
    assert (changed.shape, changed.dtype) == (digits.shape, np.uint8)
    np.testing.assert_array_equal(digits, before)
    assert (changed != digits).any(axis=(1, 2)).all()
    np.testing.assert_array_equal(changed, corruptions.corrupted(digits, kind))
    others = corruptions.corrupted(digits, kind, seed=1)
    assert (others != changed).any() == (kind not in ("thickened", "thinned", "blurred", "pale"))


def bar():
    """Return an image with an upright bar of 4 columns in the middle."""
    image = np.zeros((1, 28, 28), np.uint8)
    image[:, 4:24, 12:16] = 255
    return image


def moments(image):
    """Return the middle of the mass, as (x, y) from that of the image, and its covariance."""
    places = np.argwhere(image > 0)[:, ::-1] - 13.5
    weights = image[image > 0].astype(float)
    return np.average(places, axis=0, weights=weights), np.cov(places.T, aweights=weights)


def test_the_strengths_are_as_stated():
    def of(kind):
        return corruptions.corrupted(bar(), kind)[0].astype(float)

    ink = bar().sum() / 255
    middle, spread = moments(bar()[0])
    assert np.hypot(*moments(of("shifted"))[0]) == pytest.approx(4, abs=0.05)
    for kind in ("turned", "sheared", "scaled"):
        assert moments(of(kind))[0] == pytest.approx(middle, abs=0.15)
    x, y = np.linalg.eigh(moments(of("turned"))[1])[1][:, -1]
    assert np.degrees(np.arctan2(abs(x), abs(y))) == pytest.approx(30, abs=1)
    assert abs(moments(of("sheared"))[1][0, 1]) == pytest.approx(0.6 * spread[1, 1], rel=0.05)
    assert np.isclose(moments(of("scaled"))[1][1, 1] / spread[1, 1], [0.6**2, 1.4**2], rtol=0.05).any()
    row = 14  # across the bar
    assert of("thickened")[row].sum() / 255 == pytest.approx(6, abs=0.3)
    assert of("thinned")[row].sum() / 255 == pytest.approx(4 - 4 / 3, abs=0.3)
    assert (of("speckled") != bar()).mean() == pytest.approx(0.1, abs=0.03)  # half of 20 % keep their value
    assert set(np.unique(of("pale"))) == {80, 182}
    assert (of("spattered") == 255).mean() - ink / 784 == pytest.approx(0.09, abs=0.03)
    assert (of("striped") != bar()).sum() == 4 * 28


def test_images_of_other_numbers_are_refused(digits):
    with pytest.raises(TypeError, match="corrupted: images must be uint8; got float32"):
        corruptions.corrupted(digits / np.float32(255), "noisy")


@pytest.mark.parametrize(("words", "images"), [([], 60), (["--held-out"], 40)])
def test_the_command_prints_a_row_per_corruption(tmp_path, monkeypatch, capsys, words, images):
    write_dataset(tmp_path / "data")
    Recipe(name="tiny", hidden=(4,), epochs=2).save(tmp_path / "tiny.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(corruptions, "HELD_OUT", 40)
    for networks in ("tiny.json", "kept/tiny-1.safetensors"):
        options = ["--data", "data", "--seeds", "0,1", "--results", "kept", *words]
        monkeypatch.setattr(sys, "argv", ["corruptions.py", networks, *options])
        corruptions.main()
        printed = capsys.readouterr()
        rows = re.findall(r"^\| (.+?) \| ([\d.]+) % \|$", printed.out, re.MULTILINE)
        assert [name for name, _ in rows] == [*corruptions.KINDS, "**none**", "**mean over the corruptions**"]
        assert float(rows[-1][1]) == pytest.approx(np.mean([float(x) for _, x in rows[:-2]]), abs=0.11)
        assert (", fastdigits " in printed.out) == (networks == "tiny.json")
    assert len(json.loads((tmp_path / "kept/tiny-0.json").read_text("utf-8"))["predicted"]) == images


def test_the_picture_needs_no_training(tmp_path, monkeypatch):
    monkeypatch.setattr(fd.NeuralNetwork, "fit", None)
    monkeypatch.setattr(sys, "argv", ["corruptions.py", "--picture", str(tmp_path / "kinds.png")])
    corruptions.main()
    assert (tmp_path / "kinds.png").read_bytes().startswith(b"\x89PNG")
