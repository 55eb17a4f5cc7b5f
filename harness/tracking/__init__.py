"""The tracking store, which mirrors the run folders and may be behind them, never ahead."""

import os

# Before MLflow is imported, which only this folder does: then it is too late. Who sets it otherwise turns telemetry on.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
