"""Several `harness run` at once on one store that does not exist yet: each run is done once, and none is locked out."""

import json
import re
import subprocess
from collections import Counter

import pytest
from tiny_study import TINY, final_counts, harness_command

STUDY = TINY.replace("study: tiny", "study: {name}").replace("epochs: 3", "epochs: 2").replace("[0, 1]", "[0]")
EPOCH = re.compile(r"^(\S+): epoch \d+/\d+", re.MULTILINE)


def stored_runs(uri: str, study: str) -> tuple[list[str], list[str]]:
    """Return the ids of a study's runs, and the statuses of all it shows, as the store has them."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(study)
    shown = client.search_runs([experiment.experiment_id])
    assert sum(run.data.tags["harness.kind"] == "study" for run in shown) == 1
    for run in shown:
        if run.data.tags["harness.kind"] == "run":
            steps = [point.step for point in client.get_metric_history(run.info.run_id, "val/loss")]
            assert steps == sorted(set(steps))
            assert steps[-1] == 2
    ids = [run.data.tags["harness.id"] for run in shown if run.data.tags["harness.kind"] == "run"]
    return ids, [run.info.status for run in shown]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "server"])
def test_three_programs_at_once_on_an_empty_store(kind, tmp_path, request):
    """Two of them execute the same study, and all three the same baseline."""
    uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db" if kind == "sqlite" else request.getfixturevalue("lab").uri
    names = [f"same-{kind}", f"same-{kind}", f"second-{kind}"]
    for name in names:
        (tmp_path / f"{name}.yaml").write_text(STUDY.replace("{name}", name))
    options = ["--jobs", "1", "--json", *(["--tracking-uri", uri] if kind == "server" else [])]
    programs = [
        subprocess.Popen(
            harness_command("run", f"{name}.yaml", *options),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    epochs: Counter[str] = Counter()
    for program in programs:
        out, err = program.communicate(timeout=500)
        assert program.returncode == 0, err
        assert {row["status"] for row in json.loads(out)["runs"]} == {"finished"}
        assert "locked" not in err
        assert "Traceback" not in err
        epochs.update(EPOCH.findall(err))
    assert len(final_counts(tmp_path / "mlruns")) == 2
    assert epochs == {"baseline/seed0": 2, "finetune/seed0": 3}  # once, by whichever came first; epoch 0 is the start's
    for name in set(names):
        ids, statuses = stored_runs(uri, name)
        assert sorted(ids) == sorted(final_counts(tmp_path / "mlruns"))
        assert set(statuses) == {"FINISHED"}
