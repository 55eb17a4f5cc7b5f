"""Finding a run in MLflow by what a person has at hand. The client is passed in; its own file connects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import InputError, did_you_mean

MODELS = "models:/"
_PAGE = 1000


def search_runs(client: Any, experiment_ids: Sequence[str], query: str) -> list[Any]:
    """Return all runs of some experiments that a filter lets through."""
    found: list[Any] = []
    token: str | None = None
    while True:
        page = client.search_runs(list(experiment_ids), filter_string=query, max_results=_PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def find_tags(client: Any, experiment_ids: Sequence[str], name: str) -> Mapping[str, str] | None:
    """Return the tags of the run with an MLflow run id, a harness run id, or a `models:/` URI; None without one.

    Raises:
        InputError: the URI leads to no model, or to one that is not of these experiments.
    """
    mlflow_id = _run_of_model(client, name) if name.startswith(MODELS) else name
    queries = [f"attributes.run_id = '{mlflow_id}'", f"tags.`harness.id` = '{mlflow_id}'"]
    found = [
        run for query in queries for run in search_runs(client, experiment_ids, query) if "harness.id" in run.data.tags
    ]
    if not found and name.startswith(MODELS):
        raise InputError(f"{name}: the model was logged by no run of a study in this store (MLflow run {mlflow_id})")
    return dict(found[0].data.tags) if found else None


def _run_of_model(client: Any, uri: str) -> str:
    """Return the MLflow run that a model was logged by: `models:/NAME/VERSION`, `NAME@ALIAS`, or `m-ID`."""
    path = uri.removeprefix(MODELS)
    if path.startswith("m-") and "/" not in path and "@" not in path:
        return str(client.get_logged_model(path).source_run_id)
    name, alias, version = _split(path)
    models = {model.name: model for model in client.search_registered_models(max_results=_PAGE)}
    if name not in models:
        raise InputError(f"{uri}: the registry has no model '{name}'; {did_you_mean(name, models)}")
    aliases = {key: str(value) for key, value in models[name].aliases.items()}
    if alias and alias not in aliases:
        raise InputError(f"{uri}: model '{name}' has no alias '{alias}'; {did_you_mean(alias, aliases)}")
    wanted = aliases[alias] if alias else version
    versions = {str(item.version): item for item in client.search_model_versions(f"name = '{name}'")}
    if wanted not in versions:
        known = ", ".join(sorted(versions, key=int)) or "none"
        raise InputError(f"{uri}: model '{name}' has no version '{wanted}'; known: {known}; or models:/{name}@ALIAS")
    return str(versions[wanted].run_id)


def _split(path: str) -> tuple[str, str, str]:
    """Return name, alias and version; one of the last two is empty."""
    if "@" in path:
        name, _, alias = path.rpartition("@")
        return name, alias, ""
    name, _, version = path.rpartition("/")
    return (name, "", version) if name else (path, "", "")
