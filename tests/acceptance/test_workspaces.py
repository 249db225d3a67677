"""Workspaces and sharing over HTTP: who sees what, from the next request on, cached answers too."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Api, serving
from tests.acceptance.test_people import Firm, registrant

WORKSPACES, DOCS = "/api/v1/workspaces", "/api/v1/docs"
CODE_WORD = "marzipan4711"
NOTE = f"The vault of the house opens at seven. The code word of the vault is {CODE_WORD}."
ASKED = {"question": "What is the code word of the vault?"}
COMPLETION = {
    "model": "docent",
    "messages": [{"role": "user", "content": "What is the code word of the vault?"}],
}


class Person:
    """A user of the firm, with a key of theirs."""

    def __init__(self, firm: Firm, role: str = "editor") -> None:
        scopes = ["chat", "docs:read"] + (["docs:write"] if role == "editor" else [])
        user = firm.join(role)
        self.id: str = user["id"]
        _, self.key = firm.key_of(user, *scopes)
        self.http = firm.api.client(self.key)

    def upload(self, text: str = NOTE, **fields: str) -> httpx.Response:
        return self.http.post(DOCS, files={"file": ("note.txt", text)}, data=fields)

    def knows(self) -> bool:
        """Whether an answer gives the secret away."""
        reply = self.http.post("/api/v1/chat", json=ASKED)
        assert reply.status_code == 200, reply.text
        return CODE_WORD in reply.text


@pytest.fixture
def ann(firm: Firm) -> Iterator[Person]:
    person = Person(firm)
    with person.http:
        yield person


@pytest.fixture
def bob(firm: Firm) -> Iterator[Person]:
    person = Person(firm)
    with person.http:
        yield person


@pytest.fixture(scope="module")
def caching(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API that keeps answers."""
    home = tmp_path_factory.mktemp("caching")
    with serving(api.database, home, ANSWER_CACHE_TTL_S="600") as (url, _):
        httpx.get(f"{url}/livez", timeout=180).raise_for_status()
        yield replace(api, url=url)


@pytest.fixture
def firm(caching: Api, worker: None) -> Iterator[Firm]:
    firm = Firm(caching)
    with firm.boss:
        yield firm


def ready(person: Person, accepted: httpx.Response) -> str:
    """The id of an uploaded document, once it is answered from."""
    assert accepted.status_code == 202, accepted.text
    with person.http.stream("GET", f"{accepted.headers['Location']}/events", timeout=120) as events:
        last = [line for line in events.iter_lines() if line.startswith("data:")][-1]
    assert json.loads(last[5:])["status"] == "succeeded"
    document: str = accepted.json()["document"]["id"]
    return document


def test_a_workspace_from_its_beginning_to_its_end(firm: Firm, ann: Person, bob: Person) -> None:
    made = ann.http.post(WORKSPACES, json={"name": "Legal"})
    assert made.status_code == 201
    workspace = f"{WORKSPACES}/{made.json()['id']}"
    assert (made.json()["name"], made.json()["members"]) == ("Legal", 1)
    taken = bob.http.post(WORKSPACES, json={"name": "LEGAL"})
    assert (taken.status_code, taken.json()["code"]) == (409, "workspace_name_taken")
    for method, path, body in (
        ("GET", workspace, None), ("PATCH", workspace, {"name": "x"}), ("DELETE", workspace, None),
        ("GET", f"{workspace}/members", None), ("PUT", f"{workspace}/members/{bob.id}", {}),
        ("DELETE", f"{workspace}/members/{ann.id}", None),
        ("DELETE", f"{workspace}/members/{bob.id}", None),
    ):  # fmt: skip
        reply = bob.http.request(method, path, json=body)
        assert (reply.status_code, reply.json()["code"]) == (404, "workspace_not_found"), method
    assert bob.http.get(WORKSPACES).json()["items"] == []
    assert [w["name"] for w in firm.boss.get(WORKSPACES).json()["items"]] == ["Legal"]

    added = ann.http.put(f"{workspace}/members/{bob.id}", json={})
    assert (added.status_code, added.json()["manager"]) == (200, False)
    assert bob.http.get(workspace).json()["members"] == 2
    refused = bob.http.patch(workspace, json={"name": "Bob's"})
    assert refused.status_code == 403
    assert ann.http.put(f"{workspace}/members/{bob.id}", json={"manager": True}).is_success
    assert bob.http.patch(workspace, json={"name": "Bob's"}).json()["name"] == "Bob's"
    members = bob.http.get(f"{workspace}/members").json()["items"]
    assert {m["user_id"]: m["manager"] for m in members} == {ann.id: True, bob.id: True}
    assert bob.http.delete(f"{workspace}/members/{bob.id}").status_code == 204, "anybody may leave"
    assert bob.http.get(workspace).status_code == 404

    unknown = ann.http.put(f"{workspace}/members/usr_nobody", json={})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "user_not_found")
    gone = ann.http.delete(f"{workspace}/members/{bob.id}")
    assert (gone.status_code, gone.json()["code"]) == (404, "member_not_found")
    assert ann.http.delete(workspace).status_code == 204
    assert firm.boss.get(workspace).status_code == 404
    written = [event["action"] for event in firm.events() if "workspace" in event["action"]]
    assert sorted(written) == sorted([
        "workspace.create", "workspace.member", "workspace.member", "workspace.rename",
        "workspace.leave", "workspace.delete",
    ])  # fmt: skip


