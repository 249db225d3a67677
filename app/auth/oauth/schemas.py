"""The wire shapes of clients and of the authorization server's documents."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from app.auth.caller import KeyScope
from app.auth.oauth.client import MAX_REDIRECT_CHARS, Grant, ListedClient, may_be_redirected_to
from app.auth.oauth.clients import NewClient
from app.auth.people.fields import Name
from app.auth.tokens import TokenPair
from app.http.wire import Time

RedirectUri = Annotated[str, StringConstraints(min_length=1, max_length=MAX_REDIRECT_CHARS)]


class ClientIn(BaseModel):
    """A client to be made."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="Shown to users who are asked for their consent.")
    public: bool = Field(False, description="It cannot keep a secret, and gets none.")
    redirect_uris: list[RedirectUri] = Field(
        [],
        max_length=20,
        description="Where users are sent back to, to the letter: https, http on loopback, or an "
        "app's own scheme with a dot in it.",
        examples=[["https://app.example.com/callback"]],
    )
    scopes: list[KeyScope] = Field(
        min_length=1, max_length=10, description="The most its tokens may do; at most your own."
    )
    grants: list[Grant] = Field(["authorization_code", "refresh_token"], min_length=1, max_length=3)

    @field_validator("redirect_uris")
    @classmethod
    def _lead_somewhere(cls, value: list[str]) -> list[str]:
        if not all(map(may_be_redirected_to, value)):
            raise ValueError(
                "each must be https://…, http:// on loopback, or a scheme with a dot; without "
                "fragment, user name or wildcard"
            )
        return value

    @model_validator(mode="after")
    def _coherent(self) -> "ClientIn":
        if ("authorization_code" in self.grants) is not bool(self.redirect_uris):
            raise ValueError("authorization_code needs redirect_uris, and nothing else does")
        if "refresh_token" in self.grants and "authorization_code" not in self.grants:
            raise ValueError("refresh_token needs authorization_code")
        if "client_credentials" in self.grants and self.public:
            raise ValueError("client_credentials needs a client with a secret")
        return self

    def to_new(self) -> NewClient:
        """The client that is asked for."""
        return NewClient(
            self.name,
            self.public,
            tuple(self.redirect_uris),
            frozenset(self.scopes),
            frozenset(self.grants),
        )


class ClientOut(BaseModel):
    """A client."""

    id: str = Field(examples=["cli_ks2v7m4q6x3y5z7a2b4c6d8e9f"])
    name: str
    public: bool
    redirect_uris: list[str]
    scopes: list[str]
    grants: list[str]
    created_at: Time
    disabled_at: Time | None

    @classmethod
    def of(cls, client: ListedClient) -> "ClientOut":
        """The wire shape of ``client``."""
        return cls.model_validate(client, from_attributes=True)


class NewClientOut(ClientOut):
    """A client that was just made."""

    secret: str | None = Field(description="Shown this once; null for a public client")

    @classmethod
    def of_new(cls, client: ListedClient, secret: str | None) -> "NewClientOut":
        """The wire shape of ``client``, with its secret."""
        return cls(**ClientOut.of(client).model_dump(), secret=secret)


class ClientList(BaseModel):
    """One page of a list of clients."""

    items: list[ClientOut]
    has_more: bool
    next: str | None = Field(description="Pass as `after` to go on.")


class TokenOut(BaseModel):
    """Tokens, RFC 6749, 5.1."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the protocol's word
    expires_in: int = Field(description="Seconds.")
    refresh_token: str | None = Field(None, description="Good for one use.")
    scope: str = Field(examples=["chat docs:read"])

    @classmethod
    def of(cls, pair: TokenPair) -> "TokenOut":
        """The wire shape of ``pair``."""
        return cls(
            access_token=pair.access_token,
            expires_in=pair.expires_in_s,
            refresh_token=pair.refresh_token,
            scope=" ".join(sorted(pair.scopes)),
        )


class JwkSet(BaseModel):
    """The keys that access tokens are verified with, RFC 7517."""

    keys: list[dict[str, Any]]


class ServerMetadata(BaseModel):
    """What clients find out by themselves, RFC 8414."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str
    jwks_uri: str
    scopes_supported: list[str]
    response_types_supported: list[str] = ["code"]
    response_modes_supported: list[str] = ["query"]
    grant_types_supported: list[str]
    code_challenge_methods_supported: list[str] = ["S256"]
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]
    authorization_response_iss_parameter_supported: bool = True
