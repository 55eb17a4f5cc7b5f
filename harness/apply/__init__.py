"""What becomes of a trained run: it is chosen by a name, and predicts."""
