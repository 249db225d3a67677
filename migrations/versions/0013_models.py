"""Another embedding model's vectors beside those that answer, for as long as a change takes."""

from app.infra.migration_sql import run_file

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say of the one table of chunks whose vectors it holds, and let a search name its model."""
    run_file("0013_models.sql")


def downgrade() -> None:
    """Drop what stands beside; the model that answers stays."""
    run_file("0013_down.sql")
    run_file("0012_search.sql")
