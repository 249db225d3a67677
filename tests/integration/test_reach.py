"""The third wall: whatever a query forgets, it sees the documents that its task reaches only."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.auth.audit import Origin
from app.auth.workspaces.store import WorkspaceNotFound
from app.documents.document import Sharing
from app.documents.service import DocumentNotFound
from app.documents.sharing import NoOwner
from app.documents.store import Edit, Listing
from app.errors import NotAllowed, PlaceGone
from app.infra.postgres import tenant_transaction
from app.infra.reach import EVERYTHING, SHARED, reaching
from app.ingestion.board import JobNotFound
from app.ingestion.intake import Upload
from app.retrieval.passage import Scope
from tests.conftest import FreshDatabase
from tests.integration.workshop import Workshop, open_workshop

#: Tables with rows that hang on a document, and the column that says on which.
HANGING = {
    "documents": "id",
    "document_versions": "document_id",
    "pages": "document_id",
    "chunks": "document_id",
    "activations": "document_id",
}
ANN, BOB = "usr_ann", "usr_bob"
SECRET = "The vault opens at seven with the word marzipan."


@dataclass
class Office:
    """A tenant of two users, who have one workspace together and each a document of their own."""

    shop: Workshop
    #: Whose → the document's id.
    documents: dict[str, str]
    workspace_id: str

    async def take(self, sharing: Sharing, content: str = SECRET, **said: Any) -> Any:
        upload = Upload("note.txt", content.encode(), sharing=sharing, **said)
        return await self.shop.intake.add(self.shop.tenant_id, upload)

    async def seen(self, table: str, column: str) -> set[str]:
        async with tenant_transaction(self.shop.pool, self.shop.tenant_id) as connection:
            cursor = await connection.execute(f"SELECT DISTINCT {column} AS id FROM {table}")
            return {row["id"] for row in await cursor.fetchall()}

    async def found(self, **narrowed: Any) -> set[str]:
        """The documents that a search for what all of them say finds."""
        found = await self.shop.retriever.retrieve(
            "vault marzipan", Scope(self.shop.tenant_id, **narrowed), top_k=50
        )
        return {passage.document_id for passage in found.passages}


@pytest.fixture
async def office(database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_workshop(database, tmp_path.name + "-office") as shop:
        workspace_id = f"wsp_{shop.tenant_id}"
        with psycopg.connect(shop.url, autocommit=True) as owner:
            for user in (ANN, BOB):
                owner.execute(
                    "INSERT INTO users (id, tenant_id, email, name, role)"
                    " VALUES (%s || %s, %s, %s, 'n', 'editor')",
                    (user, shop.tenant_id, shop.tenant_id, f"{user}@{shop.tenant_id}"),
                )
            owner.execute(
                "INSERT INTO workspaces (id, tenant_id, name) VALUES (%s, %s, 'w')",
                (workspace_id, shop.tenant_id),
            )
            owner.execute(
                "INSERT INTO workspace_members VALUES (%s, %s, %s, false)",
                (shop.tenant_id, workspace_id, BOB + shop.tenant_id),
            )
        office = Office(shop, {}, workspace_id)
        ann = ANN + shop.tenant_id
        for name, sharing in {
            "tenant": Sharing(owner_id=ann),
            "workspace": Sharing("workspace", workspace_id, ann),
            "ann": Sharing("private", None, ann),
        }.items():
            with reaching(EVERYTHING):
                office.documents[name] = (await office.take(sharing)).document_id
        await shop.worker.run(until_empty=True)
        yield office


async def reached(office: Office, reach: str) -> dict[str, set[str]]:
    with reaching(reach):
        return {table: await office.seen(table, column) for table, column in HANGING.items()}


@pytest.mark.parametrize(
    ("reach", "read"),
    [(SHARED, False), ("usr_nobody", False), (ANN, True), (BOB, False), (EVERYTHING, True)],
)
async def test_a_document_out_of_reach_is_not_read_as_a_whole(
    office: Office, reach: str, *, read: bool
) -> None:
    shop = office.shop
    scope = Scope(shop.tenant_id, document_ids=(office.documents["ann"],))
    with reaching(reach + shop.tenant_id if reach in (ANN, BOB) else reach):
        found = await shop.retriever.read(scope, names=None, most=9)
        assert (found is not None) is read
        # Those that are hidden do not make a name ambiguous: each reads what is theirs.
        alike = await shop.retriever.read(Scope(shop.tenant_id), names=("note.txt",), most=9)
        assert (alike is not None) is (reach in (SHARED, "usr_nobody"))


async def test_a_list_does_not_end_where_a_document_is_out_of_reach(office: Office) -> None:
    """Somebody made theirs alone what the page before ended with."""
    shop, newest = office.shop, office.documents["ann"]
    with reaching(ANN + shop.tenant_id):
        job = await shop.board.of_document(shop.tenant_id, newest)
        older, _ = await shop.archive.list(shop.tenant_id, Listing(9, after=newest))
    assert [document.id for document in older] == [office.documents["tenant"]]
    with reaching(SHARED):
        with pytest.raises(PlaceGone):
            await shop.archive.list(shop.tenant_id, Listing(9, after=newest))
        with pytest.raises(PlaceGone):
            await shop.board.list(shop.tenant_id, status=None, after=job.id, limit=9)


async def test_the_same_bytes_in_three_spaces_are_three_documents(office: Office) -> None:
    assert len(set(office.documents.values())) == 3


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (None, {"tenant"}),
        (SHARED, {"tenant"}),
        ("usr_nobody", {"tenant"}),
        ("%", {"tenant"}),
        (ANN, {"tenant", "ann"}),
        (BOB, {"tenant", "workspace"}),
        (EVERYTHING, {"tenant", "workspace", "ann"}),
    ],
)
async def test_a_task_sees_what_it_reaches_in_every_table_and_search(
    office: Office, reach: str | None, expected: set[str]
) -> None:
    ids = {office.documents[name] for name in expected}
    full = (reach or "") + office.shop.tenant_id if reach in (ANN, BOB) else reach
    if full is None:
        seen = {table: await office.seen(table, column) for table, column in HANGING.items()}
        assert await office.found() == ids
    else:
        seen = await reached(office, full)
        with reaching(full):
            assert await office.found() == ids
            assert await office.found(document_ids=tuple(office.documents.values())) == ids
            listed, _ = await office.shop.archive.list(office.shop.tenant_id, Listing(limit=50))
            assert {document.id for document in listed} == ids
    assert seen == dict.fromkeys(HANGING, ids)


async def test_a_reach_is_no_way_into_another_tenant(office: Office) -> None:
    with reaching(EVERYTHING):
        async with tenant_transaction(office.shop.pool, "ten_other") as connection:
            for table in (*HANGING, "workspaces", "workspace_members"):
                cursor = await connection.execute(f"SELECT count(*) FROM {table}")
                assert await cursor.fetchone() == {"count": 0}, table


async def test_what_is_out_of_reach_cannot_be_written_either(office: Office) -> None:
    hidden = office.documents["ann"]
    async with tenant_transaction(office.shop.pool, office.shop.tenant_id) as connection:
        for table, column in HANGING.items():
            if table == "activations":
                continue  # which nobody updates
            cursor = await connection.execute(
                f"UPDATE {table} SET tenant_id = tenant_id WHERE {column} = %s", (hidden,)
            )
            assert cursor.rowcount == 0, table


async def test_the_work_says_nothing_of_who_has_the_same_file(office: Office) -> None:
    """Vectors of a text that another keeps private are computed again."""
    bob = BOB + office.shop.tenant_id
    text = "A private thought of Ann's that Bob has as well."
    ann = Sharing("private", None, ANN + office.shop.tenant_id)
    with reaching(EVERYTHING):
        await office.take(ann, text)
        await office.shop.worker.run(until_empty=True)
    with reaching(bob):
        taken = await office.take(Sharing("private", None, bob), text)
        assert taken.job_id is not None
        await office.shop.worker.run(until_empty=True)
        job = await office.shop.board.get(office.shop.tenant_id, taken.job_id)
        assert (job.status, job.chunks_reused) == ("succeeded", 0)
        again = await office.take(Sharing("private", None, bob), text)
        assert (again.document_id, again.job_id) == (taken.document_id, None)


async def test_one_url_is_one_document_in_each_space(office: Office) -> None:
    bob, ann = (user + office.shop.tenant_id for user in (BOB, ANN))
    made = set()
    for user in (ann, bob):
        with reaching(user):
            taken = await office.take(Sharing("private", None, user), source="https://a.example")
            made.add(taken.document_id)
    assert len(made) == 2


async def test_jobs_of_the_unseen_are_not_found(office: Office) -> None:
    shop = office.shop
    with reaching(EVERYTHING):
        job = await shop.board.of_document(shop.tenant_id, office.documents["ann"])
    with pytest.raises(JobNotFound):
        await shop.board.get(shop.tenant_id, job.id)
    followed = set(office.documents.values())
    with reaching(BOB + shop.tenant_id):
        unseen = await shop.board.out_of_sight(shop.tenant_id, followed)
    assert unseen == {office.documents["ann"]}


async def test_who_sees_a_document_is_its_owners_to_say(office: Office) -> None:
    shop, document = office.shop, office.documents["tenant"]
    ann, bob = (user + shop.tenant_id for user in (ANN, BOB))
    revision = "SELECT corpus_revision AS now FROM tenants WHERE id = %s"
    before = shop.rows(revision, shop.tenant_id)
    private = Edit(sharing=Sharing("private"))
    with reaching(bob), pytest.raises(NotAllowed):
        await shop.archive.edit(shop.tenant_id, document, private)
    with reaching(ann):
        into = Edit(sharing=Sharing("workspace", office.workspace_id))
        with pytest.raises(WorkspaceNotFound):  # she is not of it
            await shop.archive.edit(shop.tenant_id, document, into)
        edited = await shop.archive.edit(shop.tenant_id, document, private, by=Origin(user_id=ann))
    assert (edited.visibility, edited.owner_id) == ("private", ann)
    assert shop.rows(revision, shop.tenant_id) != before
    with reaching(bob):
        assert await office.found() == {office.documents["workspace"]}
        with pytest.raises(DocumentNotFound):
            await shop.archive.get(shop.tenant_id, document)


async def test_nobodys_document_cannot_be_private(office: Office) -> None:
    taken = await office.take(Sharing(), "A text that an operator brought.")
    edit = Edit(sharing=Sharing("private"))
    with reaching(EVERYTHING), pytest.raises(NoOwner):
        await office.shop.archive.edit(office.shop.tenant_id, taken.document_id, edit)


async def test_what_a_search_says_of_its_tenant_ends_with_it(office: Office) -> None:
    """A tenant without restricted documents is searched past one policy, and only searched so."""
    shop = office.shop
    with psycopg.connect(shop.url, autocommit=True) as owner:
        owner.execute(
            "UPDATE documents SET visibility = 'tenant', workspace_id = NULL WHERE tenant_id = %s",
            (shop.tenant_id,),
        )
        owner.execute("SET ROLE docent_app")
        with owner.transaction():
            owner.execute(
                "SELECT search_chunks(%s, NULL, 'vault', 10, 40, NULL, NULL, NULL, 1, 20)",
                (shop.tenant_id,),
            )
            [(left,)] = owner.execute("SELECT current_setting('app.unrestricted')").fetchall()
            assert left == ""
            owner.execute(
                "UPDATE documents SET visibility = 'private' WHERE id = %s",
                (office.documents["ann"],),
            )
            [(seen,)] = owner.execute("SELECT count(*) FROM documents").fetchall()
    assert seen == len(office.documents) - 1
