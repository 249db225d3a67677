"""A lighter graph of vectors and a wider beam: as much is found, a row takes half the work."""

from app.infra.migration_sql import run_sql
from app.infra.migrations import MIGRATIONS

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

GRAPH = (MIGRATIONS / "sql" / "0015_graph.sql").read_text("utf-8")


def upgrade() -> None:
    """Sixteen links a row, chosen among more; built anew only where nothing is in it yet."""
    run_sql(GRAPH.replace("{m}", "16").replace("{ef}", "200").replace("{beam}", "160"))


def downgrade() -> None:
    """As before."""
    run_sql(GRAPH.replace("{m}", "32").replace("{ef}", "128").replace("{beam}", "100"))
