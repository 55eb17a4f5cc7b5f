"""Where runs are kept: their own folders, which are the truth, and a tracking store that mirrors them."""