def test_a_private_document_is_its_owners_and_the_administrators(
    firm: Firm, ann: Person, bob: Person
) -> None:
    assert not bob.knows()
    document = f"{DOCS}/{ready(ann, ann.upload(visibility='private', tags='vault'))}"
    shown = ann.http.get(document).json()
    assert (shown["visibility"], shown["owner_id"]) == ("private", ann.id)
    assert ann.knows()
    kept = ann.http.post("/api/v1/chat", json=ASKED).json()
    assert (kept["cached"], CODE_WORD in str(kept)) == ("exact", True)
    assert not bob.knows()
    assert CODE_WORD in firm.boss.post("/api/v1/chat", json=ASKED).text
    assert not bob.knows(), "nor after an administrator's answer was kept"
    for path in (document, f"{document}/versions", f"{document}/pages/1", f"{document}/content"):
        assert bob.http.get(path).status_code == 404, path
        assert ann.http.get(path).status_code == 200, path
    for path in (DOCS, f"{DOCS}/tags", "/api/v1/jobs", f"{DOCS}?visibility=private"):
        assert bob.http.get(path).json()["items"] == [], path
        assert len(ann.http.get(path).json()["items"]) == 1, path
    mine = bob.upload(visibility="private")
    assert mine.status_code == 202, "that somebody else has the file is not told"
    assert mine.json()["document"]["id"] not in document
    assert ann.upload(visibility="private").status_code == 200


def test_what_is_shared_and_taken_back_holds_from_the_next_request_on(
    firm: Firm, ann: Person, bob: Person
) -> None:
    workspace = ann.http.post(WORKSPACES, json={"name": "Vault"}).json()["id"]
    members = f"{WORKSPACES}/{workspace}/members/{bob.id}"
    refused = bob.upload(visibility="workspace", workspace_id=workspace)
    assert (refused.status_code, refused.json()["code"]) == (404, "workspace_not_found")
    document = ready(ann, ann.upload(visibility="workspace", workspace_id=workspace))
    assert ann.knows()
    assert not bob.knows()
    for _ in range(2):
        assert ann.http.put(members, json={}).is_success
        assert bob.knows()
        assert bob.http.get(f"{DOCS}?workspace_id={workspace}").json()["items"]
        assert ann.http.delete(members).status_code == 204
        assert not bob.knows()
        assert bob.http.get(f"{DOCS}/{document}").status_code == 404
    in_use = ann.http.delete(f"{WORKSPACES}/{workspace}")
    assert (in_use.status_code, in_use.json()["code"]) == (409, "workspace_in_use")
    edit = {"visibility": "tenant"}
    assert ann.http.patch(f"{DOCS}/{document}", json=edit).json()["visibility"] == "tenant"
    assert bob.knows()
    not_his = bob.http.patch(f"{DOCS}/{document}", json={"visibility": "private"})
    assert not_his.status_code == 403
    assert ann.http.patch(f"{DOCS}/{document}", json={"visibility": "private"}).is_success
    assert not bob.knows()
    assert ann.http.delete(f"{WORKSPACES}/{workspace}").status_code == 204


def test_a_conversation_forgets_what_its_caller_may_see_no_more(
    firm: Firm, ann: Person, bob: Person
) -> None:
    document = ready(ann, ann.upload())
    asked = {**ASKED, "session_id": "ses_vault"}
    assert CODE_WORD in bob.http.post("/api/v1/chat", json=asked).text
    assert CODE_WORD in bob.http.get("/api/v1/sessions/ses_vault").text
    assert ann.http.patch(f"{DOCS}/{document}", json={"visibility": "private"}).is_success
    assert CODE_WORD not in bob.http.get("/api/v1/sessions/ses_vault").text


