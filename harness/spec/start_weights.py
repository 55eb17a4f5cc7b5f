"""What a run's weights began with, by name."""

from __future__ import annotations

from harness.records import Plan, Run


def start_of(plan: Plan, run: Run) -> str | None:
    """Return the variant whose weights a run starts from; its id's beginning where the plan does not hold that run."""
    if run.start is None:
        return None
    owners = [other.variant for other in plan.runs if other.id == run.start.run_id]
    if run.settings_from in owners:
        return run.settings_from
    return owners[0] if owners else run.start.run_id


def name_start(plan: Plan, run: Run) -> str | None:
    """Return variant and epoch that a run starts from, such as `baseline@best`; None for a fresh start."""
    return f"{start_of(plan, run)}@{run.start.which}" if run.start else None
