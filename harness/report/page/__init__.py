"""Records -> a page, and the page as Markdown, HTML and CSV."""
