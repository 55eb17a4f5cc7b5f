"""Diagnosis of a study by stated rules."""
