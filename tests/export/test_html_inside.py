"""The page in a real browser: lines between layers, changes by hand, and the training panel."""

import re

import numpy as np
import pytest

import fastdigits as fd

pytestmark = [pytest.mark.needs("selenium", "chromium", "chromedriver"), pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "draw.html"
    fd.export_html(fd.load_pretrained(), path)
    return path


@pytest.fixture
def page(browser, file):
    """The page with the first example, a 0, on the pad; no request, error or warning comes of what a test does."""
    browser.get(file.as_uri())
    browser.get_log("performance")
    browser.find_element("id", "example").click()
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert not any("requestWillBeSent" in entry["message"] for entry in browser.get_log("performance"))


def example():
    _, (images, labels) = fd.load_mnist()
    return images[labels == 0][0]


def network_of_dense_layers():
    net = fd.load_pretrained().folded()
    return net, [layer for layer in net.layers if isinstance(layer, fd.Dense)]


def press(driver, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(driver, duration=0).send_keys(*keys).perform()


def click(driver, name):
    driver.execute_script("document.getElementById(arguments[0]).click()", name)


def text(driver, name):
    settle(driver)
    return driver.find_element("id", name).get_attribute("textContent")


def settle(driver):
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))")


def probabilities(driver):
    pixels = example().ravel().tolist()
    found = driver.execute_script(
        "return [...fastdigits.probabilities(Uint8Array.from(arguments[0]))]", pixels
    )
    return np.array(found)


def lines(driver, layer, neuron=None):
    """The strongest lines into a dense layer: rows of from, to, strength."""
    script = (
        "const [pixels, layer, neuron] = arguments;"
        "return fastdigits.lines(Uint8Array.from(pixels), layer, 20, neuron)"
        "  .map(({ from, to, strength }) => [from, to, strength]);"
    )
    return np.array(driver.execute_script(script, example().ravel().tolist(), layer, neuron))


def strongest(strengths, count=20):
    order = np.argsort(-np.abs(strengths), axis=None, kind="stable")[:count]
    return np.abs(strengths).ravel()[order]


# Strengths are products of float32 numbers around 1, with sums of 784 and 256 of them: see test_html_in_a_browser.
def test_the_strongest_lines_are_weight_times_activation_and_traced_ones_add_up_to_the_sum(page):
    _, dense = network_of_dense_layers()
    weights = [layer.weight.value.astype(np.float64) for layer in dense]
    x = [example().reshape(1, -1) / 255]
    for weight, layer in zip(weights[:-1], dense[:-1], strict=True):
        x.append(np.maximum(x[-1] @ weight + layer.bias.value, 0))
    effects = [None, None, None]
    effects[2] = np.eye(11)[7]
    for i in (1, 0):
        effects[i] = (weights[i + 1] @ effects[i + 1]) * (x[i + 1][0] > 0)
    for i in range(3):
        found = lines(page, i)
        np.testing.assert_allclose(np.abs(found[:, 2]), strongest(x[i].T * weights[i]), atol=1e-5)
        found = lines(page, i, 7)
        np.testing.assert_allclose(
            np.abs(found[:, 2]), strongest(x[i].T * weights[i] * effects[i]), atol=1e-5
        )


def test_a_neuron_that_is_switched_off_is_missing_until_all_is_taken_back(page):
    from selenium.webdriver.common.keys import Keys

    before = probabilities(page)
    neuron = int(lines(page, 2, 0)[0, 0])  # the neuron of the strongest line to the class 0
    grid = page.find_elements("css selector", "#layers canvas")[1]
    page.execute_script("arguments[0].focus()", grid)
    press(page, Keys.HOME, *[Keys.ARROW_RIGHT] * neuron, Keys.ENTER)
    assert text(page, "neuron") == f"Hidden layer 2, neuron {neuron + 1}, kept"
    click(page, "switch")
    assert text(page, "reset") == "Take back 1 change"
    net, dense = network_of_dense_layers()
    weight = dense[2].weight.value.copy()
    weight[neuron] = 0
    dense[2].weight.value = weight
    np.testing.assert_allclose(probabilities(page), net.predict_proba(example()[np.newaxis])[0], atol=1e-5)
    assert text(page, "switch").startswith("Switch on")
    click(page, "reset")
    assert np.array_equal(probabilities(page), before)
    assert text(page, "switch").startswith("Switch off")


