"""Ablation studies for semantic segmentation: one YAML file in, tracked runs and an honest comparison out.

>>> from harness import api
>>> spec = api.load_spec("ablations/phase3.yaml")  # doctest: +SKIP
>>> plan = api.make_plan(spec)  # doctest: +SKIP
>>> results = api.execute(plan)  # doctest: +SKIP
>>> report = api.make_report(plan, results)  # doctest: +SKIP

All but `execute` can also be called on `harness` itself; there `execute` is the package of that name.
"""

from typing import TYPE_CHECKING, Any

from harness.moved import find_moved_modules

if TYPE_CHECKING:
    from harness.api import load_results, load_spec, make_plan, make_report, open_store

__all__ = ["load_results", "load_spec", "make_plan", "make_report", "open_store"]
__version__ = "0.1.0"
find_moved_modules()


def __getattr__(name: str) -> Any:
    """Import the interface when it is first used: `harness --help` needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    from harness import api

    return getattr(api, name)
