"""Models in MLflow: logged with the run that trained them, and registered. With `mlflow_store.py` a door to MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.tracking.mlflow_client import Connection
from harness.tracking.mlflow_guard import guarded
from harness.tracking.protocol import Store, StoreError

NAME = "segmentation"


@dataclass(frozen=True)
class ModelFiles:
    """What an MLflow model is made of."""

    code: Path
    """A Python file that sets the model (`mlflow.models.set_model`), copied to the model."""
    onnx: Path
    """The file that the code opens, known to it as the artifact `onnx`."""
    column: str
    """The input column."""
    example: str
    """A value of that column."""
    requirements: tuple[str, ...]
    """What the code imports, as pip writes it."""
    extra: Sequence[Path] = ()
    """Files and folders that are kept beside the model, such as its card."""


@dataclass(frozen=True)
class LoggedModel:
    """A model that MLflow keeps."""

    model_id: str
    mlflow_run: str
    """MLflow's id of the run that trained it."""
    place: str
    """Where its files are."""
    tags: Mapping[str, str]
    version: str = ""
    """Its version in the registry; empty where it is not registered."""

    @property
    def uri(self) -> str:
        """Return the URI that loads it."""
        return f"models:/{self.model_id}"


def log_model(store: Store, run_id: str, study: str, package: ModelFiles, tags: Mapping[str, str]) -> LoggedModel:
    """Log a model with the run that trained it; `run_id` is harness's.

    The model is tagged with `harness.id`, the run's id, and with `tags`. Nothing of the run is changed.

    Raises:
        InputError: the store has no such run.
        StoreError: the store does not take the model.
    """
    all_tags = {**tags, "harness.id": run_id}
    try:
        connection = Connection(store.root, store.uri)
        client = connection.client
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        run = _find_run(connection, run_id, study)
        mlflow_run = run.info.run_id
        model = client.create_logged_model(run.info.experiment_id, NAME, mlflow_run, tags=all_tags)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "model"
            _write(folder, package, model, mlflow_run)
            connection.files(model.artifact_location).log_artifacts(str(folder))
        client.log_outputs(mlflow_run, [LoggedModelOutput(model.model_id, step=0)])
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    except StoreError as error:
        raise StoreError(f"the model is not logged: {error}") from error
    return LoggedModel(model.model_id, mlflow_run, connection.place_of(model.artifact_location), all_tags)


def register(store: Store, logged: LoggedModel, name: str, alias: str | None) -> LoggedModel:
    """Register a logged model as the next version of `name`, tagged like the model; `alias` then points to it.

    Raises:
        StoreError: the registry does not take it.
    """
    try:
        client = Connection(store.root, store.uri).client
        try:
            client.create_registered_model(name)
        except StoreError as error:
            if getattr(error.__cause__, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
                raise
        # Without a server MLflow looks models:/ URIs up in its process-wide store, which need not be this one.
        source = logged.uri if store.uri.startswith(("http://", "https://")) else logged.place
        version = client.create_model_version(
            name, source, run_id=logged.mlflow_run, tags=dict(logged.tags), model_id=logged.model_id
        )
        if alias is not None:
            client.set_registered_model_alias(name, alias, version.version)
    except StoreError as error:
        raise StoreError(f"the model is logged as {logged.uri}, but not registered: {error}") from error
    return replace(logged, version=str(version.version))


def _find_run(connection: Connection, run_id: str, study: str) -> Any:
    # Of a run of two studies, in the one that it was chosen by.
    for experiment in sorted(connection.experiments(), key=lambda item: item.name != study):
        if found := connection.search(f"tags.`harness.id` = '{run_id}'", experiment.experiment_id):
            return found[0]
    raise InputError(f"the tracking store does not hold run {run_id}; harness run SPEC brings it up to date")


def _write(folder: Path, package: ModelFiles, model: Any, mlflow_run: str) -> None:
    """Write the model as MLflow keeps it."""
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    signature = ModelSignature(
        inputs=Schema([ColSpec(AnyType(), package.column)]),
        outputs=Schema([ColSpec(AnyType(), "labels"), ColSpec(AnyType(), "classes")]),
        params=ParamSchema([ParamSpec("encoding", "string", "array")]),
    )
    guarded(mlflow.pyfunc.save_model)(
        str(folder),
        mlflow_model=Model(run_id=mlflow_run, model_id=model.model_id, model_uuid=model.model_id),
        python_model=str(package.code),
        artifacts={"onnx": str(package.onnx), **{path.name: str(path) for path in package.extra}},
        signature=signature,
        input_example=pd.DataFrame({package.column: [package.example]}),
        pip_requirements=list(package.requirements),
    )
