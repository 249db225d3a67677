"""How a migration runs a file of SQL."""

from alembic import op

from app.infra.migrations import MIGRATIONS


def run_sql(text: str) -> None:
    """Run statements as they stand: colons and percent signs in them are no parameters."""
    cursor = op.get_bind().connection.cursor()  # the driver's own, which looks for none
    try:
        cursor.execute(text)
    finally:
        cursor.close()


def run_file(name: str) -> None:
    """Run a file of ``migrations/sql``."""
    run_sql((MIGRATIONS / "sql" / name).read_text())
