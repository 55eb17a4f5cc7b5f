"""Variables that change numbers under one id: recorded, compared by reproduce, told of by the report and by run."""

import json
import subprocess

import pytest
from tiny_study import harness_command, harness_here

from harness import api
from harness.environment import CPU_TUNABLES, NUMERIC, OWN, differing, read_environment
from harness.runs.folder import run_folder

SPEC = """
study: env
question: Does Dice help?
base:
  data: {name: desert, size: [32, 32], train_images: 4, val_images: 2, test_images: 1}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  optimizer: {name: adam, lr: 3.0e-3}
  train: {epochs: 1, batch_size: 4}
variants:
  baseline: {}
  dice: {set: {loss.dice: {weight: 1.0}}}
seeds: [0]
"""


@pytest.fixture
def clean(monkeypatch):
    """Return a monkeypatch in whose environment none of the variables is set."""
    for name in (*NUMERIC, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("name", NUMERIC)
def test_each_variable_of_the_list_is_read(clean, name):
    assert read_environment() == {}
    clean.setenv(name, "1")
    assert read_environment() == {name: "1"}


def test_what_harness_sets_itself_and_other_tunables_are_not_told(clean):
    for name, value in OWN.items():
        clean.setenv(name, value)
    clean.setenv("GLIBC_TUNABLES", f"glibc.malloc.perturb=0:{CPU_TUNABLES}hwcaps=-FMA")
    clean.setenv("OMP_NUM_THREADS", "1")
    assert read_environment() == {"GLIBC_TUNABLES": f"{CPU_TUNABLES}hwcaps=-FMA"}


def test_what_differs_is_told_of_both_sides():
    assert differing({"A": "1", "B": "2"}, {"B": "3", "C": "4"}) == {
        "A": ("1", "not set"),
        "B": ("2", "3"),
        "C": ("not set", "4"),
    }
    assert differing({"A": "1"}, {"A": "1"}) == {}


@pytest.mark.slow
def test_a_variable_that_changes_numbers_shows_in_record_run_report_and_reproduce(clean, tmp_path):
    """One run with oneDNN's bfloat16, one without, as a user makes them. Same id, other numbers: it must be told."""
    clean.chdir(tmp_path)
    (tmp_path / "env.yaml").write_text(SPEC)

    def call(*arguments: str) -> str:
        done = harness_here(*arguments)
        assert done.returncode in (0, 1), done.stderr
        return done.stdout + done.stderr

    clean.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")  # read where a process begins
    subprocess.run(harness_command("run", "env.yaml", "--only", "baseline"), capture_output=True, check=True)
    plan = api.make_plan(api.load_spec("env.yaml"))
    recorded = [json.loads(run_folder(tmp_path / "mlruns", run.id).provenance.read_text()) for run in plan.runs[:1]]
    assert [facts["environment"] for facts in recorded] == [{"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}]

    clean.delenv("ONEDNN_DEFAULT_FPMATH_MODE")
    told = call("run", "env.yaml")
    assert "baseline/seed0 of env: made with other environment variables that change numbers" in told
    assert "ONEDNN_DEFAULT_FPMATH_MODE: BF16 then, not set now" in told
    notes = json.loads((tmp_path / "reports" / "env" / "report.json").read_text())["notes"]
    assert [note for note in notes if "ONEDNN_DEFAULT_FPMATH_MODE" in note] == [
        "The environment variable ONEDNN_DEFAULT_FPMATH_MODE, which changes numbers, was not the same in all runs "
        "(BF16 in baseline/seed0; not set in dice/seed0): differences between them may come from that."
    ]

    told = call("reproduce", "env/baseline@best")
    assert "environment variable ONEDNN_DEFAULT_FPMATH_MODE: BF16 -> not set" in told
