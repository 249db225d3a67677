"""One beam through the graph of vectors, with and without words."""

from app.infra.migration_sql import run_sql
from app.infra.migrations import MIGRATIONS

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

CANDIDATES = (MIGRATIONS / "sql" / "0016_one_beam.sql").read_text("utf-8")
NARROWER = """    PERFORM set_config('hnsw.ef_search',
                       least(current_setting('hnsw.ef_search')::integer, 160)::text, true);
"""


def upgrade() -> None:
    """As wide as ``HNSW_EF_SEARCH`` says."""
    run_sql(CANDIDATES.replace("{narrower}", ""))


def downgrade() -> None:
    """Narrower beside the words."""
    run_sql(CANDIDATES.replace("{narrower}", NARROWER))
