"""Users, invitations, what a key belongs to, and the audit log."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
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
    """Make the tables of people, and give keys an owner and a limit of their own."""
    _run((SQL / "0005_people.sql").read_text())


def downgrade() -> None:
    """Forget every user and the audit log."""
    _run((SQL / "0005_down.sql").read_text())
