"""What tenants and keys may spend."""

from app.infra.migration_sql import run_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both budgets, and return them with the caller."""
    run_file("0004_budgets.sql")


def downgrade() -> None:
    """Forget every budget."""
    run_file("0004_down.sql")
