"""The page in a browser: what it shows, clicks, keys, a phone's width, colours, and hostile names."""

import copy
import dataclasses

import pytest

from .conftest import HOSTILE

pytestmark = pytest.mark.slow

PHONE = {"width": 390, "height": 844}


def panel(page):
    return page.locator("aside")


def layer(page, i):
    return page.locator("button.layer").nth(i)


def test_every_section_is_there(open_page, report):
    page = open_page()
    assert page.locator("h2").all_inner_texts() == ["Answer", "Layers", "Time", "Roofline", "Memory", "Accuracy"]
    assert page.locator("button.layer").count() == len(report.document.layers)
    assert page.locator("#layers path").count() == len(report.document.edges)
    assert page.locator("#memory rect").count() == len(report.document.memory.tenants)
    assert page.locator("#roofline circle").count() == sum(x.flops > 0 for x in report.document.layers)
    assert page.locator("#accuracy circle").count() == 2 * sum(x.error is not None for x in report.document.layers)
    assert "class" in page.locator("#answer pre").inner_text()
    assert page.evaluate("[...document.images].map(i => i.naturalWidth > 0)") == [True, True]
    assert not panel(page).count()


def test_a_click_shows_all_about_a_layer(open_page, report):
    page = open_page()
    i, x = next((i, x) for i, x in enumerate(report.document.layers) if x.name == HOSTILE[1])
    layer(page, i).click()
    assert panel(page).locator("h3").all_inner_texts() == ["Arithmetic", "Maps", "Time", "Algorithm", "Accuracy", "Sizes"]
    text = panel(page).inner_text()
    assert x.explanation
    assert x.refusals
    for part in (*x.explanation, x.implementation, *(reason for _, reason in x.refusals), x.limit):
        assert part in text
    assert page.evaluate("document.querySelector('aside img').naturalWidth > 0")
    page.locator("aside [aria-label=Close]").click()
    assert not panel(page).count()


def test_other_sections_select_a_layer_too(open_page):
    page = open_page()
    page.locator("#times .link").first.click()
    assert panel(page).locator("h2").inner_text() == page.locator("#times .link").first.inner_text()
    page.locator("#memory rect").first.click()
    assert page.locator("button.layer[aria-pressed=true]").count() == 1


def test_the_keyboard_walks_through_the_layers(open_page, report):
    page = open_page()
    names = [x.name for x in report.document.layers]
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('layer')"):
            break
    shown = []
    for key in ("Enter", "ArrowDown", "ArrowRight", "ArrowUp", "End", "ArrowDown", "Home"):
        page.keyboard.press(key)
        shown.append(panel(page).locator("h2").text_content())
    assert shown == [names[i] for i in (0, 1, 2, 1, -1, -1, 0)]
    page.keyboard.press("Tab")  # the layers are one stop
    assert not page.evaluate("document.activeElement.classList.contains('layer')")
    page.keyboard.press("Escape")
    assert not panel(page).count()
    assert page.evaluate("document.activeElement.dataset.layer") == "0"


def test_a_phone_scrolls_in_one_direction(open_page):
    page = open_page(viewport=PHONE)
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == PHONE["width"]
    layer(page, 0).click()
    page.wait_for_timeout(500)  # for the scrolling to end
    assert page.evaluate(width) == PHONE["width"]
    chosen, sheet = layer(page, 0).bounding_box(), panel(page).bounding_box()
    assert chosen["y"] >= 0
    assert chosen["y"] + chosen["height"] <= sheet["y"]
    assert sheet["y"] + sheet["height"] == PHONE["height"]


def test_colours_follow_the_system_s(open_page):
    colours = [
        open_page(color_scheme=scheme).evaluate("[getComputedStyle(document.body)].map(s => [s.color, s.backgroundColor])[0]")
        for scheme in ("light", "dark")
    ]
    (ink, ground), (dark_ink, dark_ground) = ([sum(map(int, c[4:-1].split(", "))) for c in pair] for pair in colours)
    assert ink < ground
    assert dark_ink > dark_ground


def test_names_are_text(open_page, report):
    page = open_page()
    names = [x.name for x in report.document.layers]
    titles = [t.rpartition(": ")[0] for t in page.locator("button.layer").evaluate_all("all => all.map(b => b.title)")]
    assert titles == names
    assert page.title() == page.locator("h1").inner_text() == HOSTILE[0]
    assert not page.locator("img[src=x]").count()


def test_errors_that_rounding_does_not_explain_are_marked(open_page, report, tmp_path):
    report = copy.copy(report)
    layers = [
        x if x.error is None else dataclasses.replace(x, error=dataclasses.replace(x.error, max=None, departs=True))
        for x in report.document.layers
    ]
    report.document = dataclasses.replace(report.document, layers=tuple(layers))
    report.save(tmp_path / "departs.html")
    page = open_page(tmp_path / "departs.html")
    assert page.locator("#accuracy text", has_text="✕").count() == sum(x.error is not None for x in layers)
    layer(page, next(i for i, x in enumerate(layers) if x.error)).click()
    assert panel(page).locator(".warning").count() == 1
    assert "infinite" in panel(page).inner_text()
