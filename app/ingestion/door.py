"""One upload request, from its body to its answer: a multipart form, or JSON that names a URL."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.auth.caller import Caller
from app.documents.document import Sharing
from app.documents.edit_schemas import MAX_TAGS, Author, SharingIn, Tags, Title
from app.errors import InvalidRequest, WrongType
from app.http.idempotency import Idempotency, KeyedRequest, fingerprint, idempotency_key
from app.ingestion.intake import Taken, Upload
from app.ingestion.schemas import Accepted, UrlUpload
from app.ingestion.url_fetcher import UrlFetcher

_FIELDS = frozenset({"file", "title", "author", "tags"})
#: Of a new document only.
_SHARING = frozenset(SharingIn.model_fields)
_TITLE = TypeAdapter[str | None](Title | None)
_AUTHOR = TypeAdapter[str | None](Author | None)
_TAGS = TypeAdapter[list[str]](Tags)
#: Bytes of one text field; the longest title is 500 characters.
_MAX_FIELD_BYTES = 8_192


class Door:
    """Takes one upload request from its body to its answer."""

    def __init__(self, request: Request, caller: Caller) -> None:
        self._request = request
        self._caller = caller

    async def answer(
        self, asked: Upload | UrlUpload, take: Callable[[Upload], Awaitable[Taken]]
    ) -> Response:
        """Take the file in, once for each Idempotency-Key; a URL is not fetched again either.

        Raises:
            InvalidRequest: the URL may not be fetched or does not answer.
            TooLarge: what it answers with is.
        """

        async def work() -> Response:
            upload = await self._fetched(asked) if isinstance(asked, UrlUpload) else asked
            return await self._accepted(await take(upload))

        key = idempotency_key(self._request)
        if key is None:
            return await work()
        content = None if isinstance(asked, UrlUpload) else hashlib.sha256(asked.content).digest()
        what = fingerprint(
            self._request.method,
            self._request.url.path,
            asked.url if isinstance(asked, UrlUpload) else asked.filename,
            content,
            asked.title,
            asked.author,
            self._shared(asked).space,
            *asked.tags,
        )
        keyed = KeyedRequest(self._caller.tenant_id, self._caller.id, key, what)
        once: Idempotency = self._request.app.state.house.idempotency
        return await once.once(keyed, work)

    def _shared(self, asked: Upload | UrlUpload) -> Sharing:
        if isinstance(asked, UrlUpload):
            return asked.to_sharing(self._caller.user_id)
        return asked.sharing

    async def _accepted(self, taken: Taken) -> Response:
        house, tenant_id = self._request.app.state.house, self._caller.tenant_id
        document = await house.archive.get(tenant_id, taken.document_id)
        job = None if taken.job_id is None else await house.board.get(tenant_id, taken.job_id)
        body = Accepted.of(document, job).model_dump_json().encode("utf-8", "replace")
        headers = {} if job is None else {"Location": f"/api/v1/jobs/{job.id}"}
        return Response(body, 200 if job is None else 202, headers, "application/json")

    async def file(self, form: FormData, *, new: bool) -> Upload:
        """The file of a multipart form.

        Raises:
            InvalidRequest: a field is missing, unknown, repeated or not valid.
        """
        unknown = sorted(set(form) - _FIELDS - (_SHARING if new else set()))
        if unknown:
            raise _invalid(unknown[0][:64], "Unknown field", "extra_forbidden")
        files = form.getlist("file")
        if len(files) != 1 or not isinstance(files[0], UploadFile):
            raise _invalid("file", "Send exactly one file in this field", "missing")
        return Upload(
            filename=files[0].filename or "",
            content=await files[0].read(),
            title=_checked("title", _TITLE, _one(form, "title")),
            author=_checked("author", _AUTHOR, _one(form, "author")),
            tags=tuple(dict.fromkeys(_checked("tags", _TAGS, form.getlist("tags")))),
            sharing=self._sharing(form),
        )

    def _sharing(self, form: FormData) -> Sharing:
        said = {name: _one(form, name) for name in _SHARING if name in form}
        try:
            return SharingIn.model_validate(said).to_sharing(self._caller.user_id)
        except ValidationError as error:
            raise _first_of(error, "body") from error

    async def multipart(self, *, new: bool) -> Upload:
        """The upload in a multipart body; of a ``new`` document it may say who sees it.

        Raises:
            WrongType: it is something else.
            InvalidRequest: it is not valid.
        """
        if self._type() != "multipart/form-data":
            raise WrongType("Send multipart/form-data with the field 'file'.")
        try:
            async with self._request.form(
                max_files=1, max_fields=MAX_TAGS + 5, max_part_size=_MAX_FIELD_BYTES
            ) as form:
                return await self.file(form, new=new)
        except HTTPException as error:
            raise InvalidRequest(f"The form could not be read: {error.detail}") from error
        except UnicodeError as error:  # the header may name any codec of Python's
            raise InvalidRequest("The form is not of the charset that it names.") from error

    def is_json(self) -> bool:
        """Whether the body is JSON, and so names a URL."""
        return self._type() == "application/json"

    def _type(self) -> str:
        return self._request.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def named(self) -> UrlUpload:
        """What a JSON body names.

        Raises:
            InvalidRequest: the body is not valid.
        """
        try:
            return UrlUpload.model_validate(orjson.loads(await self._request.body()))
        except orjson.JSONDecodeError as error:
            raise InvalidRequest("The body is not JSON.") from error
        except ValidationError as error:
            raise _first_of(error, "body") from error

    async def _fetched(self, asked: UrlUpload) -> Upload:
        fetcher: UrlFetcher = self._request.app.state.house.fetcher
        found = await fetcher.fetch(self._caller.tenant_id, asked.url)
        return Upload(
            filename=found.filename,
            content=found.content,
            source=asked.url,
            url=asked.url,
            title=asked.title,
            author=asked.author,
            tags=tuple(dict.fromkeys(asked.tags)),
            sharing=self._shared(asked),
        )


def _one(form: FormData, name: str) -> object:
    values = form.getlist(name)
    if len(values) > 1:
        raise _invalid(name, "Send this field once", "too_many")
    return values[0] if values else None


def _checked(name: str, kind: TypeAdapter[Any], value: object) -> Any:  # noqa: ANN401 - the adapter's
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        raise _first_of(error, name) from error


def _first_of(error: ValidationError, name: str) -> InvalidRequest:
    """The first thing that is wrong with ``name``, or with one of its fields."""
    first = error.errors(include_input=False, include_url=False)[0]
    inside = ".".join(str(part)[:64] for part in first["loc"])
    field = (inside or name) if name == "body" else f"{name}.{inside}".rstrip(".")
    return _invalid(field, first["msg"], first["type"])


def _invalid(field: str, message: str, kind: str) -> InvalidRequest:
    return InvalidRequest(
        f"The request is not valid: {field}: {message}.",
        errors=[{"field": field, "message": message, "type": kind}],
    )
