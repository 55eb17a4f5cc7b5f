"""Tuning: trials drawn, executed and entered until the budget is used; the winners become a study, with a report."""
