"""Where runs are kept: their own folders, which are the truth, and a tracking store that mirrors them."""

import os

# Before MLflow is imported, which only this folder does: then it is too late. Who sets it otherwise turns telemetry on.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
