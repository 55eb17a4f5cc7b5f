"""The audit of a data set: what its files hold, what is wrong with it, and what that means for training."""
