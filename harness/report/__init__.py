"""Reports, a pure function of (Plan, RunResults): counts -> scores -> `Report` -> only then Markdown and pictures."""
