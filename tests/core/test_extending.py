"""A stranger's first additions: what is pinned says, word for word, which file to edit and with what.

In a copy of the tree, one of each is added where it belongs and nothing else is touched. The tests that pin lists are
run there: each must fail with the sentence that names the next place, and no other test may fail.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOSS = '''

@part("loss")
def squared(num_classes: int, /) -> Loss:
    """Squared distance of the probabilities from the truth (Brier 1950), over labelled pixels."""

    def loss(logits_BCHW: Tensor, labels_BHW: Tensor) -> Tensor:
        from torch.nn import functional

        counted_BHW = labels_BHW != IGNORE
        truth_BHWC = functional.one_hot(labels_BHW.where(counted_BHW, 0), num_classes).to(logits_BCHW.dtype)
        gap_BHW = (logits_BCHW.softmax(1).movedim(1, -1) - truth_BHWC).square().sum(-1)
        return (gap_BHW * counted_BHW).sum() / counted_BHW.sum().clamp_min(1)

    return loss
'''
MODEL = '''

@part("model")
def pixelwise(num_classes: int, in_channels: int, /) -> Network:
    """One convolution of one pixel: what colour alone tells."""
    from torch import nn

    from harness.models.network import Network

    module = nn.Sequential()
    module.add_module("body", nn.BatchNorm2d(in_channels))
    module.add_module("classifier", nn.Conv2d(in_channels, num_classes, 1))
    return Network(module, read=lambda logits: (logits, ()), backbone=("body.",), classifier=("classifier.",))
'''
DATA = '''

@part("data")
def night(*, images: int = 24) -> Source:
    """The desert without its sun."""
    raise NotImplementedError
'''
DESIGN = '''def ends(components: Sequence[str]) -> tuple[Combination, ...]:
    """Return the combinations of none and of all."""
    return (frozenset(), frozenset(components))


class Design(NamedTuple)'''
LAST_DESIGN = "    FRACTIONAL: Design(fractional, lambda k: 2 * k),\n"
COMMAND = '''"""`harness count`."""

from harness.cli.options import Root
from harness.files import DEFAULT_ROOT


def count(root: Root = DEFAULT_ROOT) -> None:
    """Print how many runs are stored."""
    print(len(list((root / "runs").glob("*"))))
'''
NEW_FILES = {"harness/cli/count.py": COMMAND}
ADDED = {
    "harness/parts/losses.py": LOSS,
    "harness/models/catalog.py": MODEL,
    "harness/data/desert.py": DATA,
}
CHANGED = {
    "harness/spec/designs.py": [
        ("class Design(NamedTuple)", DESIGN),
        (LAST_DESIGN, f'{LAST_DESIGN}    "ends": Design(ends, lambda k: 2),\n'),
    ],
    "harness/spec/tuning.py": [('"cmaes"]', '"cmaes", "qmc"]')],
    "harness/settings.py": [('    "miou_image",\n', '    "miou_image",\n    "dice_image",\n')],
    "harness/cli/app.py": [
        ("from harness.cli.data", "from harness.cli.count import count\nfrom harness.cli.data"),
        ("ls, gc, tune):", "ls, gc, tune, count):"),
    ],
}
PINNED = {
    "tests/core/test_streams.py::test_every_command_is_tried": (
        "COMMANDS of tests/core/test_streams.py: write a line there that runs count"
    ),
    "tests/docs/test_pages.py::test_the_reference_of_the_spec_is_current": (
        "renew it: harness schema --markdown > docs/spec.md"
    ),
    "tests/apply/test_export_models.py::test_no_model_is_forgotten": (
        "write pixelwise into FREE of tests/apply/test_export_models.py"
    ),
    "tests/spec/test_designs.py::test_three_components": (
        "write what ends makes of the components a, b and c into BY_HAND of tests/spec/test_designs.py"
    ),
    "tests/docs/test_pages.py::test_costs_of_the_designs_are_those_of_a_plan": (
        "docs/designs.md: its table needs a row for {'ends'}"
    ),
    "tests/spec/test_search.py::test_every_sampler_is_its_own_and_is_tried": (
        "a sampler is a name in SamplerName (harness/spec/tuning.py), a case in _make_sampler"
    ),
    "tests/core/test_scores.py::test_a_spec_can_name_each_score_and_each_has_a_meaning": (
        "dice_image: a score is a name in ScoreName (harness/settings.py), a function in SCORES"
    ),
}
"""Test -> what it says."""
OPEN = (
    "tests/core/test_imports.py::test_each_file_and_folder_is_on_a_floor",
    "tests/core/test_imports.py::test_imports_point_down",
    "tests/core/test_imports.py::test_outside_libraries_have_one_door",
    "tests/parts/test_losses.py::test_ignored_pixels_move_nothing",
    "tests/spec/test_search.py::test_wrong_searches_are_one_message_at_the_place",
)
"""Tests that see what was added, and have nothing against it."""


@pytest.mark.slow
def test_each_addition_is_told_the_next_place(tmp_path):
    for folder in ("harness", "tests", "ablations", "docs", "benchmarks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", *(path.name for path in ROOT.glob("*.md"))):
        shutil.copy(ROOT / name, tmp_path / name)
    for name, text in NEW_FILES.items():
        (tmp_path / name).write_text(text)
    for name, text in ADDED.items():
        (tmp_path / name).write_text((tmp_path / name).read_text() + text)
    for name, changes in CHANGED.items():
        text = (tmp_path / name).read_text()
        for before, after in changes:
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, after)
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-rf", "-p", "no:cacheprovider", *PINNED, *OPEN]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "500"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    failed = {name.partition("[")[0] for name in re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)}
    assert failed == PINNED.keys(), done.stdout
    assert [sentence for sentence in PINNED.values() if sentence not in done.stdout] == []
