"""A trained run's model on pictures."""
