"""The report in a real browser: nothing leaves the page, nothing breaks, and it fits a telephone as well as a desk."""

import json
import shutil
from pathlib import Path

import pytest
from made_runs import PUBLISHED, make_preparation, make_run

from danet.report.page import render

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    runs = [make_run(folder / "results", seed=seed) for seed in (0, 1)]
    runs.append(make_run(folder / "results", "nw_ucla", seed=0))
    runs.append(make_run(folder / "results", method="other"))
    render(runs, [make_preparation(folder / "results")], PUBLISHED, folder / "report")
    return folder / "report/index.html"


@pytest.fixture(scope="module")
def browser():
    if not (BROWSER and DRIVER):
        pytest.skip("needs chromium and chromedriver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def show(browser, page: Path) -> None:
    """Opens the page and waits until all of it is there: where a page is opened again, `get` may return before that."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get("about:blank")
    browser.get(page.as_uri())
    WebDriverWait(browser, 60).until(lambda it: it.execute_script("return document.readyState") == "complete")


def requests(browser) -> list[str]:
    """The addresses that were asked for since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return [one["request"]["url"] for one in sent]


def test_page_has_no_errors_and_asks_for_nothing(browser, page):
    requests(browser)
    show(browser, page)
    assert browser.get_log("browser") == []
    assert [url for url in requests(browser) if not url.startswith(("data:", "about:"))] == [page.as_uri()]
    assert "DANet" in browser.title
    assert browser.execute_script("return document.querySelectorAll('script').length") == 1, "names are no markup"


def test_page_shows_every_figure(browser, page):
    show(browser, page)
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('figure svg')].map(f => [f.getBoundingClientRect().width,"
        " f.getBoundingClientRect().height])"
    )
    assert len(sizes) >= 12
    assert min(min(size) for size in sizes) > 50
    linked = browser.execute_script("return [...document.querySelectorAll('figcaption a')].map(link => link.href)")
    assert len(linked) == 2 * len(sizes), "its picture and its numbers"
    assert all(Path(link.removeprefix("file://")).is_file() for link in linked)


def test_page_sorts_a_table_by_its_heading(browser, page):
    show(browser, page)
    table = "[...document.querySelectorAll('table')].find(t => t.caption.textContent.includes('by action'))"
    column = f"return [...{table}.tBodies[0].rows].map(row => row.cells[1].dataset.sort)"
    for order in (sorted(map(float, browser.execute_script(column)), reverse=True), None):
        browser.execute_script(f"{table}.tHead.rows[0].cells[1].querySelector('button').click()")
        found = [float(value) for value in browser.execute_script(column)]
        assert found == (order or sorted(found))
    assert len(set(found)) > 1


def test_page_hides_rows_without_the_words_typed(browser, page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(browser, page)
    table = "[...document.querySelectorAll('table.filtered')].find(t => t.caption.textContent.includes('SIMULATED'))"
    rows = (
        f"return [...{table}.tBodies[0].rows].filter(r => r.getClientRects().length).map(r => r.cells[2].textContent)"
    )
    whole = browser.execute_script(rows)
    assert sorted(whole) == ["danet", "other"]
    field = browser.execute_script(f"return {table}.closest('.table').querySelector('input')")
    assert field.accessible_name == "Only rows with"
    status = field.find_element(By.XPATH, "ancestor::p").find_element(By.TAG_NAME, "output")
    for words, left in ((" CROSS  oth", ["other"]), ("other danet", []), ("cross_view", whole)):
        field.clear()
        field.send_keys(words)
        assert browser.execute_script(rows) == left, words
        assert status.text == ("" if left == whole else f"{len(left)} of 2 rows")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("other")
    browser.execute_script(f"{table}.tHead.rows[0].cells[2].querySelector('button').click()")
    assert browser.execute_script(rows) == ["other"], "sorting shows no hidden row"
    field.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("aria-label").startswith("Leaderboard."), "by keyboard alone"


def test_leaderboard_is_whole_without_scripts(browser, page):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page.as_uri())
        shown = browser.find_elements("css selector", "#leaderboard tbody tr")
        assert [row.is_displayed() for row in shown] == [True] * 3
        assert not browser.find_elements("css selector", "input"), "no field that does nothing"
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_and_can_be_read(browser, page, width, scheme):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme_asked = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_asked)
    show(browser, page)
    across = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert across[0] <= across[1] == width, "only tables and figures scroll sideways, in boxes of their own"
    ink, paper = (
        browser.execute_script(f"return getComputedStyle(document.body).{what}")
        for what in ("color", "backgroundColor")
    )
    dark, bright = (sum(map(float, color[color.index("(") + 1 : -1].split(",")[:3])) for color in (ink, paper))
    assert (dark < bright) == (scheme == "light")
    assert abs(dark - bright) > 450
