"""What was asked and how it was answered, and what its readers said of it."""

from app.infra.migration_sql import run_file, run_sql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the query log and the feedback."""
    run_file("0007_answers.sql")


def downgrade() -> None:
    """Forget both."""
    run_sql("DROP FUNCTION forget_answers; DROP TABLE feedback, answers")
