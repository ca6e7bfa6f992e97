"""The page in a real browser: a link asks, the tree is drawn; answer, votes, cost stand there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.methods.serve.test_chats import QUESTION

selenium = pytest.importorskip("selenium.webdriver")

DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(not DRIVER, reason="no chromium with its driver")


@pytest.fixture
def browser() -> Iterator[Any]:
    options = selenium.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=400,900"):
        options.add_argument(argument)
    driver = selenium.Chrome(options, selenium.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def texts(browser: Any, selector: str) -> list[str]:
    return [found.text for found in browser.find_elements("css selector", selector)]


def test_the_page_shows_a_search(server: Any, browser: Any) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    link = urlencode({"question": QUESTION, "method": "rebase", "width": 4})
    browser.get(f"{server.url}/#{link}")
    WebDriverWait(browser, 60).until(lambda _: texts(browser, "#status") == ["done"])
    stages = texts(browser, ".stage > b")
    assert stages[0] == "stage 1 · 4 steps"
    assert len(stages) > 1
    assert len(texts(browser, ".winner")) == len(stages)
    assert "The answer is: 28" in texts(browser, "#answer")[0]
    assert [row.split()[0] for row in texts(browser, "#cost tbody tr")] == ["rebase", "greedy"]
    assert texts(browser, "#votes tbody tr")
    assert browser.execute_script("return document.body.scrollWidth <= innerWidth")
    assert browser.get_log("browser") == []


def test_the_keyboard_is_enough(server: Any, browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(server.url)
    WebDriverWait(browser, 60).until(lambda _: texts(browser, "#method option"))
    browser.switch_to.active_element.send_keys(Keys.CONTROL, Keys.ENTER)
    WebDriverWait(browser, 60).until(lambda _: texts(browser, "#status") == ["done"])
