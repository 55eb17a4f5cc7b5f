"""Training and evaluation of one run: RunConfig + Machine -> Progress ... -> Counts. It does not know who listens."""
