"""Whatever changes anything is in the audit log, or named here with the reason: from OpenAPI."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.acceptance.conftest import (  # noqa: F401 - fixtures
    Api,
    api,
    browser,
    firm,
    proxied,
    url,
)
from tests.acceptance.oauth_parts import CALLBACK, VERIFIER, App, Browser, register, told
from tests.acceptance.test_people import INVITATIONS, PASSWORD, REGISTER, Firm, registrant
from tests.integration.workshop import owner_rows

#: Operation → what is written down of it.
AUDITED = {
    "activate_version": "document.activate",
    "cancel_job": "job.cancel",
    "change_password": "password.change",
    "clear_cache": "cache.clear",
    "create_invitation": "invitation.create",
    "create_key": "key.create",
    "create_oauth_client": "client.create",
    "create_webhook": "webhook.create",
    "create_workspace": "workspace.create",
    "delete_document": "document.delete",
    "delete_webhook": "webhook.delete",
    "delete_workspace": "workspace.delete",
    "disable_oauth_client": "client.disable",
    "edit_document": "document.edit",
    "edit_me": "user.rename",
    "edit_user": "user.suspend",
    "login": "login",
    "logout": "logout",
    "oauth_consent": "client.consent",
    "oauth_login": "login",
    "oauth_revoke": "token.revoke",
    "oauth_token": "token.issue",
    "put_workspace_member": "workspace.member",
    "register": "user.register",
    "remove_tag": "tag.replace",
    "remove_workspace_member": "workspace.leave",
    "rename_tag": "tag.replace",
    "rename_workspace": "workspace.rename",
    "replace_document": "document.replace",
    "reset_password": "password.reset",
    "restore_document": "document.restore",
    "retry_delivery": "webhook.retry",
    "retry_job": "job.retry",
    "revoke_key": "key.revoke",
    "upload_document": "document.upload",
    "websocket_broadcast": "broadcast",
    "withdraw_invitation": "invitation.withdraw",
}
EXCUSED = {
    "chat": "a question; its record is the query log's",
    "create_chat_completion": "a question; its record is the query log's",
    "retrieve": "changes nothing",
    "give_feedback": "an opinion, which is kept with whose it is",
    "reset_session": "the caller's own conversation, which nobody else sees",
}


@dataclass
class Diary:
    """What was done, each with the id of its request."""

    database_url: str
    done: dict[str, str] = field(default_factory=dict)

    def did(self, operation: str, reply: httpx.Response) -> Any:
        """Note what has succeeded; what it says."""
        assert reply.status_code < 400, (operation, reply.text)
        self.done[operation] = reply.headers["x-request-id"]
        kind = reply.headers.get("content-type", "")
        return reply.json() if kind.startswith("application/json") else None

    def written(self) -> dict[str, str]:
        """Operation → the action that the audit log has of its request."""
        return {
            operation: row["action"]
            for operation, request_id in self.done.items()
            for row in owner_rows(
                self.database_url,
                "SELECT action FROM audit_events WHERE request_id = %s AND outcome = 'ok'",
                request_id,
            )
        }


def test_what_changes_anything_is_written_down(
    api: Api,  # noqa: F811
    firm: Firm,  # noqa: F811
    browser: Browser,  # noqa: F811
) -> None:
    schema = firm.boss.get("/openapi.json", timeout=60).json()
    changing = {
        said["operationId"]
        for methods in schema["paths"].values()
        for method, said in methods.items()
        if method not in ("get", "head")
    }
    assert changing == {*AUDITED, *EXCUSED}
    diary = Diary(api.database.database_url)
    for live_through in (documents, webhooks, people, clients):
        live_through(firm, diary, browser)
    activation(api, diary)
    assert diary.written() == AUDITED


def documents(firm: Firm, diary: Diary, _: Browser) -> None:  # noqa: F811
    """No worker runs, so that jobs wait to be cancelled."""
    did, boss = diary.did, firm.boss
    files: Callable[[bytes], Any] = lambda text: {"file": ("a.txt", text)}  # noqa: E731
    made = did("upload_document", boss.post("/api/v1/docs", files=files(b"One.")))
    document, job = (f"/api/v1/docs/{made['document']['id']}", f"/api/v1/jobs/{made['job']['id']}")
    did("cancel_job", boss.post(f"{job}/cancel"))
    did("retry_job", boss.post(f"{job}/retry"))
    did("replace_document", boss.put(document, files=files(b"Two.")))
    did("edit_document", boss.patch(document, json={"tags": ["one"]}))
    did("rename_tag", boss.patch("/api/v1/docs/tags/one", json={"name": "two"}))
    did("remove_tag", boss.delete("/api/v1/docs/tags/two"))
    did("delete_document", boss.delete(document))
    did("restore_document", boss.post(f"{document}/restore"))
    did("clear_cache", boss.delete("/api/v1/admin/cache"))


def webhooks(firm: Firm, diary: Diary, _: Browser) -> None:  # noqa: F811
    did, boss = diary.did, firm.boss
    asked = {"url": "https://example.com/hook", "events": ["document.ready"]}
    hook = did("create_webhook", boss.post("/api/v1/webhooks", json=asked))["id"]
    delivery = f"dlv_{hook}"
    owner_rows(
        diary.database_url,
        "INSERT INTO webhook_deliveries (id, tenant_id, webhook_id, event, payload, status)"
        " SELECT %s, tenant_id, id, 'document.ready', '{}', 'dead' FROM webhooks WHERE id = %s",
        delivery,
        hook,
    )
    did("retry_delivery", boss.post(f"/api/v1/webhooks/{hook}/deliveries/{delivery}/retry"))
    did("delete_webhook", boss.delete(f"/api/v1/webhooks/{hook}"))
    did("websocket_broadcast", boss.post("/ws/broadcast", json={"message": "Hello."}))


def people(firm: Firm, diary: Diary, _: Browser) -> None:  # noqa: F811
    did, boss = diary.did, firm.boss
    invited = did("create_invitation", boss.post(INVITATIONS, json={"role": "editor"}))
    did("withdraw_invitation", boss.delete(f"{INVITATIONS}/{invited['id']}"))
    ann = registrant(invitation=firm.invite("editor"))
    with firm.api.client("") as stranger:
        user = did("register", stranger.post(REGISTER, json=ann))
        entering = {"email": ann["email"], "password": PASSWORD}
        entered = did("login", stranger.post("/api/v1/auth/login", json=entering))
        bearer = {"Authorization": f"Bearer {entered['access_token']}"}
        did("edit_me", stranger.patch("/api/v1/me", json={"name": "Anne"}, headers=bearer))
        wanted = {"name": "k", "scopes": ["chat"]}
        key = did("create_key", stranger.post("/api/v1/keys", json=wanted, headers=bearer))
        did("revoke_key", stranger.delete(f"/api/v1/keys/{key['id']}", headers=bearer))
        did("logout", stranger.post("/api/v1/auth/logout", headers=bearer))
        bearer = signed_in(stranger, entering)
        change = {"old_password": PASSWORD, "new_password": PASSWORD[::-1]}
        changed = stranger.post("/api/v1/auth/password", json=change, headers=bearer)
        did("change_password", changed)
    workspace = did("create_workspace", boss.post("/api/v1/workspaces", json={"name": "One"}))
    at = f"/api/v1/workspaces/{workspace['id']}"
    did("rename_workspace", boss.patch(at, json={"name": "Two"}))
    member = f"{at}/members/{user['id']}"
    did("put_workspace_member", boss.put(member, json={"manager": False}))
    did("remove_workspace_member", boss.delete(member))
    did("delete_workspace", boss.delete(at))
    did("reset_password", boss.post(f"/api/v1/admin/users/{user['id']}/password-reset"))
    suspended = boss.patch(f"/api/v1/admin/users/{user['id']}", json={"suspended": True})
    did("edit_user", suspended)


def signed_in(stranger: httpx.Client, entering: dict[str, str]) -> dict[str, str]:
    entered = stranger.post("/api/v1/auth/login", json=entering).raise_for_status().json()
    return {"Authorization": f"Bearer {entered['access_token']}"}


def clients(firm: Firm, diary: Diary, browser: Browser) -> None:  # noqa: F811
    asked = {"name": "An app", "redirect_uris": [CALLBACK], "scopes": ["chat"]}
    made = firm.boss.post("/api/v1/admin/oauth-clients", json=asked)
    app = App(firm, diary.did("create_oauth_client", made)["id"], made.json()["secret"])
    page = browser.open("/oauth/authorize", **app.asks(scope="chat"))
    reply = browser.send(page, email=firm.join()["email"], password=PASSWORD)
    diary.did("oauth_login", reply)
    reply = browser.send(browser.open(reply.headers["location"]), decision="allow")
    diary.did("oauth_consent", reply)
    reply = app.redeem(told(reply.headers["location"])["code"], code_verifier=VERIFIER)
    token = diary.did("oauth_token", reply)["refresh_token"]
    credentials = {"client_id": app.id, "client_secret": app.secret}
    reply = httpx.post(f"{app.url}/oauth/revoke", data={**credentials, "token": token}, timeout=60)
    diary.did("oauth_revoke", reply)
    reply = firm.boss.delete(f"/api/v1/admin/oauth-clients/{app.id}")
    diary.did("disable_oauth_client", reply)


def activation(api: Api, diary: Diary) -> None:  # noqa: F811
    """Of a document that has two versions; it points to the second again afterwards."""
    with api.client(api.other_key) as owner:
        versions = f"/api/v1/docs/{api.other_document_id}/versions"
        diary.did("activate_version", owner.post(f"{versions}/1/activate"))
        diary.did("activate_version", owner.post(f"{versions}/2/activate"))


def test_a_service_account_and_a_wrong_secret_are_written_down(firm: Firm) -> None:  # noqa: F811
    app = register(firm, name="A service", redirect_uris=[], grants=["client_credentials"])
    assert app.token(grant_type="client_credentials").status_code == 200
    assert app.token(grant_type="client_credentials", client_secret="ds_wrong").status_code == 401
    refused, issued = firm.events()[:2]
    assert (refused["action"], refused["outcome"], refused["target"]) == (
        "client.secret", "refused", app.id,
    )  # fmt: skip
    assert (issued["action"], issued["actor"], issued["outcome"]) == ("token.issue", app.id, "ok")
    assert issued["details"] == {"scopes": "chat docs:read docs:write"}
    assert "ds_" not in str(firm.events())
