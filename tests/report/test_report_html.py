"""The HTML page: one file that loads nothing, the words of the Markdown, exact values, exact pictures."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from written_pages import render

from harness.records import RunResult
from harness.report.page import viewer
from harness.report.page.html import render_html
from harness.report.page.model import Bullets, Cell, Details, Page, Text, make_table
from harness.report.page.sentences import conclusions, floor_sentence
from harness.report.page.text import escape
from harness.report.page.viewer import make_gallery
from harness.report.study.variants import group_runs

HOSTILE = '<script>alert(\'x\')</script>" onclick="alert(1)" & </style> ![p](http://e.org/p.png)'


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return (*render(study, folder), folder / "report.html")


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text between tags."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def assert_loads_nothing(page: str):
    elements = Elements(page)
    assert {name for name, _ in elements.tags} & {"link", "iframe", "object", "embed", "base", "video"} == set()
    for _, attrs in elements.tags:
        assert attrs.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert re.fullmatch(r"#[\w-]+|report\.json|tables/[\w.-]+\.csv|", attrs.get("href", ""))
        assert not [key for key in attrs if key.startswith("on") or key in ("srcset", "action", "poster")]
        assert "url(" not in (attrs.get("style") or "")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert not re.search(r"url\(|@import|https?:", style)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == len(elements.named("script")) == 1
    assert not re.search(r"https?:|fetch\(|import\(|XMLHttpRequest", scripts[0])
    policy = next(attrs["content"] for attrs in elements.named("meta") if "http-equiv" in attrs)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert policy == (f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'")


def test_the_page_loads_nothing_and_is_small(written):
    _, page, _ = written
    assert_loads_nothing(page)
    assert len(page.encode()) < 3_000_000


def test_what_users_wrote_is_shown_and_never_run(simulate, tmp_path):
    made = simulate({"base": 0.6, HOSTILE: 0.7}, (0, 1), splits=("val",))
    plan = replace(made.plan, study=HOSTILE, question=HOSTILE, spec_text=f"a: |\n  {HOSTILE}\n", command=HOSTILE)
    failed = plan.runs[-1].id
    results = {**made.results, failed: RunResult(failed, "failed", HOSTILE)}
    _, page = render(replace(made, plan=plan, results=results), tmp_path)
    assert_loads_nothing(page)
    elements = Elements(page)
    shown = " ".join(HOSTILE.split())
    assert elements.text.count(shown) >= 10
    assert [attrs for attrs in elements.named("option") if "onclick" in attrs] == []


def body_of(*blocks) -> str:
    """Return the HTML of blocks: what stands in the part of the page before its first section."""
    page = render_html(Page("s", blocks), Path())
    return re.search(r'<section class="lead" aria-label="Answer">\n(.*)\n</section>', page, re.DOTALL)[1]


def test_html_in_a_text_is_text():
    hostile = "a <img src=y> <div onclick=x> b<br>"
    body = body_of(Text(hostile), Bullets((hostile,)), make_table([hostile], [[hostile]]), Details(hostile, ()))
    elements = Elements(body)
    plain = {"p", "ul", "li", "div", "table", "caption", "thead", "tbody", "tr", "th", "details", "summary"}
    assert {name for name, _ in elements.tags} <= plain
    assert elements.text.count(hostile) == 6  # the table's caption is what stands before it
    assert "<summary>_n_ &lt;b&gt;</summary>" in body_of(Details("\\_n\\_ &lt;b&gt;", ()))


ODD = st.text(st.sampled_from("<>&\"'`*_[]()!|#~$\\/=;:-+. ab1é日\n"), min_size=1).filter(lambda text: text.strip())


@settings(max_examples=150, deadline=None)
@given(ODD)
def test_any_text_is_shown_as_it_is(text):
    """Escaped for Markdown and then rendered, a text comes out as it went in, and adds no element."""
    shown = escape(f"q{text}q")
    elements = Elements(body_of(Text(f"say {shown} twice"), make_table(["x", "y"], [["r", f"**{shown}**"]])))
    plain = {"p", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "strong", "wbr"}
    assert {name for name, _ in elements.tags} <= plain
    assert elements.text.count(" ".join(f"q{text}q".split())) >= 2


def test_a_cell_shows_its_exact_value_its_tone_and_its_heat():
    rows = [["**a\\_b** (reference)", Cell("1.0 (95 % interval 0 to 2)", 'is "1.0001"', "gain", 0.5)], ["c", "2"]]
    body = body_of(Text("Some *words*:"), make_table(["variant", "x (%)"], rows))
    told = 'class="number gain" title="is &quot;1.0001&quot;" style="--heat:0.50"'
    assert f"<td {told}>1.0 <wbr>(95 % interval 0 to 2)</td>" in body
    assert '<th scope="row">c</th><td class="number">2</td>' in body
    assert '<caption class="unseen">Some words:</caption>' in body
    verdict = body_of(
        make_table(["variant", "verdict"], [["a", Cell("**improved**", "p = 0.01", "gain")]], caption="T")
    )
    assert '<td class="number verdict gain" title="p = 0.01"><strong>improved</strong></td>' in verdict
    assert "<caption><span>T</span></caption>" in verdict


def test_the_page_says_what_the_markdown_says(written):
    report, page, _ = written
    text = Elements(page).text
    assert report.answer
    for line in (*report.answer, *conclusions(report)):
        assert line.replace("**", "") in text
    for floor in report.floors:
        assert floor_sentence(floor) in text
    assert all(note in text for note in report.notes)
    assert report.question in text


def test_every_difference_tells_its_interval_p_seeds_and_groups(written):
    report, page, _ = written
    tips = [html.unescape(text) for text in re.findall(r'(?:title|aria-label)="([^"]*)"', page)]
    for item in report.comparisons:
        if item.against != report.reference:
            continue
        for claim in (item.headline, *item.classes):
            delta = f"{abs(100 * claim.delta):.3f} points: {claim.outcome}"
            measure = claim.measure if claim is item.headline else f"IoU of {claim.measure}"
            found = [
                tip
                for tip in tips
                if tip.startswith(f"{claim.variant} minus {claim.against}: {measure} on {claim.split}\n")
            ]
            assert found, measure
            for tip in found:
                assert delta in tip
                assert f"{abs(100 * claim.low):.3f} to " in tip
                assert f"p = {claim.p:.4g}" in tip
                assert f"{claim.groups} image groups, {claim.images} images" in tip
    first = report.variants[0].scores["val"]["miou_dataset"]
    assert any(all(f"{100 * value:.3f}" in tip for value in (first.mean, first.sd, *first.values)) for tip in tips)


def test_headings_tables_and_controls_can_be_told_by_ear(written):
    _, page, _ = written
    elements = Elements(page)
    levels = [int(name[1]) for name, _ in elements.tags if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    tables = re.findall(r"<table.*?</table>", page, re.DOTALL)
    assert len(tables) > 15
    for part in tables:
        assert re.search(r"<caption[^>]*>(<span>)?[^<]+<", part)
        assert len(re.findall('<th[^>]* scope="', part)) == len(re.findall("<th[ >]", part))
    assert all(attrs["alt"] for attrs in elements.named("img"))
    assert len(elements.named("main")) == len(elements.named("nav")) == len(elements.named("header")) == 1
    ids = [attrs["id"] for _, attrs in elements.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert all(attrs["href"][1:] in ids for attrs in elements.named("a") if attrs["href"].startswith("#"))


def decode(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))


def test_pictures_are_exact_and_small(study):
    gallery = make_gallery(group_runs(study.plan, study.results))
    examples = study.results[study.plan.runs[0].id].examples
    labels = gallery.label_sets[0]
    assert gallery.step == 1
    assert np.array_equal(np.asarray(decode(gallery.images[1])), examples.images[1])
    assert len(labels.classes) == len(set(labels.colours)) == 11
    for uri, label_HW in (
        (labels.truths[2], examples.labels[2]),
        (gallery.variants[0].predictions[2], examples.predictions[2]),
    ):
        picture = decode(uri)
        assert picture.mode == "P"
        wanted = np.array(labels.colours)[np.where(label_HW == 255, 10, label_HW)]
        assert np.array_equal(np.asarray(picture.convert("RGB")), wanted)
        assert len(uri) < 8000


def test_classes_of_one_colour_are_still_told_apart(simulate):
    made = simulate({"a": 0.7}, (0,), splits=("val",))
    run = made.plan.runs[0].id
    same = replace(made.results[run], colours=((0, 0, 0),) * 10)
    gallery = make_gallery(group_runs(made.plan, {run: same}))
    assert len(set(gallery.label_sets[0].colours)) == 11


def test_pictures_are_shrunk_until_they_fit_and_the_page_says_so(simulate, tmp_path, monkeypatch):
    made = simulate({"a": 0.7}, (0,), splits=("val",))
    monkeypatch.setattr(viewer, "SMALLEST_PX", 16)
    monkeypatch.setattr(viewer, "MOST_BYTES", 8_000)
    gallery = make_gallery(group_runs(made.plan, made.results))
    assert gallery.step > 1
    picture = decode(gallery.images[0])
    examples = made.results[made.plan.runs[0].id].examples
    assert np.array_equal(np.asarray(picture), examples.images[0][:: gallery.step, :: gallery.step])
    assert "pixel of the pictures is shown" in render(made, tmp_path)[1]


def test_variants_with_other_classes_have_a_truth_of_their_own(simulate):
    made = simulate({"a": 0.7, "b": 0.7}, (0,), splits=("val",))
    run = made.plan.runs[1].id
    counts = {"val": replace(made.results[run].counts["val"], classes=tuple(f"c{i}" for i in range(10)))}
    gallery = make_gallery(group_runs(made.plan, {**made.results, run: replace(made.results[run], counts=counts)}))
    assert [item.label_set for item in gallery.variants] == [0, 1]
    assert gallery.label_sets[1].classes == (*(f"c{i}" for i in range(10)), "ignored")
    assert all(gallery.label_sets[1].truths)


def test_a_study_without_results_has_a_page(simulate, tmp_path):
    made = simulate({"a": 0.7}, (0,), splits=("val",))
    _, page = render(replace(made, results={}), tmp_path)
    assert_loads_nothing(page)
    assert "There are no scores" in page
    assert "data-viewer>" not in page and "<svg" not in page
