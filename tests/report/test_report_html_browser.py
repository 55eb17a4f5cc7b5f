"""The HTML page in a real browser: sorting, exact values, the viewer, colours, narrow windows, no script at all."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from written_pages import render


def wait_until(page, condition):
    """Wait for a condition in the page; playwright's own waiting evaluates text there, which its policy forbids."""
    for _ in range(500):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"not within 10 s: {condition}")


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    render(study, folder)
    return folder / "report.html"


CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, written):
    """The page in a window of 1280 x 800 pixels, light colours; a test fails if it logs an error."""
    opened = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: None if request.url[:5] in ("file:", "data:") else errors.append(request.url))
    opened.goto(written.as_uri())
    wait_until(opened, "document.querySelector('[data-readout]').textContent !== ''")
    yield opened
    opened.close()
    assert errors == []


def rows_of(page, table: int = 0) -> list[str]:
    return page.locator("main table").nth(table).locator("tbody th").all_inner_texts()


def test_a_click_sorts_the_rows(page):
    table = page.locator("main table").first
    before = rows_of(page)
    head = table.locator("th", has_text="val: mean ± sd")
    orders = []
    for state in ("ascending", "descending", "none"):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == state
        orders.append(rows_of(page))
    assert before[0] == "baseline (reference)"
    assert orders[0] == ["head-only", "baseline (reference)", "gentle-backbone", "phase3"]
    assert orders[1] == orders[0][::-1]
    assert orders[2] == before
    table.locator("th", has_text="verdict").locator("button").press("Enter")
    assert rows_of(page)[-1] == "baseline (reference)"  # nothing to compare: always last


def test_values_are_told_on_pointing_and_on_focus(page):
    tip = page.locator("#tip")
    page.locator("table.heat td.gain").first.hover()
    assert "95 % interval" in tip.inner_text()
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    stops = page.locator("table.heat").first.locator("[tabindex='0']")
    assert stops.count() == 1
    stops.focus()
    assert "head-only minus baseline: miou_dataset" in tip.inner_text()
    page.keyboard.press("ArrowDown")
    assert "IoU of Trees" in tip.inner_text()
    page.keyboard.press("ArrowRight")
    assert "gentle-backbone minus baseline: IoU of Trees" in tip.inner_text()
    assert page.locator("[aria-describedby='tip']").count() == 1
    page.locator(".epoch").first.hover()
    assert "epoch 1" in tip.inner_text()


def pixels(page) -> list[int]:
    return page.evaluate(
        "(c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data])(document.querySelector('canvas'))"
    )


def test_the_viewer_shows_exactly_the_pixels(page, study):
    examples = study.results[study.plan.runs[0].id].examples
    page.locator("[data-choose=image]").select_option("2")
    opacity = page.locator("[data-opacity]")
    prediction, truth, difference = (
        page.locator(f"[data-layer={name}]") for name in ("prediction", "truth", "difference")
    )
    wait_until(page, "document.querySelector('canvas').width === 96")
    prediction.click()  # off: the image alone
    assert prediction.get_attribute("aria-pressed") == "false"
    shown = np.array(pixels(page)).reshape(72, 96, 4)[..., :3]
    assert np.array_equal(shown, examples.images[2])
    opacity.fill("100")
    truth.click()
    palette = np.array(study.results[study.plan.runs[0].id].colours)
    shown = np.array(pixels(page)).reshape(72, 96, 4)[..., :3]
    known = examples.labels[2] != 255
    assert np.array_equal(shown[known], palette[examples.labels[2][known]])
    difference.click()
    shown = np.array(pixels(page)).reshape(72, 96, 4)[..., :3]
    wrong = known & (examples.labels[2] != examples.predictions[2])
    assert np.array_equal((shown == (213, 94, 0)).all(-1), wrong)
    share = 100 * (1 - wrong.sum() / known.sum())
    assert f"{share:.1f} % of the labelled pixels shown are right" in page.locator("[data-readout]").inner_text()
    opacity.fill("0")
    assert np.array_equal(np.array(pixels(page)).reshape(72, 96, 4)[..., :3], examples.images[2])


def test_the_viewer_works_with_the_keyboard_alone(page):
    page.locator("[data-stage]").focus()
    page.keyboard.press("ArrowRight")
    assert re.match(r"Pixel 50, 36: truth \w+.*, predicted \w+", page.locator("[data-readout]").inner_text())
    before = page.locator("[data-readout]").inner_text()
    page.keyboard.press("ArrowDown")
    assert page.locator("[data-readout]").inner_text() != before
    page.locator("[data-choose=variant]").select_option("3")
    wait_until(page, "document.querySelector('[data-readout]').textContent.startsWith('phase3')")


def test_colours_follow_the_system_and_the_switch(page):
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="Dark colours").click()
    dark = page.evaluate(paper)
    page.get_by_role("button", name="Light colours").click()
    assert (page.evaluate(paper), light) == (light, "rgb(255, 255, 255)")
    assert dark != light
    page.reload()
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(paper) == dark
    assert page.get_by_role("button", name="Light colours").is_visible()


def test_a_narrow_window_does_not_scroll_sideways(page):
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.locator("main .scroll[tabindex='0'][role='region']").count() > 0


def test_the_page_reads_without_script(browser, written):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written.as_uri())
    assert page.locator("[data-gallery] img").count() == 4 * 6
    assert page.locator("[data-gallery] img").first.is_visible()
    assert not page.locator("[data-viewer]").is_visible()
    assert page.locator("main table").first.is_visible()
    context.close()
