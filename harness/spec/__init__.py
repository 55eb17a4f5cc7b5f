"""From a study in YAML to a plan: strict reading with line and column, overlays, resolved configs, runs with ids."""
