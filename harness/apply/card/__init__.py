"""A model card of a trained run."""