def test_a_weight_is_changed_with_a_number_and_the_answer_follows(page):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    before = probabilities(page)
    page.execute_script("document.getElementById('line').focus()")
    options = Select(page.find_element("id", "line"))
    value = next(
        o.get_attribute("value") for o in options.options if o.get_attribute("value").startswith("2,")
    )
    options.select_by_value(value)
    _, start, end = map(int, value.split(","))
    field = page.find_element("id", "weight")
    field.click()
    press(page, *[Keys.END, *[Keys.BACKSPACE] * 8], "-2")  # keys edit the number, and do not clear the pad
    assert text(page, "digit") != "–"
    net, dense = network_of_dense_layers()
    weight = dense[2].weight.value.copy()
    weight[start, end] = -2
    dense[2].weight.value = weight
    np.testing.assert_allclose(probabilities(page), net.predict_proba(example()[np.newaxis])[0], atol=1e-5)
    click(page, "reset")
    assert np.array_equal(probabilities(page), before)


def test_a_long_line_is_cut_in_its_list_and_the_page_stays_as_wide_as_a_phone(page):
    metrics = {"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.execute_script("document.getElementById('line').focus()")
        page.execute_script(
            "const list = document.getElementById('line');"
            "list.selectedIndex = 1;"
            "list.dispatchEvent(new Event('change'))"
        )
        assert " × " in text(page, "line")
        assert page.execute_script("return document.documentElement.scrollWidth") == 360
        network = page.find_element("id", "start")
        width, needed = page.execute_script(
            "const list = arguments[0], free = list.cloneNode(true);"
            "document.body.append(free);"
            "return [list, free].map((one) => one.getBoundingClientRect().width)",
            network,
        )
        assert width >= needed
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_click_between_the_layers_selects_a_line(page):
    from selenium.webdriver import ActionChains

    grids = page.find_elements("css selector", "#layers canvas")
    before = text(page, "line")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", grids[2])
    ActionChains(page, duration=0).move_to_element(
        grids[2]
    ).perform()  # lines to one class, all of them below it
    # A line of layer 3 in the middle of the gap, found as a user does: along a row.
    for right in range(-150, 150, 6):
        ActionChains(page, duration=0).move_to_element(grids[2]).move_by_offset(right, -35).click().perform()
        if text(page, "line") != before:
            break
    assert page.find_element("id", "line").get_attribute("value").startswith("2,")


def train_until(driver, wanted):
    """Train until the text of the progress fits a pattern, for 20 seconds at most."""
    click(driver, "run")
    driver.set_script_timeout(20)
    driver.execute_async_script(
        "const [wanted, done] = arguments;"
        "const look = () => new RegExp(wanted).test(document.getElementById('progress').textContent)"
        "  ? done() : setTimeout(look, 50);"
        "look();",
        wanted,
    )
    click(driver, "run")
    assert text(driver, "run") == "Start"


def test_the_page_learns_and_reads_with_what_it_learned(page):
    assert text(page, "material") == "500 images of MNIST and 0 of yours"
    file_read = probabilities(page)
    train_until(page, "Epoch ([6-9]|..+):")
    found = re.search(r"(\d+\.\d)\s% right, held out (\d+\.\d)\s%", text(page, "progress"))
    assert float(found[1]) > 90
    assert 75 < float(found[2]) < float(found[1])
    assert page.find_element("id", "reader").is_displayed()
    read = probabilities(page)
    assert not np.allclose(read, file_read, atol=1e-6)
    assert read.argmax() == 0
    captions = [caption.text for caption in page.find_elements("css selector", "#layers figcaption")]
    assert captions == [
        "Hidden layer 1: 64 neurons",
        "Hidden layer 2: 32 neurons",
        "Output layer: 11 classes",
    ]
    click(page, "original")
    assert np.array_equal(probabilities(page), file_read)
    click(page, "restart")
    assert text(page, "progress") == "no step yet"


def test_each_optimizer_begins_with_a_rate_of_the_list(page):
    from selenium.webdriver.support.ui import Select

    optimizer = Select(page.find_element("id", "optimizer"))
    for option in optimizer.options:
        optimizer.select_by_visible_text(option.text)
        assert page.find_element("id", "rate").get_property("value"), option.text


def test_it_is_taught_a_drawing(page):
    """That the example, a 0, is a 7: it takes about five epochs."""
    page.find_elements("css selector", "#teach button")[7].click()
    assert re.fullmatch(r"7 ✓|7, read .+", text(page, "own"))
    assert text(page, "owned") == "1 of yours; a click removes one"
    train_until(page, r"Epoch (1[5-9]|[2-9]\d|\d{3}):")
    assert text(page, "own") == "7 ✓"
    assert probabilities(page).argmax() == 7
    page.find_element("css selector", "#own button").click()
    assert text(page, "owned") == "none of yours yet"


def test_steps_are_single_and_a_loss_that_is_not_finite_ends_the_training(page):
    from selenium.webdriver.support.ui import Select

    click(page, "step")
    assert text(page, "progress").startswith("step 1, loss 2.")
    click(page, "step")
    assert text(page, "progress").startswith("step 2, ")
    page.execute_script("document.getElementById('rate').append(new Option('1e30', '1e30'))")
    Select(page.find_element("id", "rate")).select_by_value("1e30")
    click(page, "run")
    page.execute_async_script(
        "const look = () => document.getElementById('told').textContent ? arguments[0]() : setTimeout(look, 50);"
        "look();"
    )
    assert text(page, "told") == "The loss is no longer finite: choose a lower learning rate, then reset."
    assert text(page, "run") == "Start"


def test_a_long_training_has_no_more_dots_than_a_chart_can_show(page):
    from selenium.webdriver.support.ui import Select

    Select(page.find_element("id", "batch")).select_by_value("8")
    train_until(page, r"step ([6-9]\d\d|\d{4,}),")
    page.execute_script(
        "const { prototype } = CanvasRenderingContext2D, { fillRect } = prototype;"
        "window.dots = 0;"
        "prototype.fillRect = function (...box) {"
        "  window.dots += this.canvas.id === 'loss';"
        "  fillRect.apply(this, box);"
        "};"
    )
    click(page, "step")
    settle(page)
    assert 250 < page.execute_script("return window.dots") <= 500


def test_names_and_numbers_of_a_chart_are_short_and_apart(page):
    from selenium.webdriver.support.ui import Select

    page.execute_script(
        "const { prototype } = CanvasRenderingContext2D, { fillText } = prototype;"
        "window.texts = [];"
        "prototype.fillText = function (...place) {"
        "  if (this.canvas.id === 'loss') window.texts.push(place);"
        "  fillText.apply(this, place);"
        "};"
    )
    page.execute_script("document.getElementById('rate').append(new Option('30', '30'))")
    Select(page.find_element("id", "rate")).select_by_value("30")
    train_until(page, "Epoch ([2-9]|..+):")
    page.execute_script("window.texts.length = 0")
    click(page, "step")
    settle(page)
    texts = page.execute_script("return window.texts")
    heights = {text: y for text, _, y in texts if text in ("training", "held out")}
    assert abs(heights["training"] - heights["held out"]) > 12
    assert [text for text, *_ in texts if len(text) > 4 and text not in heights and "epoch" not in text] == []


def test_a_page_without_images_learns_from_drawings_alone(browser, tmp_path):
    fd.export_html(
        fd.NeuralNetwork([fd.Dense(16, 3)]),
        tmp_path / "a.html",
        examples=np.eye(4, dtype=int).reshape(1, 16) * 255,
    )
    browser.get((tmp_path / "a.html").as_uri())
    assert text(browser, "material") == "0 images of MNIST and 0 of yours"
    assert not browser.find_element("id", "run").is_enabled()
    click(browser, "example")
    for button in browser.find_elements("css selector", "#teach button")[:2]:
        browser.execute_script("arguments[0].click()", button)
    click(browser, "step")
    assert text(browser, "progress").startswith("Epoch 1: ") or text(browser, "progress").startswith(
        "step 1, "
    )
