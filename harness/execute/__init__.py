"""Running a plan: one run in a process of its own, several at once, each as soon as the run it needs is finished."""
