"""Signing keys, clients, families of tokens, and authorization codes."""

from app.infra.migration_sql import run_file

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of the authorization server."""
    run_file("0006_oauth.sql")


def downgrade() -> None:
    """Forget every client and token."""
    run_file("0006_down.sql")
