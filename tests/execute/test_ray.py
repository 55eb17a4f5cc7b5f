"""Studies on a real Ray cluster: the same counts as on this machine, whatever is killed."""

import importlib.util
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from ray_nodes import SETTINGS, start_head, start_node
from tiny_study import final_counts, harness_command, harness_here

from harness import api
from harness.cli.options import check_place
from harness.errors import InputError
from harness.runs.folder import run_folder

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install ablation-harness[ray]"
)

PATIENCE_S = 550
FIVE = """
study: five
question: Does a tiny network gain from flips, from Dice, or from both?
base:
  data: {name: desert, size: [32, 32], train_images: 48, val_images: 6, test_images: 3}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  optimizer: {name: adam, lr: 3.0e-3}
  train: {epochs: 6, batch_size: 4}
variants:
  baseline: {}
  threaded: {set: {train.threads: 2, train.epochs: 1}}  # Ray would make it one
  flips: {from: baseline@best, set: {augment.flip: {p: 0.5}}}
  dice: {from: baseline@last, set: {loss.dice: {weight: 1.0}}}
  both: {from: flips@best, set: {augment.flip: {p: 0.5}, loss.dice: {weight: 1.0}}}
seeds: [0]
"""


@pytest.fixture(scope="module")
def cluster():
    """Return a cluster's first node, with one CPU, and its address."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as place:  # a short path
        head, address = start_head(Path(place), 1)
        yield head, address
        head.kill()


@pytest.fixture
def second_node(cluster):
    node = start_node(cluster[0].log.parent, 1, cluster[1])
    yield node
    node.kill()


@pytest.fixture
def on_cluster(cluster, workplace):
    """Return a function that starts the program on the cluster, in the workplace."""

    def start(*arguments: str) -> subprocess.Popen:
        command = harness_command("run", *arguments, "--on", "ray", "--cpus-per-run", "1", "--address", cluster[1])
        return subprocess.Popen(
            command,
            cwd=workplace,
            env={**os.environ, **SETTINGS},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture(scope="module")
def locally(tmp_path_factory):
    """Return the study's counts from this machine."""
    place = tmp_path_factory.mktemp("locally")
    (place / "study.yaml").write_text(FIVE)
    done = harness_here("run", "study.yaml", "--jobs", "1", cwd=place)
    assert done.returncode == 0, done.stderr
    return final_counts(place / "mlruns")


def statuses(place):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("five").experiment_id])
    return {run.info.status for run in runs}


def journals(place):
    return {path.parent.name: path.read_text().splitlines() for path in place.glob("mlruns/runs/*/journal.jsonl")}


def is_continued(before, after):
    """Tell whether every epoch that was kept before is there as it was: with its time, not made again."""
    return all(after[run_id][: len(lines)] == lines for run_id, lines in before.items())


def read_until(stream, ready):
    """Return the lines up to the first at which `ready(line)` is true."""
    lines = []
    for line in stream:
        lines.append(line)
        if ready(line):
            return lines
    raise AssertionError("".join(lines))


def epoch_of(line):
    return line.split(": epoch ")[0] if ": epoch 3/" in line else None


@pytest.mark.slow
def test_what_no_node_has_is_refused_at_once(on_cluster):
    process = on_cluster("tiny.yaml", "--gpus-per-run", "1")
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, err
    assert "a run asks for 1 CPU and 1 GPU, and no node of the cluster has so much; its nodes: 1 CPU and 0 GPU" in err
    assert "Traceback" not in err
    assert "started" not in err


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:9", "--address 127.0.0.1:9: no Ray cluster answers there"),
        ("nohost.invalid:6379", "no Ray cluster answers there"),
        ("ray://127.0.0.1:9", "Ray Client cannot stream"),
    ],
)
def test_an_address_without_a_cluster_is_refused_at_once(address, told, workplace):
    plan = api.make_plan(api.load_spec("tiny.yaml", seeds=[0]))
    executor = api.on_ray(address)
    with pytest.raises(InputError, match=told):
        list(executor(plan.runs, {run.id: run_folder(workplace, run.id) for run in plan.runs}))


