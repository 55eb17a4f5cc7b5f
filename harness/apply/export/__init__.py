"""A trained run as a file that other programs run."""
