"""What was asked and how it was answered, and what its readers said of it."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
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
    """Make the query log and the feedback."""
    _run((SQL / "0007_answers.sql").read_text())


def downgrade() -> None:
    """Forget both."""
    _run("DROP FUNCTION forget_answers; DROP TABLE feedback, answers")
