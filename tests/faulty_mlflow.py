"""MLflow's client and its access to files, of which one call fails: for the tests of what a failing store costs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Faults:
    """Which call raises what. `asked` has the names of all calls so far, in the order in which they first came."""

    call: str = ""
    """The name of the call that fails; `*` for every one."""
    error: BaseException = field(default_factory=lambda: RuntimeError("it fails"))
    asked: dict[str, int] = field(default_factory=dict)

    def check(self, name: str) -> None:
        self.asked[name] = self.asked.get(name, 0) + 1
        if self.call in (name, "*"):
            raise self.error


class Faulty:
    """Stands in front of an object, and tells `faults` of each call of a method."""

    def __init__(self, subject: Any, prefix: str, faults: Faults) -> None:
        self._subject, self._prefix, self._faults = subject, prefix, faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._subject, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._faults.check(f"{self._prefix}.{name}")
            return found(*args, **kwargs)

        return call


def make_faulty(monkeypatch: Any, faults: Faults) -> None:
    """Have harness meet a client that fails where `faults` says; it is MLflow's own elsewhere."""
    import mlflow
    from mlflow.store.artifact import artifact_repository_registry as registry

    def stand_in(made_by: Callable[..., Any], name: str) -> Callable[..., Faulty]:
        def make(*args: Any, **kwargs: Any) -> Faulty:
            faults.check(name)
            return Faulty(made_by(*args, **kwargs), name, faults)

        return make

    monkeypatch.setattr(mlflow, "MlflowClient", stand_in(mlflow.MlflowClient, "client"))
    monkeypatch.setattr(registry, "get_artifact_repository", stand_in(registry.get_artifact_repository, "files"))
