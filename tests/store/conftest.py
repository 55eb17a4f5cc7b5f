"""A tracking server as a lab runs it, for the tests that need one."""

import pytest
from lab_server import find_postgres, lab_server


@pytest.fixture(scope="session")
def lab():
    """Return a running server; a test that kills it starts it again."""
    if find_postgres() is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install psycopg[binary])")
    with lab_server() as server:
        yield server
