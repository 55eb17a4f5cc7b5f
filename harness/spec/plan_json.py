"""A plan as plain data, and back: what the store keeps of a study, and what `harness plan --json` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import InputError
from harness.fingerprint import canonical
from harness.records import DEFAULT_EXPECTED, SEVERAL, SINGLE, Plan, Run, RunConfig, Start
from harness.settings import CHOICES, EvaluateSettings, TrainSettings
from harness.spec.names import slug_problem

PLAN_VERSION = 2
"""Format 1 had no families."""


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain dicts, lists and scalars; `plan_from_json` is its exact inverse."""
    return {
        "version": PLAN_VERSION,
        "study": plan.study,
        "question": plan.question,
        "kind": plan.kind,
        "reference": plan.reference,
        "margin": plan.margin,
        "expected": plan.expected,
        "epoch": plan.epoch,
        **({"split": plan.split} if plan.split else {}),
        **({"looks": list(plan.looks)} if plan.looks else {}),
        "command": plan.command,
        "spec_text": plan.spec_text,
        "component_keys": {name: list(keys) for name, keys in plan.component_keys.items()},
        "left_out": list(plan.left_out),
        "runs": [_run_to_json(run) for run in plan.runs],
    }


def plan_from_json(entry: Mapping[str, Any]) -> Plan:
    """Return the plan that `plan_to_json` wrote. Needs no plugin: choices are taken as they were made.

    Raises:
        InputError: it was written by a version of harness that this one cannot read, or holds a name that would lead
            out of the folders that harness writes into.
    """
    if entry["version"] not in (1, PLAN_VERSION):
        raise InputError(f"the plan has format {entry['version']}; this version of harness reads up to {PLAN_VERSION}")
    for name in (entry["study"], *(run["id"] for run in entry["runs"])):  # others may write into a shared store
        if problem := slug_problem(name):
            raise InputError(f"the plan holds the name {name!r}: {problem}")
    return Plan(
        study=entry["study"],
        question=entry["question"],
        reference=entry["reference"],
        margin=entry["margin"],
        expected=entry.get("expected", DEFAULT_EXPECTED),
        epoch=entry.get("epoch", "best"),
        split=entry.get("split"),
        looks=tuple(entry.get("looks", ())),
        runs=tuple(_run_from_json(run) for run in entry["runs"]),
        spec_text=entry["spec_text"],
        command=entry["command"],
        component_keys={name: tuple(keys) for name, keys in entry.get("component_keys", {}).items()},
        left_out=tuple(entry.get("left_out", ())),
        kind=entry.get("kind", "study"),
    )


def _run_to_json(run: Run) -> dict[str, Any]:
    config = run.config
    return {
        "id": run.id,
        "variant": run.variant,
        "seed": run.seed,
        "start": dict(vars(run.start)) if run.start else None,
        "settings_from": run.settings_from,
        "changed": {key: list(pair) for key, pair in run.changed.items()},
        "components": dict(run.components),
        "family": run.family,
        "design": list(run.design),
        "inputs": dict(run.inputs),
        "config": {
            **{kind: getattr(config, kind).model_dump() for kind in SINGLE},
            **{kind: [term.model_dump() for term in getattr(config, kind)] for kind in SEVERAL},
            "train": config.train.model_dump(mode="json"),
            "evaluate": config.evaluate.model_dump(mode="json"),
            "plugins": list(config.plugins),
        },
    }


def _run_from_json(entry: Mapping[str, Any]) -> Run:
    config = entry["config"]
    parts: dict[str, Any] = {kind: CHOICES[kind].model_validate(config[kind]) for kind in SINGLE}
    parts |= {kind: tuple(CHOICES[kind].model_validate(term) for term in config[kind]) for kind in SEVERAL}
    return Run(
        id=entry["id"],
        variant=entry["variant"],
        seed=entry["seed"],
        config=RunConfig(
            **parts,
            train=TrainSettings.model_validate_json(canonical(config["train"])),
            evaluate=EvaluateSettings.model_validate_json(canonical(config["evaluate"])),
            seed=entry["seed"],
            plugins=tuple(config["plugins"]),
        ),
        inputs=dict(entry["inputs"]),
        start=Start(**entry["start"]) if entry["start"] else None,
        components=dict(entry["components"]),
        family=entry.get("family", entry["variant"]),
        design=tuple(entry.get("design", ())),
        settings_from=entry["settings_from"],
        changed={key: (before, after) for key, (before, after) in entry["changed"].items()},
    )