@pytest.mark.parametrize("deleted", [True, False])
@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/api/v1/chat", ASKED),
        ("/api/v1/chat", {**ASKED, "stream": True}),
        ("/v1/chat/completions", COMPLETION),
        ("/v1/chat/completions", {**COMPLETION, "stream": True}),
    ],
)
def test_what_was_told_is_told_again_only_while_it_may_be_seen(
    ann: Person, bob: Person, path: str, asked: dict[str, Any], deleted: bool
) -> None:
    document = f"{DOCS}/{ready(ann, ann.upload())}"
    keyed = {"Idempotency-Key": "vault"}
    first = bob.http.post(path, json=asked, headers=keyed)
    assert CODE_WORD in first.text
    again = bob.http.post(path, json=asked, headers=keyed)
    assert (again.text, again.headers["idempotent-replayed"]) == (first.text, "true")
    if deleted:
        assert ann.http.delete(document).is_success
    else:
        assert ann.http.patch(document, json={"visibility": "private"}).is_success
    after = bob.http.post(path, json=asked, headers=keyed)
    assert after.status_code == 200
    assert CODE_WORD not in after.text
    assert "idempotent-replayed" not in after.headers
    # What is answered now is what the key gets from now on.
    assert bob.http.post(path, json=asked, headers=keyed).text == after.text


def test_a_stream_is_taken_up_again_only_while_its_documents_may_be_seen(
    ann: Person, bob: Person
) -> None:
    document = f"{DOCS}/{ready(ann, ann.upload())}"
    told = bob.http.post("/api/v1/chat", json={**ASKED, "stream": True}).text
    assert CODE_WORD in told
    events = f"/api/v1/answers/{json.loads(told.split()[5])['answer_id']}/events"
    assert bob.http.get(events).text == told
    assert ann.http.patch(document, json={"visibility": "private"}).is_success
    for headers in ({}, {"Last-Event-ID": "3"}):
        gone = bob.http.get(events, headers=headers)
        assert (gone.status_code, gone.json()["code"]) == (404, "answer_not_found")


def test_a_role_that_is_taken_back_takes_its_sight_with_it(firm: Firm, ann: Person) -> None:
    ready(ann, ann.upload(visibility="private"))
    body = registrant(invitation=firm.invite("admin"))
    with firm.api.client("") as nobody:
        user = nobody.post("/api/v1/auth/register", json=body).json()
        entered = {"email": body["email"], "password": body["password"]}
        token = nobody.post("/api/v1/auth/login", json=entered).json()["access_token"]
    with firm.api.client("", Authorization=f"Bearer {token}") as chief:
        assert CODE_WORD in chief.post("/api/v1/chat", json=ASKED).text
        change = {"role": "viewer"}
        assert firm.boss.patch(f"/api/v1/admin/users/{user['id']}", json=change).is_success
        assert CODE_WORD not in chief.post("/api/v1/chat", json=ASKED).text
        assert chief.get(DOCS).json()["items"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"visibility": "everybody"},
        {"visibility": "workspace"},
        {"visibility": "private", "workspace_id": "wsp_x"},
        {"workspace_id": "wsp_x"},
        {"visibility": "workspace", "workspace_id": "a\0b"},
    ],
)
def test_who_sees_it_is_said_wholly_or_not_at_all(ann: Person, fields: dict[str, str]) -> None:
    assert ann.upload(**fields).status_code == 422
    assert ann.http.post(DOCS, json={"url": "https://a.example", **fields}).status_code == 422
    assert ann.http.patch(f"{DOCS}/doc_x", json=fields).status_code == 422


def test_a_key_of_nobodys_has_no_private_documents_and_makes_no_workspaces(firm: Firm) -> None:
    file = {"file": ("note.txt", NOTE)}
    refused = firm.boss.post(DOCS, files=file, data={"visibility": "private"})
    assert refused.status_code == 422
    made = firm.boss.post(WORKSPACES, json={"name": "Everybody's"})
    assert (made.status_code, made.json()["members"]) == (201, 0)


def test_a_next_version_says_nothing_of_who_sees_it(firm: Firm, ann: Person) -> None:
    document = ann.upload().json()["document"]["id"]
    file = {"file": ("note.txt", "Another text.")}
    reply = ann.http.put(f"{DOCS}/{document}", files=file, data={"visibility": "private"})
    assert reply.status_code == 422
