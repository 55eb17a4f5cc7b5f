"""Two studies of toy parts, and the plans of specs."""

from __future__ import annotations

from pathlib import Path

from harness.records import Plan
from harness.spec.load import load_spec
from harness.spec.plan import expand

STUDY = """\
study: toy-2.b
question: Does it work?
notes: Only a toy.
base:
  data: {name: toy_scenes, size: [8, 8]}
  model: {name: toy_net}
  loss: {toy_entropy: {}}
  optimizer: {name: toy_descent, lr: 0.1}
  schedule: {name: toy_flat}
variants:
  child: {from: plain@last, set: {model.freeze: backbone}}
  grandchild: {like: child, notes: as above, set: {optimizer.lr: 0.3}}
  plain: {}
  mixed:
    from: child@best
    components:
      mirror: {augment.toy_mirror: {p: 0.25}}
      overlap: {loss.toy_overlap: {weight: 0.5}, loss.toy_entropy: {class_weights: rare}}
    design: together
  more: {like: mixed, components: {slow: {optimizer.lr: 0.01}}}
seeds: [3, 1]
compare: {reference: plain, margin: 0.01}
profiles:
  full:
    set: {data.size: [64, 64], optimizer.lr: 0.2}
    seeds: [7]
    components: {mirror: {augment.toy_mirror: {p: 1.0}}}
"""


FAMILIES = """\
study: families
question: Which of them helps?
base:
  data: {name: toy_scenes}
  model: {name: toy_net}
  loss: {toy_entropy: {}}
  optimizer: {name: toy_descent, lr: 0.1}
  schedule: {name: toy_flat}
variants:
  plain: {}
  phase:
    from: plain@best
    components:
      rare: {loss.toy_entropy.class_weights: rare}
      overlap: {loss.toy_overlap: {}}
      mirror: {augment.toy_mirror: {}}
      cut: {augment.toy_cut: {size: [4, 4]}}
    design: [leave_one_out, add_one_in]
  after: {from: phase@best, like: phase-no-cut}
  kinds:
    like: phase
    components:
      slow: {optimizer.lr: 0.01}
      fast: {optimizer.lr: 1.0}
      smooth: {model: {name: toy_net, width: 4}}
      wide: {model.width: 16}
    needs: {wide: [smooth]}
    excludes: {slow: [fast]}
    design: factorial
seeds: [0, 1]
compare: {reference: phase}
"""


def inputs(config):
    """Stand for the reader of digests: what is read is named after its content, wherever it lies."""
    found = {"data": f"digest of {Path(config.data.own['root']).name}"}
    if config.model.own.get("weights", "none") not in ("none", "default"):
        found["model.weights"] = f"digest of {Path(config.model.own['weights']).name}"
    return found


def plan_of(path, **options):
    return expand(load_spec(path, **options), inputs)


def as_table(plan: Plan) -> str:
    labels = {run.id: run.label for run in plan.runs}
    lines = []
    for run in plan.runs:
        start = f" <- {labels[run.start.run_id]}@{run.start.which}" if run.start else ""
        lines.append(f"{run.id} {run.label}{start}")
        lines += [f"    {key}: {before} -> {after}" for key, (before, after) in run.changed.items()]
    return "\n".join(lines) + "\n"
