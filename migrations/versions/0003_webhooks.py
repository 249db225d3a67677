"""Webhooks and their deliveries."""

from app.infra.migration_sql import run_file, run_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both tables."""
    run_file("0003_webhooks.sql")


def downgrade() -> None:
    """Forget every webhook, and the jobs of deliveries, which have nothing left to deliver."""
    run_sql("DELETE FROM jobs.procrastinate_jobs WHERE queue_name = 'webhooks' AND status = 'todo'")
    run_sql("DROP TABLE webhook_deliveries, webhooks")
