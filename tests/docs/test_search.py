"""In a page opened from its folder, the search works and loads nothing from elsewhere; colours are the system's."""

import json
import shutil
import subprocess
import sys

import pytest
from documents import ROOT

pytestmark = [
    pytest.mark.needs("selenium", "chromium", "chromedriver", "mkdocs", "material", "mkdocstrings"),
    pytest.mark.exhaustive,
]

CONFIG = f"""
INHERIT: {ROOT / "mkdocs.yml"}
docs_dir: pages
hooks: []
nav: [index.md, velocity.md]
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser that shows a small site, built with the theme and the settings of ours."""
    from selenium import webdriver

    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "docs" / "assets", folder / "pages" / "assets")
    (folder / "pages" / "index.md").write_text("# First\n\nA page.\n")
    (folder / "pages" / "velocity.md").write_text("# Velocity\n\nMomentum keeps a running mean.\n")
    (folder / "mkdocs.yml").write_text(CONFIG)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=100)

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as browser:
        browser.get((folder / "site" / "index.html").as_uri())
        yield browser


def test_the_search_works_without_a_server_and_loads_nothing_from_elsewhere(browser):
    from selenium.webdriver.support.wait import WebDriverWait

    browser.execute_script("document.getElementById('__search').click()")
    WebDriverWait(browser, 10).until(
        lambda _: browser.find_element("class name", "md-search__input").is_displayed()
    )
    browser.find_element("class name", "md-search__input").send_keys("momentum")
    links = WebDriverWait(browser, 20).until(
        lambda _: browser.find_elements("class name", "md-search-result__link")
    )
    assert "/velocity.html" in links[0].get_attribute("href")
    events = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if "request" in event["params"]]
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_light_and_dark_follow_the_system_also_after_the_first_visit(browser):
    from selenium.webdriver.support.wait import WebDriverWait

    for scheme, expected in (("light", "default"), ("dark", "slate"), ("light", "default")):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.refresh()
        WebDriverWait(browser, 10).until(
            lambda _, name=expected: (
                browser.execute_script("return document.body.dataset.mdColorScheme") == name
            )
        )
