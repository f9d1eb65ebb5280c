"""The page in a real browser: it computes as Python does, prepares as MNIST's makers did, and works for people."""

import contextlib
import http.server
import json
import math
import re
import threading

import numpy as np
import pytest
from drawn_digits import DIGITS, placed
from sampled import sampled

import fastdigits as fd
from fastdigits.export import html
from fastdigits.imaging.reading import NOT_A_DIGIT
from fastdigits.nn import assembly

pytestmark = [pytest.mark.needs("selenium", "chromium", "chromedriver"), pytest.mark.exhaustive]

SEEN = 300  # test images that go through the page's network

# Both sides work in float32 with sums that differ in their order alone. A logit is the end of sums of 784, 64 and 32
# numbers of about 1: their rounding, 6e-8 · √784 each at most, moves it by less than 1e-5, a probability by a quarter.
TOLERANCE = 1e-5


def digits_network():
    return fd.load_pretrained()


def mnist(n):
    """The first test images."""
    return fd.load_mnist()[1][0][:n]


def trained_a_little(layers, side, classes):
    """A network after some steps on noise, so that statistics and biases are not what they begin with."""
    rng = np.random.default_rng(5)
    net = fd.NeuralNetwork(layers, seed=3)
    net.scale = "pixels"  # also if it standardises: the statistics are those of pixels / 255
    x, y = rng.integers(0, 256, (200, side, side), dtype=np.uint8), rng.integers(0, classes, 200)
    if assembly.ends_in_softmax(net.layers):
        net.forward(x, training=True)
    else:
        net.fit(x, y, epochs=2, batch_size=50)
    return net


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "draw.html"
    fd.export_html(digits_network(), path)
    return path


@pytest.fixture
def at(browser, page):
    """The browser with the page of the digits just opened, in a window of usual size, with all logs read."""
    resize(browser, 1180, 800)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.get(page.as_uri())
    yield browser
    errors = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert errors == []


def resize(driver, width, height):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def call(driver, name, images, *arguments):
    """What a function of the page returns for each image."""
    pixels = [image.ravel().tolist() for image in images]
    script = (
        "const [name, images, rest] = arguments;"
        "return images.map((image) => [...fastdigits[name](Uint8Array.from(image), ...rest)]);"
    )
    return np.array(driver.execute_script(script, name, pixels, arguments), dtype=np.float64)


def settle(driver):
    """Wait until what was asked for is on the screen."""
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))")


def text(driver, name):
    settle(driver)
    return driver.find_element("id", name).text


def spoken(driver):
    return driver.find_element("id", "spoken").get_attribute("textContent")


def seen(driver):
    return np.array(driver.execute_script("return [...fastdigits.pixels()]"), dtype=np.uint8).reshape(28, 28)


def press(driver, *keys, held=None):
    from selenium.webdriver import ActionChains

    actions = ActionChains(driver, duration=0)
    if held:
        actions.key_down(held)
    actions.send_keys(*keys)
    if held:
        actions.key_up(held)
    actions.perform()
    settle(driver)


def stroke(driver, points, kind="mouse", **properties):
    """Draw with a pointer; points are in hundredths of the pad."""
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    pad = driver.find_element("id", "pad")
    size = pad.size  # asked for once: each question is a message to the browser
    pointer = PointerInput(kind, f"{kind}1")
    actions = ActionBuilder(driver, mouse=pointer, duration=10)
    for i, (x, y) in enumerate(points):
        place = {
            "x": int((x / 100 - 0.5) * size["width"]),
            "y": int((y / 100 - 0.5) * size["height"]),
        }
        pointer.create_pointer_move(duration=10, origin=pad, **place, **(properties if i else {}))
        if i == 0:
            pointer.create_pointer_down(button=0, **properties)
    pointer.create_pointer_up(button=0)
    actions.perform()
    settle(driver)


SEVEN = [(28, 22), (50, 21), (72, 20), (62, 40), (52, 62), (46, 84)]


# -- it computes as Python does ----------------------------------------------------------------------------


