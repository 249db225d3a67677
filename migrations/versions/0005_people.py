"""Users, invitations, what a key belongs to, and the audit log."""

from app.infra.migration_sql import run_file

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of people, and give keys an owner and a limit of their own."""
    run_file("0005_people.sql")


def downgrade() -> None:
    """Forget every user and the audit log."""
    run_file("0005_down.sql")
