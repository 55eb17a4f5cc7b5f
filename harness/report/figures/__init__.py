"""Figures, each a function of records."""
