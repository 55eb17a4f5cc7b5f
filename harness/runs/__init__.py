"""Runs on their own disk, which is the truth: each run's folder, its study's plan and its recorded looks."""
