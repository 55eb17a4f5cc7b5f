"""The figures of a report: records of what they show, and how these are drawn as PNG and as HTML."""
