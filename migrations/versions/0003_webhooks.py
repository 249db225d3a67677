"""Webhooks and their deliveries."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
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
    """Add both tables."""
    _run((SQL / "0003_webhooks.sql").read_text())


def downgrade() -> None:
    """Forget every webhook, and the jobs of deliveries, which have nothing left to deliver."""
    _run("DELETE FROM jobs.procrastinate_jobs WHERE queue_name = 'webhooks' AND status = 'todo'")
    _run("DROP TABLE webhook_deliveries, webhooks")
