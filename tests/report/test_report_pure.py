"""A report needs the plan and the results, and nothing else: no part, no plugin, no data."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.records import Concern
from harness.report.page.markdown import render_markdown
from harness.report.page.sections import make_page
from harness.report.study.summary import summarise
from harness.report.write import write_report

PROGRAM = """
import pickle, sys
from pathlib import Path
from harness.report.write import write_report
write_report(*pickle.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2]))
print("\\n".join(sys.modules))
"""


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def of_plugin(run):
    """Return a run of a model that only a plugin defines, which is nowhere."""
    model = run.config.model.model_copy(update={"name": "only_in_the_plugin"})
    return replace(run, config=replace(run.config, model=model, plugins=("plugin_that_is_gone",)))


@pytest.mark.slow
def test_neither_parts_nor_data_nor_plugins_are_imported(simulate, tmp_path):
    made = simulate({"a": 0.7, "b": 0.75}, seeds=(0, 1))
    plan = replace(made.plan, runs=tuple(map(of_plugin, made.plan.runs)))
    assert plan.concerns is None, "nobody has looked: what the plan does not show is worked out here"
    here = write_report(plan, made.results, tmp_path / "here")
    assert "few_seeds" in [concern.code for concern in here.concerns]
    (tmp_path / "made").write_bytes(pickle.dumps((plan, made.results)))
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "made"), str(tmp_path / "there")]
    modules = set(subprocess.run(program, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.split())
    assert "harness.report.write" in modules
    assert not modules & {"harness.data", "harness.parts", "harness.models", "torch", "plugin_that_is_gone"}
    assert files_of(tmp_path / "there") == files_of(tmp_path / "here")


def test_what_was_noted_when_planned_is_told_and_nothing_is_looked_for_again(simulate):
    made = simulate({"a": 0.7, "b": 0.75}, seeds=(0, 1))
    noted = Concern("few_groups", ("a", "b"), "val holds 2 recordings", "record more")
    told = summarise(replace(made.plan, concerns=(noted,)), made.results)
    assert told.concerns == (noted,)
    assert "al holds 2 recordings" in render_markdown(make_page(told))
    assert summarise(replace(made.plan, concerns=()), made.results).concerns == ()
