"""Ablation studies for semantic segmentation: one YAML file in, tracked runs and an honest comparison out.

>>> import harness
>>> spec = harness.load_spec("ablations/phase3.yaml")  # doctest: +SKIP
>>> plan = harness.make_plan(spec)  # doctest: +SKIP
>>> results = harness.execute(plan)  # doctest: +SKIP
>>> report = harness.make_report(plan, results)  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import execute, load_results, load_spec, make_plan, make_report, open_store

__all__ = ["execute", "load_results", "load_spec", "make_plan", "make_report", "open_store"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the interface when it is first used: `harness --help` needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    from harness import api

    return getattr(api, name)
