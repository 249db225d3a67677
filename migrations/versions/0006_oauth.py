"""Signing keys, clients, families of tokens, and authorization codes."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
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
    """Make the tables of the authorization server."""
    _run((SQL / "0006_oauth.sql").read_text())


def downgrade() -> None:
    """Forget every client and token."""
    _run((SQL / "0006_down.sql").read_text())
