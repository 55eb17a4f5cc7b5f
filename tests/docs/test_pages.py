"""Every command, study and snippet of the documentation runs as printed; links lead somewhere; options exist."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import typer
from pages import LANGUAGES, PAGES, ROOT, read_page
from places import BEFORE
from running import placed, run_page

from harness.cli.app import app
from harness.spec.designs import DESIGNS, combine

SLOW = {
    "README.md",
    "export.md",
    "predict.md",
    "tuning.md",
    "own-data.md",
    "first-study.md",
    "adding-parts.md",
    "record.md",
}
OTHERS = {
    "--env-manager",
    "--disable-usage-stats",
    "--app-name",
    "--artifacts-destination",
    "--allowed-hosts",
    "--multirun",
    "--clock",
    "--components",
    "--few",
    "--zero",
    "--sample",
}
"""Options of other programs, and of benchmarks, that the text mentions."""


def page_of(path):
    return pytest.param(
        path, id=path.name, marks=[pytest.mark.timeout(1500), *([pytest.mark.slow] if path.name in SLOW else [])]
    )


@pytest.mark.parametrize("path", [page_of(path) for path in PAGES])
def test_a_page_runs_from_top_to_bottom(path, tmp_path):
    page = read_page(path)
    with placed(tmp_path, path.name) as place:
        for prepare in BEFORE.get(path.name, []):
            prepare(place)
        run_page(page, place)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_block_says_what_it_is(path):
    for block in read_page(path).blocks:
        assert block.language in LANGUAGES, f"line {block.line}: no language"
        assert len(block.marks.get("not run", "a good reason")) > 10, f"line {block.line}: no reason"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_and_anchors_lead_somewhere(path):
    for link in read_page(path).links:
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in read_page(target).anchors, link


def options(command):
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_and_options_that_are_named_exist(path):
    """Also those in tables, and in blocks that are not run."""
    known = typer.main.get_command(app).commands
    page = read_page(path)
    lines = [line for block in page.blocks for line in block.text.splitlines()]
    for text in [*page.code, *lines]:
        called = re.search(r"(?:^|\s)harness ([a-z]+)( [a-z]+)?\b(.*?)(#|$)", text)
        if called is None or text.lstrip().startswith(("#", "from", "import")):
            continue
        command = known.get(called[1])
        assert command is not None, f"there is no command '{called[1]}': {text}"
        if called[1] == "data":
            command = command.commands[called[2].strip()]
        for option in re.findall(r"(?<=\s)--[a-z0-9-]+", called[3]):
            assert option in options(command), f"harness {called[1]} has no {option}: {text}"
    everywhere = {name for command in known.values() for name in options(command)} | OTHERS | {"--help"}
    for option in re.findall(r"^--[a-z0-9-]+", "\n".join(page.code), re.MULTILINE):
        assert option in everywhere, option


def test_every_page_is_linked_from_the_readme():
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in read_page(ROOT / "README.md").links}
    assert {path for path in (ROOT / "docs").iterdir() if path.is_file()} <= linked


def test_readme_keeps_its_two_command_lines_and_is_short():
    text = (ROOT / "README.md").read_text()
    assert '\npip install . && harness run ablations/phase3.yaml\npip install -e ".[test]" && pytest\n' in text
    assert len(text.splitlines()) <= 150


@pytest.mark.parametrize("path", ["mlruns/mlflow.db", "reports/phase3/report.md", "reports/phase3/figures/scores.png"])
def test_what_the_first_command_line_writes_is_no_tracked_file(path):
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository: nothing is tracked here")
    assert subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False).returncode == 0
    assert not subprocess.run(["git", "ls-files", path], cwd=ROOT, capture_output=True, check=True).stdout


def words(text):
    return " ".join(re.sub(r"[>*`]|\\", " ", text).split())


def test_the_page_on_reports_quotes_the_report_that_is_shipped():
    page, report = (ROOT / "docs" / name for name in ("report.md", "phase3/report.md"))
    quotes = re.findall(r"(?:^> .*\n)+", page.read_text() + (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(quotes) > 2
    assert [quote for quote in quotes if words(quote) not in words(report.read_text())] == []
    told = json.loads(report.with_suffix(".json").read_text())
    (floor,) = [item["detectable"] for item in told["floors"] if item["split"] == told["primary"]]
    assert f"({100 * floor:.3g} points here)" in words(page.read_text())
    printed = [
        f"{item['variant']} {item['against']} {item['headline']['delta']:+.3f} {item['headline']['low']:+.3f}"
        for item in told["comparisons"]
        if item["split"] == "val"
    ]
    assert all(line in page.read_text() for line in printed[:2])


def test_what_is_said_to_be_true_of_phase3_is_what_was_measured():
    rows = re.findall(
        r"^\| Intel.*torch 2\.11 \| \d+ \|(.*)\|$", (ROOT / "benchmarks/phase3_truth.md").read_text(), re.MULTILINE
    )
    scores = np.array([[float(cell) for cell in row.split("|")] for row in rows if row.count("|") == 3])
    assert len(scores) == 16
    lost = (scores[:, 2:3] - scores).mean(axis=0)
    head = words((ROOT / "ablations/phase3.yaml").read_text().split("study:")[0].replace("#", " "))
    assert f"Phase 3 loses {lost[3]:.1f} points of mIoU to gentle-backbone" in head
    assert f"the baseline {lost[0]:.1f} (" in head


SCHEMA = """
import sys
from harness.cli.app import schema
schema(markdown=sys.argv[1] == "--markdown")
"""


@pytest.mark.parametrize(("option", "path"), [("--markdown", "docs/spec.md"), ("", "ablations/study.schema.json")])
def test_the_reference_of_the_spec_is_current(option, path):
    """In a process of its own: other tests enter parts of theirs into the catalog."""
    command = [sys.executable, "-c", SCHEMA, option]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == (ROOT / path).read_text(), f"renew it: {' '.join(['harness schema', option])} > {path}"


def test_costs_of_the_designs_are_those_of_a_plan():
    rows = re.findall(
        r"^\| `(\[?[a-z_, ]+\]?)` \|((?: \d+ \|)+)$", (ROOT / "docs/designs.md").read_text(), re.MULTILINE
    )
    known = {name for designs, _ in rows for name in designs.strip("[]").split(", ")}
    assert known == DESIGNS.keys(), f"docs/designs.md: its table needs a row for {DESIGNS.keys() ^ known}"
    for designs, counts in rows:
        for k, count in zip((2, 3, 4, 5, 6, 8), re.findall(r"\d+", counts), strict=True):
            assert len(combine(designs.strip("[]").split(", "), "abcdefgh"[:k])) == int(count), (designs, k)
