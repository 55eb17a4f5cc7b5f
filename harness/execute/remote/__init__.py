"""Runs on other machines, without a shared disk."""