def test_the_page_gives_the_probabilities_of_python(at):
    images = mnist(SEEN)
    found, expected = call(at, "probabilities", images), digits_network().predict_proba(images)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    assert np.array_equal(found.argmax(axis=1), expected.argmax(axis=1))


NETWORKS = {
    "every layer, 47 classes of 16 x 16": lambda: trained_a_little(
        [
            fd.Dense(256, 40),
            fd.Dropout(0.2),
            fd.BatchNorm(40),
            fd.LeakyReLU(0.1),
            fd.BatchNorm(40),
            fd.Dense(40, 30),
            fd.ReLU(),
            fd.Dense(30, 20),
            fd.BatchNorm(20),
            fd.ReLU(),
            fd.Dense(20, 47),
        ],
        16,
        47,
    ),
    "normalised pixels, no hidden layer, two classes": lambda: trained_a_little(
        [fd.BatchNorm(9), fd.Dense(9, 2)], 3, 2
    ),
    "moments of images, and scaled ones": lambda: trained_a_little(
        [fd.MomentNorm(12, 12), fd.Dense(144, 8), fd.BatchNorm(8), fd.ReLU(), fd.Dense(8, 3)], 12, 3
    ),
    "standardised pixels": lambda: trained_a_little(
        [
            fd.Standardize(9).adapt(np.random.default_rng(0).integers(0, 256, (9, 9), dtype=np.uint8) / 255),
            fd.Dense(9, 2),
        ],
        3,
        2,
    ),
    "softmax in the middle and at the end": lambda: trained_a_little(
        [fd.Dense(25, 12), fd.Softmax(), fd.Dense(12, 4), fd.Softmax()], 5, 4
    ),
    "softmax before dropout": lambda: trained_a_little(
        [fd.Dense(25, 4), fd.Softmax(), fd.Dropout(0.5)], 5, 4
    ),
    "no dense layer": lambda: trained_a_little([fd.BatchNorm(36), fd.ReLU()], 6, 36),
}


