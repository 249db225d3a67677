"""Full text by language: chunks are told their language again, and their words are counted anew."""

from collections import defaultdict
from itertools import groupby

from alembic import op

from app.infra.language import DEFAULT, languages_of
from app.infra.migration_sql import run_file, run_sql

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is embedded again: vectors and digests do not depend on the language."""
    _tell_languages()
    run_file("0011_languages.sql")
    run_sql("DROP FUNCTION search_chunks, rank_by_text")
    run_file("0011_search.sql")


def downgrade() -> None:
    """Every chunk by the English stemmer again."""
    run_sql("DROP FUNCTION search_chunks, judged_candidates, rank_by_text, question_words")
    run_file("0011_down.sql")
    run_file("0002_search.sql")
    run_sql(
        "REVOKE ALL ON FUNCTION search_chunks, rank_by_text FROM PUBLIC;"
        "GRANT EXECUTE ON FUNCTION search_chunks, rank_by_text TO docent_app"
    )


def _tell_languages() -> None:
    """Set the language of the chunks that are not English, a document at a time."""
    connection = op.get_bind().connection
    reading = connection.cursor("chunks_to_tell")  # on the server: there may be millions
    reading.execute("SELECT document_id, id, text FROM chunks ORDER BY document_id, page")
    found: defaultdict[str, list[str]] = defaultdict(list)
    for _, rows in groupby(reading, key=lambda row: row[0]):
        _, ids, texts = zip(*rows, strict=True)
        for chunk_id, language in zip(ids, languages_of(texts), strict=True):
            found[language].append(chunk_id)
    reading.close()
    with connection.cursor() as writing:
        for language, ids in found.items():
            if language != DEFAULT:
                writing.execute(
                    "UPDATE chunks SET language = %s::text::regconfig WHERE id = ANY (%s)",
                    (language, ids),
                )
