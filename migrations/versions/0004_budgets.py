"""What tenants and keys may spend."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def _run(text: str) -> None:
    # The driver's own cursor: these files hold colons and percent signs that are not parameters.
    cursor = op.get_bind().connection.cursor()
    try:
        cursor.execute(text)
    finally:
        cursor.close()


def upgrade() -> None:
    """Add both budgets, and return them with the caller."""
    _run((SQL / "0004_budgets.sql").read_text())


def downgrade() -> None:
    """Forget every budget."""
    _run((SQL / "0004_down.sql").read_text())
