"""The command line: parse, call, print. Each command is a file; `app.py` puts them together."""


def main() -> None:
    """Run the command line."""
    from harness.cli.app import main as run

    run()
