"""Strict YAML: values that know where they stand, and nothing that reads otherwise than it looks."""
