"""How the harness does on one GPU, in a few minutes: `python -m benchmarks.gpu --out DIR`."""