@pytest.mark.parametrize("options", [("local", None, "auto", None), ("local", None, None, 2), ("ray", 2, None, None)])
def test_options_that_would_have_no_effect_are_refused(options):
    with pytest.raises(InputError, match="is an option for"):
        check_place(*options)


def test_without_ray_the_extra_is_named(workplace):
    blocked = "import sys; sys.modules['ray'] = None\nfrom harness.cli.app import main; main()"
    command = [*harness_command()[:1], "-c", blocked, "run", "tiny.yaml", "--on", "ray"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: --on ray: Ray is not installed; pip install ablation-harness[ray]\n"


@pytest.mark.slow
def test_a_node_killed_in_mid_work_costs_nothing(on_cluster, second_node, locally, workplace):
    (workplace / "five.yaml").write_text(FIVE)
    process = on_cluster("five.yaml")
    read_until(process.stderr, lambda line: epoch_of(line) in second_node.workers())
    before = journals(workplace)
    second_node.kill()
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "its node died" in err
    assert final_counts(workplace / "mlruns") == locally
    assert len(locally) == 5
    assert is_continued(before, journals(workplace))
    assert statuses(workplace) == {"FINISHED"}


@pytest.mark.slow
def test_a_worker_killed_in_mid_work_costs_nothing(cluster, on_cluster, locally, workplace):
    (workplace / "five.yaml").write_text(FIVE)
    process = on_cluster("five.yaml", "--only", "dice")
    lines = read_until(process.stderr, lambda line: epoch_of(line) in cluster[0].workers())
    before = journals(workplace)
    cluster[0].workers()[epoch_of(lines[-1])].kill()
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "its Ray worker died" in err
    assert "is sent again and goes on from its last checkpoint" in err
    counts = final_counts(workplace / "mlruns")
    assert counts == {run_id: locally[run_id] for run_id in counts}
    assert is_continued(before, journals(workplace))


@pytest.mark.slow
def test_the_driver_may_go_away_and_come_back_and_the_study_is_that_of_this_machine(
    cluster, on_cluster, locally, workplace
):
    """Interrupted, then killed; what it does in the end, undisturbed, it does as on this machine."""
    (workplace / "five.yaml").write_text(FIVE)
    arguments = ("five.yaml", "--only", "dice", "--only", "threaded", "--json")
    for signum, code, epoch in ((signal.SIGINT, 130, 2), (signal.SIGKILL, -signal.SIGKILL, 4)):
        process = on_cluster(*arguments)
        read_until(process.stderr, lambda line, epoch=epoch: f"dice/seed0: epoch {epoch}/" in line)
        process.send_signal(signum)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == code
        before = journals(workplace)
        end = time.monotonic() + 30
        while cluster[0].workers() and time.monotonic() < end:  # Ray ends the tasks of a driver that is gone
            time.sleep(0.2)
        assert not cluster[0].workers()
        if signum == signal.SIGINT:
            assert "RUNNING" not in statuses(workplace)
    out, err = on_cluster(*arguments).communicate(timeout=PATIENCE_S)
    rows = json.loads(out)["runs"]
    statuses_of = {row["variant"]: row["status"] for row in rows}
    assert {statuses_of[name] for name in ("baseline", "dice", "threaded")} == {"finished"}, err
    assert "baseline/seed0: finished before" in err
    assert "Ray" not in err
    counts = final_counts(workplace / "mlruns")
    assert counts == {run_id: locally[run_id] for run_id in counts}
    assert len(counts) == 3
    assert is_continued(before, journals(workplace))
    assert statuses(workplace) == {"FINISHED"}
    for provenance in workplace.glob("mlruns/runs/*/provenance.json"):
        assert json.loads(provenance.read_text())["command"][:3] == ["-c", "run", "five.yaml"]
        assert SETTINGS["RAY_AUTH_TOKEN"] not in provenance.read_text()
    assert not list(workplace.glob("mlruns/runs/*/checkpoints/state.pt"))