@pytest.mark.parametrize(
    "name",
    sampled(NETWORKS, lambda name: name[:11] in ("every layer", "moments of ", "softmax in ", "standardise")),
)
def test_networks_of_any_shape_give_the_probabilities_of_python(browser, tmp_path, name):
    net = NETWORKS[name]()
    fd.export_html(net, tmp_path / "a.html")
    browser.get((tmp_path / "a.html").as_uri())
    images = np.random.default_rng(1).integers(0, 256, (50, net.input_width), dtype=np.uint8)
    found = call(browser, "probabilities", images)
    np.testing.assert_allclose(found, net.predict_proba(images), rtol=0, atol=TOLERANCE)
    stroke(browser, SEVEN)
    assert text(browser, "digit") in {str(number) for number in range(found.shape[1])}
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_activations_and_pixel_weights_are_those_of_the_layers(at):
    net, images = digits_network().folded(), mnist(5)
    dense = [layer for layer in net.layers if isinstance(layer, fd.Dense)]
    w1, w2, w3 = (layer.weight.value.astype(np.float64) for layer in dense)
    hidden = [net.layers[:2], net.layers[:4]]
    x = images.reshape(5, -1)
    y1, y2 = (apply(layers, x) for layers in hidden)
    np.testing.assert_allclose(call(at, "activations", images, 0), y1, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(call(at, "activations", images, 1), y2, rtol=1e-4, atol=1e-5)
    alight1, alight2 = y1 > 0, y2 > 0
    for neuron in (0, 7, 9):
        first, second, third = (call(at, "pixelWeights", images, layer, neuron) for layer in range(3))
        for i in range(5):
            through = w1 * alight1[i] @ w2
            np.testing.assert_allclose(first[i], w1[:, neuron], rtol=0, atol=1e-6)
            np.testing.assert_allclose(second[i], through[:, neuron], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(third[i], through * alight2[i] @ w3[:, neuron], rtol=1e-4, atol=1e-5)


def apply(layers, x):
    for layer in layers:
        x = layer.forward(x)
    return x


def test_an_image_of_another_size_is_refused(at):
    from selenium.common.exceptions import JavascriptException

    with pytest.raises(JavascriptException, match="pixels must be 784 bytes, row by row; got 783"):
        at.execute_script("fastdigits.probabilities(new Uint8Array(783))")


# -- it prepares as MNIST's makers did ---------------------------------------------------------------------


def prepared(driver, ink):
    size = len(ink)
    found = driver.execute_script(
        "return [...fastdigits.prepare(Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0)), arguments[1])]",
        html._base64(ink.astype(np.uint8)),
        size,
    )
    return np.array(found).reshape(28, 28)


def test_enlarged_digits_of_mnist_come_back_as_they_were(at):
    """Wherever on the pad: their box is 20 pixels long already, and their centre of mass where MNIST has it."""
    for image in sharp_digits(20):
        top, left, bottom, right = box(image > 0)
        digit = np.kron(image[top:bottom, left:right], np.ones((7, 7), np.uint8))
        ink = np.zeros((200, 200), np.uint8)
        ink[3 : 3 + digit.shape[0], 40 : 40 + digit.shape[1]] = digit
        assert np.array_equal(prepared(at, ink), image)


def sharp_digits(count):
    """Digits whose box has no faint side, which belongs to the box in MNIST but not on the pad."""
    digits = [image for image in mnist(3000) if box(image > 0) == box(image >= 64)]
    assert len(digits) > count
    return digits[:count]


def box(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


def test_proportions_are_kept_and_the_rest_is_margin(at):
    ink = np.zeros((280, 280), np.uint8)
    ink[10:250, 100:160] = 255  # 240 high, 60 wide
    found = prepared(at, ink)
    assert box(found > 0) == (
        4,
        12,
        24,
        17,
    )  # 20 high, 5 wide; its middle lies in the pixel that begins at 14
    assert (found[4:24, 12:17] == 255).all()


def test_a_rim_between_two_pixels_is_grey(at):
    ink = np.zeros((280, 280), np.uint8)
    ink[40:240, 40:240] = 255
    ink[40:240, 85:240] = (
        0  # ends in the middle of a pixel of the fitted box, which the line below keeps 20 wide
    )
    ink[230:240, 40:240] = 255
    assert {0, 255} < set(np.unique(prepared(at, ink))) == {0, 128, 255}


def test_a_digit_with_its_mass_at_one_end_stays_inside(at):
    ink = np.zeros((280, 280), np.uint8)
    ink[40:240, 139:141] = 255
    ink[200:240, 40:240] = 255
    found = prepared(at, ink)
    assert box(found > 0)[2] - box(found > 0)[0] == 20
    assert found.sum() == pytest.approx(
        ink.sum() / 100, rel=0.02
    )  # a hundredth of the area, nothing cut away


def test_no_ink_and_faint_ink_are_an_empty_image(at):
    assert not prepared(at, np.zeros((100, 100))).any()
    assert not prepared(at, np.full((100, 100), 20)).any()


# -- it works for people -----------------------------------------------------------------------------------


def test_before_anything_is_drawn_there_is_no_answer(at):
    assert text(at, "digit") == "–"
    assert text(at, "sure") == "nothing drawn yet"


@pytest.mark.parametrize("kind", ["mouse", "pen", "touch"])
def test_a_digit_that_is_drawn_is_read(at, kind):
    stroke(at, SEVEN, kind)
    assert text(at, "digit") == "7"
    probability = digits_network().predict_proba(seen(at)[np.newaxis])[0, 7]
    assert probability > 0.5
    bar = at.find_elements("css selector", "#bars li")[7]
    assert bar.text.split("\n") == ["7", f"{100 * probability:.1f} %"]
    assert spoken(at).startswith("7, ")


STROKES = """
const [pen, strokes] = arguments, pad = document.getElementById("pad"), box = pad.getBoundingClientRect();
const send = (kind, [x, y]) => pad.dispatchEvent(new PointerEvent(kind, {pointerId: 7, isPrimary: true, button: 0,
  clientX: box.left + x * box.width / 100, clientY: box.top + y * box.height / 100}));
pad.setPointerCapture = () => {}; // there is no pointer to capture
document.getElementById("pen").value = pen;
document.getElementById("pen").dispatchEvent(new Event("input"));
for (const stroke of strokes) {
  stroke.forEach((place, i) => send(i ? "pointermove" : "pointerdown", place));
  send("pointerup", stroke.at(-1));
}
return document.getElementById("digit").textContent;
"""
# A canvas is read through a copy: reading it directly makes the browser warn and change how it draws.
PIXELS = """
const pixels = (canvas) => {
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  return context.getImageData(0, 0, copy.width, copy.height).data;
};
"""
CLEAR = 'document.getElementById("clear").click();'


@pytest.mark.parametrize(
    ("share", "shift", "pen"),
    sampled(
        [(*place, pen) for place in [(1.0, 0), (0.5, 22), (0.5, -22), (0.2, 0)] for pen in (4, 6, 10)],
        lambda *case: case in [(1.0, 0, 10), (0.5, 22, 4), (0.2, 0, 6)],
    ),
)
def test_digits_thin_and_thick_small_and_off_centre_are_read(at, pen, share, shift):
    read = {}
    for digit, strokes in DIGITS.items():
        read[digit] = at.execute_script(CLEAR + STROKES, pen, placed(strokes, share, shift, shift))
    assert read == {digit: digit for digit in DIGITS}


def test_the_answer_comes_while_one_draws(at):
    at.execute_script(
        "for (const [kind, x, y] of [['pointerdown', 100, 60], ['pointermove', 101, 260]]) {"
        "  const pad = document.getElementById('pad'), box = pad.getBoundingClientRect();"
        "  pad.setPointerCapture = () => {};"  # there is no pointer to capture
        "  pad.dispatchEvent(new PointerEvent(kind, {pointerId: 7, isPrimary: true, button: 0,"
        "    clientX: box.left + x, clientY: box.top + y}));"
        "}"
    )
    assert text(at, "digit") == "1"
    assert spoken(at) == ""  # that waits for the end of the stroke


def test_pressure_of_a_pen_widens_its_line(at):
    """Seen through proportions: a line of fixed length is fitted to 20 pixels, and is as thick as it is thick."""
    ink = {}
    for pressure in (0.1, 0.9):
        at.refresh()
        stroke(at, [(50, 20), (50, 50), (50, 80)], "pen", pressure=pressure)
        ink[pressure] = seen(at).sum()
    assert ink[0.9] > 1.4 * ink[0.1]


def test_the_pen_has_a_width(at):
    from selenium.webdriver.common.keys import Keys

    stroke(at, [(50, 20), (50, 80)])
    before = seen(at).sum()
    at.find_element("id", "pen").send_keys(Keys.END)
    press(at, Keys.DELETE)
    stroke(at, [(50, 20), (50, 80)])
    assert seen(at).sum() > 1.5 * before


def test_a_second_finger_and_the_other_button_do_not_draw(at):
    at.execute_script(
        "const pad = document.getElementById('pad'), box = pad.getBoundingClientRect();"
        "pad.setPointerCapture = () => {};"  # there is no pointer to capture
        "for (const rest of [{isPrimary: false}, {button: 2}])"
        "  pad.dispatchEvent(new PointerEvent('pointerdown', {pointerId: 7, isPrimary: true, button: 0,"
        "    clientX: box.left + 50, clientY: box.top + 50, ...rest}));"
    )
    assert text(at, "digit") == "–"


def test_undo_takes_back_one_step_and_clear_all(at):
    stroke(at, [(50, 20), (50, 80)])
    one = seen(at)
    stroke(at, [(20, 50), (80, 50)])
    two = seen(at)
    undo, clear = (at.find_element("id", name) for name in ("undo", "clear"))
    undo.click()
    assert np.array_equal(seen(at), one)
    undo.click()
    undo.click()  # nothing is left, and nothing breaks
    assert text(at, "digit") == "–"
    stroke(at, [(50, 20), (50, 80)])
    stroke(at, [(20, 50), (80, 50)])
    clear.click()
    assert text(at, "digit") == "–"
    assert not seen(at).any()
    assert spoken(at) == "the pad is empty"
    undo.click()  # a clear by mistake can be taken back, too
    assert np.array_equal(seen(at), two)


def test_redo_brings_back_what_undo_took_until_something_is_drawn(at):
    from selenium.webdriver.common.keys import Keys

    stroke(at, [(50, 20), (50, 80)])
    one = seen(at)
    stroke(at, [(20, 50), (80, 50)])
    two = seen(at)
    undo, redo = (at.find_element("id", name) for name in ("undo", "redo"))
    redo.click()  # nothing was undone
    assert np.array_equal(seen(at), two)
    undo.click()
    undo.click()
    press(at, "y", held=Keys.CONTROL)
    assert np.array_equal(seen(at), one)
    press(at, "Z", held=Keys.CONTROL)  # with Shift
    assert np.array_equal(seen(at), two)
    undo.click()
    stroke(at, [(30, 60), (60, 60)])
    three = seen(at)
    redo.click()
    assert np.array_equal(seen(at), three)


def test_a_small_drawing_is_read_like_a_large_one(at):
    """At a fifth of the pad, the line on the pad is a third as wide as the digit; the network gets a thinner one."""
    for digit in "25":
        for line in placed(DIGITS[digit], 0.2):
            stroke(at, line)
        assert text(at, "digit") == digit
        at.find_element("id", "clear").click()


def test_several_digits_are_a_number_and_one_of_them_is_shown(at):
    draw_317(at)
    assert text(at, "digit") == "317"
    assert spoken(at).startswith("317, 3 digits, each at least ")
    buttons = at.find_elements("css selector", "#digits button")
    assert [button.text[0] for button in buttons] == [*"317"]
    assert pressed(buttons) == [False, False, True]  # the last one drawn
    widths = [frame.size["width"] for frame in at.find_elements("css selector", "#frames span")]
    assert widths[0] > widths[1] < widths[2]
    seven = seen(at)
    buttons[0].click()
    three = seen(at)
    assert pressed(buttons) == [True, False, False]
    assert not np.array_equal(three, seven)
    assert call(at, "probabilities", [three])[0].argmax() == 3
    assert at.find_element("css selector", "#bars .winner .label").text == "3"
    stroke(at, [(88, 90), (92, 90)])  # elsewhere, so that it is the last one
    assert pressed(at.find_elements("css selector", "#digits button")) == [False, False, False, True]
    for _ in range(3):
        at.find_element("id", "undo").click()
    assert text(at, "digit") == "3"
    assert at.find_elements("css selector", "#digits button, #frames span") == []


def test_frames_keep_their_share_of_the_pad_on_a_phone(at):
    def shares():
        settle(at)
        pad = at.find_element("id", "pad").size["width"]
        return [frame.size["width"] / pad for frame in at.find_elements("css selector", "#frames span")]

    draw_317(at)
    large = shares()
    resize(at, 360, 640)
    assert shares() == pytest.approx(large, abs=0.02)  # their borders have 2 pixels on any pad


def draw_317(driver):
    for digit, right in zip("317", (-32, 0, 30), strict=True):
        driver.execute_script(STROKES, 6, placed(DIGITS[digit], 0.4, right))


def pressed(buttons):
    return [button.get_attribute("aria-pressed") == "true" for button in buttons]


def test_what_is_not_a_digit_is_said(at, tmp_path):
    stroke(at, [(15, 25), (30, 80), (50, 35), (70, 80), (85, 25)])  # a W
    assert text(at, "digit") == "?"
    assert text(at, "sure").startswith(f"{NOT_A_DIGIT}, ")
    assert re.match(r"not a digit, .*% sure, or \d, ", spoken(at))
    names = [*"0123456", NOT_A_DIGIT, *"89A"]
    fd.export_html(digits_network(), tmp_path / "a.html", labels=names)
    at.get((tmp_path / "a.html").as_uri())
    stroke(at, SEVEN)
    assert text(at, "digit") == "?"
    assert at.find_element("css selector", "#bars .winner").text.startswith(NOT_A_DIGIT)


def test_a_doubtful_answer_is_said_by_a_network_without_a_class_for_it(at, tmp_path):
    fd.export_html(fd.NeuralNetwork([fd.Dense(784, 10)], seed=0), tmp_path / "a.html")
    at.get((tmp_path / "a.html").as_uri())
    stroke(at, SEVEN)
    assert re.fullmatch(r"only \d\d\.\d % sure", text(at, "sure"))
    assert at.find_element("css selector", "#digit .doubtful").text == text(at, "digit")


def test_an_empty_pad_lights_nothing(at):
    def colours():
        return at.execute_script(
            PIXELS + "return ['#seen', ...Array(3).keys()].map((place) => {"
            "  const canvas = place === '#seen' ? document.querySelector(place)"
            "    : document.querySelectorAll('#layers canvas')[place];"
            "  return new Set(new Uint32Array(pixels(canvas).buffer)).size; })"
        )

    press(at)
    empty = colours()
    assert empty[0] == 1
    assert empty[2] == 2  # cells, and the gaps between them
    assert text(at, "activation") == ""
    stroke(at, SEVEN)
    assert colours()[2] > 10
    assert text(at, "activation").startswith("Activation ")
    at.find_element("id", "clear").click()
    assert colours() == empty


def test_examples_are_shown_in_turn_as_they_are(at):
    _, (images, labels) = fd.load_mnist()
    button = at.find_element("id", "example")
    for digit in [*range(10), 0]:
        button.click()
        image = images[labels == digit][0]
        assert np.array_equal(seen(at), image)
        assert text(at, "digit") == str(digits_network().predict(image[np.newaxis])[0])
    stroke(at, [(10, 95), (90, 95)])  # drawing goes on upon an example
    assert not np.array_equal(seen(at), images[labels == 0][0])
    at.find_element("id", "undo").click()
    assert np.array_equal(seen(at), images[labels == 0][0])


def test_everything_is_reached_with_tab_in_order_and_shows_its_focus(at):
    from selenium.webdriver.common.keys import Keys

    found = []
    for _ in range(9):
        press(at, Keys.TAB)
        active = at.switch_to.active_element
        found.append(active.get_attribute("id") or active.get_attribute("aria-label"))
        assert active.value_of_css_property("outline-style") == "solid"
    assert found == [
        "pad", "undo", "redo", "clear", "example", "pen", "Hidden layer 1", "Hidden layer 2", "Output layer",
    ]  # fmt: skip


def test_a_digit_is_drawn_with_keys_alone(at):
    from selenium.webdriver.common.keys import Keys

    press(at, Keys.TAB)
    assert at.find_element("id", "cursor").is_displayed()
    press(at, *[Keys.ARROW_UP] * 8)
    assert text(at, "digit") == "–"  # the pen is up
    press(at, Keys.SPACE)
    assert spoken(at) == "pen down"
    press(at, *[Keys.ARROW_DOWN] * 17)
    press(at, Keys.SPACE)
    assert text(at, "digit") == "1"
    assert re.match(r"pen up, 1, .*sure, then ", spoken(at))
    top, left, bottom, right = box(seen(at) > 0)
    assert bottom - top == 20
    assert right - left < 5
    press(at, Keys.DELETE)
    assert text(at, "digit") == "–"
    press(at, "z", held=Keys.CONTROL)
    assert text(at, "digit") == "1"
    press(at, "z", held=Keys.CONTROL)
    assert text(at, "digit") == "–"


def test_two_arrow_keys_at_once_draw_aslant_and_shift_in_small_steps(at):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    press(at, Keys.TAB, Keys.ENTER)
    actions = ActionChains(at, duration=0).key_down(Keys.ARROW_RIGHT)
    for _ in range(8):
        actions.send_keys(Keys.ARROW_DOWN)
    actions.key_up(Keys.ARROW_RIGHT).perform()
    top, left, bottom, right = box(seen(at) > 0)
    assert min(bottom - top, right - left) > 14
    place = cursor(at)
    press(at, Keys.ARROW_RIGHT)
    whole = cursor(at) - place
    press(at, Keys.ARROW_RIGHT, held=Keys.SHIFT)
    assert cursor(at) - place == pytest.approx(1.25 * whole, rel=0.01)


def cursor(driver):
    return float(driver.execute_script("return parseFloat(document.getElementById('cursor').style.left)"))


def test_leaving_the_pad_lifts_the_pen(at):
    from selenium.webdriver.common.keys import Keys

    press(at, Keys.TAB, Keys.SPACE, Keys.ARROW_DOWN, Keys.TAB)
    assert spoken(at).startswith("pen up")
    before = seen(at)
    press(at, Keys.TAB, held=Keys.SHIFT)
    press(at, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert np.array_equal(seen(at), before)


def test_the_neuron_under_the_pointer_or_the_keys_shows_its_weights(at):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    stroke(at, SEVEN)
    grids = at.find_elements("css selector", "#layers canvas")
    sizes = [layer.weight.value.shape[1] for layer in digits_network().layers if isinstance(layer, fd.Dense)]
    assert [grid.get_attribute("aria-valuemax") for grid in grids] == [str(size) for size in sizes]
    columns = math.ceil(math.sqrt(2 * sizes[0]))  # of a layer of more than 128 neurons
    middle = math.ceil(sizes[0] / columns) // 2 * columns + columns // 2  # right below the middle
    pictures = {picture(at)}
    ActionChains(at, duration=0).move_to_element_with_offset(grids[0], 5, 5).perform()
    assert text(at, "neuron") == f"Hidden layer 1, neuron {middle + 1}"
    assert "Its weights" in text(at, "meaning")
    pictures.add(picture(at))
    ActionChains(at, duration=0).move_to_element(grids[1]).perform()
    assert "through the neurons active now" in text(at, "meaning")
    pictures.add(picture(at))
    at.find_element("id", "pen").click()
    press(at, Keys.TAB, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert text(at, "neuron") == f"Hidden layer 1, neuron {columns + 2}"
    said = grids[0].get_attribute("aria-valuetext")
    assert re.fullmatch(rf"Hidden layer 1, neuron {columns + 2}: \d+\.\d\d", said)
    assert text(at, "activation") == f"Activation {said.split(': ')[1]}."
    press(at, Keys.HOME, Keys.ARROW_LEFT)  # there is nothing beyond the first
    assert text(at, "neuron") == "Hidden layer 1, neuron 1"
    press(at, Keys.END)
    assert text(at, "neuron") == f"Hidden layer 1, neuron {sizes[0]}"
    ActionChains(at, duration=0).move_to_element_with_offset(grids[2], 5, 0).click().perform()
    assert text(at, "neuron") == "Output layer, class 5, kept"
    pictures.add(picture(at))
    assert len(pictures) == 4


def picture(driver):
    settle(driver)
    return driver.execute_script("return document.getElementById('weights').toDataURL()")


def test_the_layers_light_up_as_one_draws(at):
    before = at.execute_script("return document.querySelector('#layers canvas').toDataURL()")
    stroke(at, SEVEN)
    assert at.execute_script("return document.querySelector('#layers canvas').toDataURL()") != before


@pytest.mark.parametrize(
    ("size", "last"),
    sampled(
        [((360, 640), ".answer"), ((390, 844), ".answer"), ((1024, 600), ".answer"), ((320, 568), "#second")],
        lambda size, last: size in [(360, 640), (1024, 600)],
    ),
)
def test_pad_and_answer_need_no_scrolling(at, size, last):
    resize(at, *size)
    draw_317(at)
    assert text(at, "digit") == "317"  # which needs more room than one digit
    places = at.execute_script(
        "return ['.paper', arguments[0]].map((name) => {"
        "  const {left, top, right, bottom} = document.querySelector(name).getBoundingClientRect();"
        "  return [left, top, right, bottom]; })",
        last,
    )
    for left, top, right, bottom in places:
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
    assert at.execute_script("return document.documentElement.scrollWidth") <= size[0]
    for button in at.find_elements("tag name", "button"):
        assert button.size["height"] >= 44


def test_a_projector_is_used(at):
    resize(at, 1920, 1080)
    stroke(at, SEVEN)
    places = [at.find_element("css selector", name).rect for name in (".draw", ".answer", ".inside")]
    assert [place["y"] for place in places] == [places[0]["y"]] * 3  # side by side
    assert places[-1]["x"] + places[-1]["width"] > 1880
    assert at.find_element("id", "pad").size["width"] > 600
    for name, pixels in (("#digit", 100), ("#sure", 20), (".note", 16)):
        size = at.find_element("css selector", name).value_of_css_property("font-size")
        assert float(size.removesuffix("px")) >= pixels


def test_a_drawing_finger_does_not_scroll_the_page(at):
    resize(at, 360, 640)
    stroke(at, [(50, 90), (50, 50), (50, 10)], "touch")
    assert at.execute_script("return scrollY") == 0
    assert text(at, "digit") == "1"


def brightness(driver, name, kind):
    colour = driver.find_element("css selector", name).value_of_css_property(kind)
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_light_and_dark_follow_the_system_at_any_time(at):
    def scheme(name):
        features = [{"name": "prefers-color-scheme", "value": name}]
        at.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        settle(at)
        ink = at.execute_script(
            PIXELS
            + "const pad = document.getElementById('pad'), place = 4 * (pad.width + 1) * pad.width / 2;"
            "return [...pixels(pad).slice(place, place + 4)]"
        )
        return brightness(at, "body", "background-color"), brightness(at, "body", "color"), ink[0]

    scheme("light")
    stroke(at, [(50, 20), (50, 80)])
    light, before = scheme("light"), seen(at)
    dark = scheme("dark")
    assert light[0] > 200 > 60 > light[1]
    assert dark[0] < 60 < 200 < dark[1]
    assert light[2] < 60 < 200 < dark[2]  # what is drawn changes its colour, too
    assert np.array_equal(seen(at), before)


def test_bars_do_not_move_where_the_system_asks_for_less_motion(at):
    script = "return getComputedStyle(document.querySelector('.bar'), '::before').transitionDuration"
    assert at.execute_script(script) == "0.12s"
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    at.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    assert at.execute_script(script) == "0s"


def test_names_of_classes_are_shown_as_they_are(browser, tmp_path):
    names = ["</script><b>a</b>", "T-shirt & top", "ß"]
    fd.export_html(fd.NeuralNetwork([fd.Dense(16, 3)]), tmp_path / "a.html", labels=names)
    browser.get((tmp_path / "a.html").as_uri())
    assert [part.text for part in browser.find_elements("css selector", ".label")] == names
    assert not browser.find_element("id", "example").is_displayed()


# -- it talks to nobody ------------------------------------------------------------------------------------


def test_drawing_makes_no_request(at, page):
    at.get_log("performance")
    at.refresh()
    stroke(at, SEVEN)
    at.find_element("id", "example").click()
    at.find_element("id", "clear").click()
    messages = [json.loads(entry["message"])["message"] for entry in at.get_log("performance")]
    requests = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    assert {url for url in requests if not url.startswith("data:")} == {page.as_uri()}


@contextlib.contextmanager
def local_server():
    """A server that counts its visitors."""
    visits = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            visits.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", visits
        finally:
            server.shutdown()
            thread.join()


ATTEMPTS = """
const [address, done] = arguments;
const image = new Image();
image.src = address + "/image";
const script = document.createElement("script");
script.src = address + "/script";
document.body.append(script);
fetch(address + "/fetch").then(() => "went through", () => "refused").then((said) => setTimeout(done, 200, said));
"""


def test_the_policy_keeps_the_page_from_any_request(browser, page, tmp_path):
    with local_server() as (address, visits):
        (tmp_path / "open.html").write_text("<!DOCTYPE html><body>", encoding="utf-8")
        browser.get((tmp_path / "open.html").as_uri())
        assert browser.execute_async_script(ATTEMPTS, address) == "went through"
        assert sorted(visits) == [
            "/fetch",
            "/image",
            "/script",
        ]  # so that a page without a policy would be seen
        visits.clear()
        browser.get(page.as_uri())
        assert browser.execute_async_script(ATTEMPTS, address) == "refused"
        assert visits == []
    browser.get_log("browser")  # the refusals
