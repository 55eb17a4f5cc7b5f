"""Time and memory of the statistics of a large report: `OMP_NUM_THREADS=1 python -m benchmarks.report_scale`.

200 runs (40 variants, 5 seeds) x 500 images, each its own group, x 19 classes: margins from counts, all comparisons
with the reference on all 20 measures, verdicts of both families, what would decide each open headline, and 10,000
resamples of the images. Then the whole report of the same runs: record, Markdown, HTML, JSON, tables, every figure; and
its record once more, alone and where two earlier looks were recorded.
"""

from __future__ import annotations

import itertools
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.resample import bootstrap_scores
from harness.counts import make_counts
from harness.judged import digest_counts
from harness.records import Counts, Plan, Run, RunConfig, RunResult
from harness.registry import choose
from harness.report.study.summary import summarise
from harness.report.write import write_report
from harness.settings import EvaluateSettings, TrainSettings
from harness.stats.effects import compare, make_study
from harness.stats.looks import LookHistory, TakenLook
from harness.stats.margins import HEADLINE, sum_margins
from harness.stats.power import Levels, forecast
from harness.stats.verdicts import judge

VARIANTS, SEEDS, IMAGES, CLASSES, RESAMPLES = 40, 5, 500, 19, 10_000


def draw_counts(truth_NC: np.ndarray, generator: np.random.Generator) -> Counts:
    """Return counts of one run: most pixels of a class are hit, the others fall on any class."""
    images, classes = truth_NC.shape
    hit_NC = generator.binomial(truth_NC, generator.uniform(0.5, 0.9, classes))
    missed_NCC = generator.multinomial(truth_NC - hit_NC, np.full(classes, 1 / classes))
    missed_NCC[:, np.arange(classes), np.arange(classes)] += hit_NC
    names = [f"image{index}" for index in range(images)]
    return make_counts(list(missed_NCC), names, names, [f"class{index}" for index in range(classes)])


def make_study_of(counts: dict[tuple[str, int], Counts]) -> tuple[Plan, dict[str, RunResult]]:
    """Return a plan and finished results with these counts; each variant has a learning rate of its own."""
    runs, results = [], {}
    contract = {"version": 1, "splits": {"val": "x"}, "size": "native", "taxonomy": "t", "selected_on": "val"}
    for (variant, seed), found in counts.items():
        config = RunConfig(
            data=choose("data", "desert", {"normalize": "centered"}),
            model=choose("model", "unet", {}),
            loss=(choose("loss", "cross_entropy", {}),),
            augment=(),
            optimizer=choose("optimizer", "adam", {"lr": 1e-3 + 1e-5 * int(variant[1:])}),
            schedule=choose("schedule", "constant", {}),
            train=TrainSettings(),
            evaluate=EvaluateSettings(),
            seed=seed,
        )
        run_id = f"{variant}-{seed}"
        settings_from = "v0" if variant != "v0" else ""
        runs.append(Run(run_id, variant, seed, config, {"data": "x"}, settings_from=settings_from))
        results[run_id] = RunResult(run_id, "finished", best_epoch=1, counts={"val": found}, contract=contract)
    return Plan("scale", "How long does a large report take?", "v0", 0.005, tuple(runs)), results


def look_at(results: dict[str, RunResult], seeds: int) -> TakenLook:
    """Return the look at the first seeds of all variants."""
    complete: dict[str, dict[int, str]] = {}
    for run_id, result in results.items():
        variant, seed = run_id.split("-")
        if int(seed) < seeds:
            complete.setdefault(variant, {})[int(seed)] = digest_counts(result)
    return TakenLook(complete)


def main() -> None:
    """Print the wall time of each step and the most memory used."""
    generator = np.random.default_rng(0)
    truth_NC = generator.integers(0, 20_000, (IMAGES, CLASSES)) * (generator.random((IMAGES, CLASSES)) < 0.6)
    counts = {(f"v{v}", seed): draw_counts(truth_NC, generator) for v in range(VARIANTS) for seed in range(SEEDS)}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = [("start", time.perf_counter())]
    margins = sum_margins(counts)
    times.append(("margins from counts", time.perf_counter()))
    study = make_study(margins)
    compared = {name: compare(study, name, "v0") for name in study.variants[1:]}
    times.append(("comparisons", time.perf_counter()))
    heads = {name: effects[HEADLINE] for name, effects in compared.items()}
    now = LookHistory((SEEDS,))
    looks = dict.fromkeys(heads, now)
    cells = {(name, key): effect for name, effects in compared.items() for key, effect in effects.items()}
    judge(cells, 0.0, looks=dict.fromkeys(cells, now))
    for name, verdict in judge(heads, 0.005, looks=looks).items():
        if verdict.outcome == "undecided":
            forecast(heads[name], now.later, lambda seeds: Levels(now.after(seeds).level(0.05), 0.9), 0.005)
    times.append(("verdicts and planning", time.perf_counter()))
    scores_KRM = bootstrap_scores(margins, RESAMPLES, seed=0)
    times.append((f"{RESAMPLES} resamples of {scores_KRM.shape[0]} runs", time.perf_counter()))
    plan, results = make_study_of(counts)
    with tempfile.TemporaryDirectory() as folder:
        write_report(plan, results, Path(folder))
    times.append(("the whole report, written", time.perf_counter()))
    summarise(plan, results)
    times.append(("its record alone", time.perf_counter()))
    summarise(plan, results, tuple(look_at(results, seeds) for seeds in (3, 4)))
    times.append(("its record after two earlier looks", time.perf_counter()))
    for (_, start), (step, end) in itertools.pairwise(times):
        print(f"{step}: {end - start:.1f} s")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"together {times[-1][1] - times[0][1]:.1f} s, {used / 2**20:.2f} GiB at most ({before / 2**20:.2f} before)")


if __name__ == "__main__":
    main()
