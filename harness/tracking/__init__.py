"""The tracking store, which mirrors the run folders and may be behind them, never ahead."""
