"""Every knob of Docent, typed, its unit in its name; only this module reads the environment.

``.env.example`` is generated from this file (``python -m app.settings > .env.example``) and a test
holds the two together.
"""

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app.cloud_secrets import NAMED, cloud_secrets
from app.errors import ConfigurationError

#: The largest budget there is; a larger one would be none.
MAX_BUDGET_USD = 99_999_999
MODEL_DIR = Path(sys.prefix) / "share" / "docent" / "all-minilm-l6-v2"

#: RFC 6454, 6.2: scheme, host in lower case, and a port that is not the scheme's own.
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(?::\d{1,5})?|https?://\[[0-9a-f:.]+\](?::\d{1,5})?")
#: Where container runtimes put secrets.
_SECRETS = Path("/run/secrets")

ProviderName = Literal["openrouter", "groq", "openai", "local", "extractive"]
Seconds = Annotated[float, Field(gt=0, le=3600)]
ModelId = Annotated[str, Field(min_length=1, max_length=200)]
ModelIds = Annotated[list[ModelId], NoDecode, Field(min_length=1, max_length=50)]
UsdPerMillion = Annotated[float, Field(ge=0, le=10_000)]


class ModelFacts(BaseModel):
    """What is known of a model; prices in US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    context_tokens: int | None = Field(None, ge=512, le=100_000_000)
    prompt_usd: UsdPerMillion | None = None
    completion_usd: UsdPerMillion | None = None

    @model_validator(mode="after")
    def _both_prices(self) -> "ModelFacts":
        if (self.prompt_usd is None) is not (self.completion_usd is None):
            raise ValueError("give both prompt_usd and completion_usd, or neither")
        return self


Dollars = Annotated[float, Field(ge=0, le=MAX_BUDGET_USD, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Settings of both processes; read from the environment, then from ``.env``."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
    )

    # Serving
    bind_address: str = Field("127.0.0.1", description="Address the API and the demo listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port of the API.")
    demo_port: int = Field(8501, ge=1, le=65535, description="Port of the Streamlit demo.")
    workers: int = Field(2, ge=1, le=64, description="API worker processes.")
    max_body_bytes: int = Field(
        1_048_576, ge=1024, description="Largest request body accepted on routes that take JSON."
    )
    debug: bool = Field(False, description="Relaxed CORS for development; never in public.")
    allow_origins: Annotated[list[str], NoDecode] = Field(
        [], description="Exact origins allowed by CORS, separated by commas."
    )

    # Limits; each in fixed windows, counted over all workers; 0 = no limit
    trusted_proxies: Annotated[list[IPvAnyNetwork], NoDecode] = Field(
        [], description="Networks whose X-Forwarded-For is believed, separated by commas."
    )
    ip_requests_per_minute: int = Field(60_000, ge=0, description="Requests of one IP address.")
    ip_requests_per_day: int = Field(10_000_000, ge=0, description="The same, in 24 hours.")
    key_requests_per_minute: int = Field(60_000, ge=0, description="Requests of one API key.")
    user_requests_per_minute: int = Field(
        60_000, ge=0, description="Requests of one user, by all keys and tokens together."
    )
    tenant_requests_per_minute: int = Field(120_000, ge=0, description="Requests of one tenant.")
    key_questions_per_minute: int = Field(30_000, ge=0, description="Questions of one API key.")
    tenant_questions_at_once: int = Field(
        500,
        ge=0,
        description="Questions of one tenant that are answered at the same time; one place in "
        "16 is some worker's own.",
    )
    tenant_uploads_per_minute: int = Field(30_000, ge=0, description="Uploads of one tenant.")

    # People
    registration: Literal["off", "invite", "open"] = Field(
        "invite",
        description="Who may register: nobody (off), who was invited, or anybody (open), each "
        "into a tenant of their own.",
    )
    login_failures_per_minute_per_ip: int = Field(
        20, ge=1, description="Failed logins of one IP address before it has to wait."
    )
    login_failures_per_minute_per_email: int = Field(
        10, ge=1, description="Failed logins with one e-mail address before it has to wait."
    )

    # Tokens
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s@]+$",
        description="Where callers reach the API, such as https://docs.example.com; the issuer of "
        "its tokens. Empty is http://127.0.0.1:PORT.",
    )
    access_token_ttl_s: int = Field(
        900, ge=60, le=86_400, description="How long an access token is valid."
    )
    refresh_token_ttl_s: int = Field(
        2_592_000, ge=3600, le=31_536_000, description="How long a refresh token waits to be used."
    )
    signing_key_rotation_days: int = Field(
        90, ge=1, le=3650, description="Age at which the key that signs tokens is replaced."
    )

    # Signing in at another issuer (OpenID Connect)
    oidc_issuer: str | None = Field(
        None, pattern=r"^https?://[^?#\s@]+$", description="Who else says who users are."
    )
    oidc_client_id: str | None = Field(None, min_length=1, description="Docent's name there.")
    oidc_client_secret: SecretStr | None = Field(
        None, min_length=1, description="Its secret there; empty for a public client."
    )
    oidc_tenant: str | None = Field(
        None, min_length=1, max_length=128, description="Name of the tenant of those users."
    )
    oidc_role: Literal["owner", "admin", "editor", "viewer"] = Field(
        "viewer", description="Their role when they come for the first time."
    )

    # Where data lives
    docent_home: Path = Field(
        Path(".docent"), description="Keys and the embedded servers' data; one folder per copy."
    )
    database_url: str | None = Field(
        None, description="PostgreSQL with pgvector >= 0.8; empty starts the embedded server."
    )
    migration_database_url: str | None = Field(
        None, description="Owner's URL for migrations; empty uses DATABASE_URL."
    )
    redis_url: str | None = Field(None, description="Redis; empty starts the embedded server.")
    database_pool_size: int = Field(10, ge=1, le=500, description="Connections per API worker.")
    database_timeout_s: Seconds = Field(5, description="Wait for a connection before 503.")
    redis_timeout_s: Seconds = Field(0.2, description="Socket timeout of every Redis command.")
    secrets_dir: Path | None = Field(
        None,
        description="Folder with a file for each setting that is not in the environment, named as "
        "it is, such as groq_api_key; empty is /run/secrets, if there is one.",
    )
    secret_manager: str | None = Field(
        None,
        description="Where settings are that are in neither: aws:<secret, a JSON object>, "
        "gcp:<project> or azure:<vault's URL>; needs the cloud's package (docs/security.md).",
    )
    secret_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="Keys the hashes of API keys; empty mints one in DOCENT_HOME/secret.key. "
        "Every machine of one deployment needs the same.",
    )

    answer_cache_ttl_s: int = Field(
        3600, ge=0, le=2_592_000, description="How long an answer may be given again; 0 = never."
    )
    semantic_cache: bool = Field(
        True, description="Give it also to a question in other words; with the built-in model."
    )
    query_log_days: int = Field(
        30, ge=0, le=3650, description="Days for which questions are logged; 0 logs none."
    )

    # Embedding
    embedding_base_url: str | None = Field(
        None, description="OpenAI-compatible /embeddings endpoint; empty runs the built-in model."
    )
    embedding_api_key: SecretStr | None = Field(None, description="Key of EMBEDDING_BASE_URL.")
    embedding_model: str = Field(
        "all-MiniLM-L6-v2", description="Name of the embedding model; recorded in the index."
    )
    embedding_dimension: int = Field(
        384, ge=8, le=4000, description="Dimension of its vectors; fixed when the index is made."
    )
    embedding_timeout_s: Seconds = Field(30, description="Time limit of one embeddings call.")
    embedding_model_dir: Path = Field(MODEL_DIR, description="Folder of the built-in model.")
    embedding_threads: int = Field(
        0, ge=0, le=64, description="Threads of the built-in model in ingestion; 0 = all cores."
    )

    # Another embedding model, while it takes the place of the one above (docs/reindex.md)
    next_embedding_model: str | None = Field(
        None, min_length=1, description="Name of the model to change to; empty when none is."
    )
    next_embedding_dimension: int | None = Field(
        None, ge=8, le=4000, description="Dimension of its vectors."
    )
    next_embedding_base_url: str | None = Field(
        None, description="Its /embeddings endpoint; empty is the built-in model."
    )
    next_embedding_api_key: SecretStr | None = Field(
        None, description="Key of NEXT_EMBEDDING_BASE_URL."
    )

    # Retrieval
    hnsw_ef_search: int = Field(250, ge=10, le=1000, description="Beam width of an HNSW search.")
    rerank_model_path: Path | None = Field(
        None,
        description="Folder with a cross-encoder (model.onnx, tokenizer.json) that has the last "
        "word on the order of passages; empty leaves it to the built-in ranking.",
    )
    rerank_api_base_url: str | None = Field(
        None,
        pattern="^https?://",
        description="The same from an API with POST /rerank: Cohere, Jina, vLLM and others.",
    )
    rerank_api_key: SecretStr | None = Field(None, description="Key of RERANK_API_BASE_URL.")
    rerank_model: str | None = Field(None, min_length=1, description="Its model.")
    rerank_candidates: int = Field(
        20, ge=2, le=40, description="Passages that are put in a new order."
    )
    rerank_timeout_s: Seconds = Field(
        2, description="Time limit of that; afterwards the built-in order stays."
    )

    # Questions
    max_question_tokens: int = Field(
        6000, ge=16, description="Longest question in tokens (estimated); 4,000 characters hold."
    )
    max_document_chunks: int = Field(
        600,
        ge=1,
        le=999,
        description="Chunks read of a document that is asked about as a whole; an answer from a "
        "longer one is incomplete.",
    )

    # Where the bytes of documents live
    blob_store_url: str | None = Field(
        None,
        description="file:///folder or s3://bucket/prefix; empty is DOCENT_HOME/blobs beside the "
        "embedded database, and the database itself with DATABASE_URL.",
    )
    s3_endpoint_url: str | None = Field(None, description="S3-compatible server other than AWS.")
    s3_region: str = Field("us-east-1", description="Region of the bucket.")
    s3_access_key_id: str | None = Field(None, description="S3 credentials.")
    s3_secret_access_key: SecretStr | None = Field(None, description="S3 credentials.")
    s3_virtual_hosted: bool = Field(
        False, description="Address the bucket as a host name, not as a path."
    )

    # Ingestion
    allow_private_urls: bool = Field(
        False, description="Fetch documents from, and call webhooks at, private addresses too."
    )
    fetch_timeout_s: Seconds = Field(20, description="Wall-clock limit of fetching a URL.")
    worker_concurrency: int = Field(2, ge=1, le=32, description="Jobs a worker has in hand.")
    max_ocr_pages: int = Field(200, ge=0, description="Most pages of one document read by OCR.")
    ocr_timeout_s: Seconds = Field(900, description="Wall-clock limit of OCR for one file.")
    max_file_bytes: int = Field(10_485_760, ge=1024, description="Largest file ingested.")
    max_pages: int = Field(2000, ge=1, description="Most pages of one document.")
    max_text_bytes: int = Field(20_971_520, ge=1024, description="Most text of one document.")
    max_entries: int = Field(
        10_000, ge=1, description="Members an archive (DOCX, EPUB ...) may hold."
    )
    max_unpacked_bytes: int = Field(
        200_000_000, ge=1024, description="Bytes an archive may unpack to."
    )
    parse_timeout_s: Seconds = Field(60, description="Wall-clock limit of parsing one file.")
    parse_memory_bytes: int = Field(536_870_912, ge=67_108_864, description="Memory of a parser.")
    chunk_words: int = Field(180, ge=20, le=400, description="Most words of one chunk.")
    job_attempts: int = Field(3, ge=1, le=20, description="Tries before a job is given up.")
    job_stalled_after_s: Seconds = Field(
        10, description="A job whose worker has not been heard of for so long is taken over."
    )

    # Language models, tried in PROVIDER_ORDER; one without a key (or base URL) is left out
    provider_order: Annotated[list[ProviderName], NoDecode] = Field(
        ["openrouter", "groq", "openai", "local", "extractive"],
        description="Order in which providers are tried, separated by commas.",
    )
    default_llm_model: str | None = Field(
        None, description="Model used when a request names none; empty = first provider's own."
    )
    openrouter_api_key: SecretStr | None = Field(None, description="OpenRouter.")
    openrouter_base_url: str = Field("https://openrouter.ai/api/v1", description="OpenRouter.")
    openrouter_model: ModelIds = Field(
        ["google/gemini-2.5-flash"],
        description="OpenRouter's models, separated by commas; the first is its default.",
    )
    groq_api_key: SecretStr | None = Field(None, description="Groq.")
    groq_base_url: str = Field("https://api.groq.com/openai/v1", description="Groq.")
    groq_model: ModelIds = Field(
        ["llama-3.3-70b-versatile"], description="Groq's models, the first is its default."
    )
    openai_api_key: SecretStr | None = Field(None, description="OpenAI.")
    openai_base_url: str = Field("https://api.openai.com/v1", description="OpenAI.")
    openai_model: ModelIds = Field(
        ["gpt-4o-mini"], description="OpenAI's models, the first is its default."
    )
    local_llm_base_url: str | None = Field(
        None, description="OpenAI-compatible server of your own, such as Ollama or llama.cpp."
    )
    local_llm_api_key: SecretStr | None = Field(None, description="Its key, if it wants one.")
    local_llm_model: ModelIds = Field(
        ["default"], description="Its models, the first is its default."
    )
    model_facts: Annotated[dict[ModelId, ModelFacts], NoDecode] = Field(
        {},
        description="Facts about models as JSON, beside those that are built in: "
        '{"id": {"context_tokens": 8192, "prompt_usd": 0.1, "completion_usd": 0.4}}, prices in US '
        "dollars per million tokens.",
    )
    connect_timeout_s: Seconds = Field(3, description="Limit for reaching a provider.")
    first_token_timeout_s: Seconds = Field(15, description="Limit for its first token.")
    idle_timeout_s: Seconds = Field(10, description="Longest gap inside an answer.")
    attempt_timeout_s: Seconds = Field(30, description="Limit of one attempt at one provider.")
    total_timeout_s: Seconds = Field(60, description="Deadline of a whole answer, all attempts.")
    cooldown_s: Seconds = Field(300, description="How long a failed provider is left alone.")
    hedge_share: float = Field(
        0,
        ge=0,
        le=1,
        description="Most requests, as a share, that may ask the next provider too when the first "
        "takes unusually long to begin; 0 = none.",
    )

    # Budgets: a calendar month, UTC
    tenant_budget_usd: Dollars | None = Field(
        None, description="What a tenant without a budget of its own may spend; empty = any."
    )
    key_budget_usd: Dollars | None = Field(
        None, description="What a key without a budget of its own may spend; empty = any."
    )

    # Observability
    metrics_backend: Literal["prometheus", "datadog", "opentelemetry", "noop", "auto"] = Field(
        "prometheus", description="Where metrics go; auto is prometheus if it is installed."
    )
    prometheus_multiproc_dir: Path | None = Field(
        None,
        description="Folder in which the processes of a machine count together; made by make run "
        "and make serve. Only from the environment, and empty when the first process starts.",
    )
    worker_metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of an ingestion worker's own /metrics; 0 = none."
    )
    dd_agent_host: str | None = Field(None, description="Datadog agent for METRICS_BACKEND.")
    dd_dogstatsd_port: int = Field(8125, ge=1, le=65535, description="Its DogStatsD port.")
    otel_exporter_otlp_endpoint: str | None = Field(
        None,
        pattern="^https?://",
        description="OpenTelemetry collector (OTLP over HTTP) for METRICS_BACKEND.",
    )
    otel_exporter_otlp_traces_endpoint: str | None = Field(
        None,
        pattern="^https?://",
        description="Where spans of traces go by OTLP over HTTP, such as "
        "http://collector:4318/v1/traces; empty sends none.",
    )
    otel_exporter_otlp_traces_headers: SecretStr | None = Field(
        None, description="Headers that go with them: name=value,name=value."
    )
    langfuse_base_url: str = Field(
        "https://cloud.langfuse.com",
        pattern="^https?://",
        description="Langfuse, where traces of questions and readers' scores go as well.",
    )
    langfuse_public_key: str | None = Field(
        None, min_length=1, description="Key of a project there; empty sends nothing."
    )
    langfuse_secret_key: SecretStr | None = Field(None, min_length=1, description="Its secret key.")
    tracing_sample_rate: float = Field(
        1, ge=0, le=1, description="Share of requests and jobs that are traced."
    )
    tracing_content: Literal["off", "masked"] = Field(
        "off",
        description="Whether questions, prompts and answers leave with their traces, masked as "
        "logs are.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe level that is logged."
    )
    log_json: bool = Field(False, description="JSON lines instead of console lines.")
    log_to_file: bool = Field(
        False,
        description="Also to DOCENT_HOME/logs/app_<pid>_<date>.log, which is compressed at 100 MB.",
    )
    log_files_max_bytes: int = Field(
        1_073_741_824,
        ge=104_857_600,
        description="All log files together, beside those that are written to; beyond it the "
        "oldest are removed.",
    )

    @field_validator(
        "allow_origins",
        "provider_order",
        "openrouter_model",
        "groq_model",
        "openai_model",
        "local_llm_model",
        "trusted_proxies",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("secret_manager")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and NAMED.fullmatch(value) is None:
            raise ValueError("must be aws:<secret>, gcp:<project> or azure:<vault's URL>")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the process is told goes before files, and these before a secret manager."""
        sources = (init_settings, env_settings, dotenv_settings, file_secret_settings)
        named = _Place().secret_manager
        manager = cloud_secrets(named, settings_cls) if named else None
        return sources if manager is None else (*sources, manager)

    @field_validator("openrouter_model", "groq_model", "openai_model", "local_llm_model")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("each model once")
        return value

    @field_validator("model_facts", mode="before")
    @classmethod
    def _read_json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("must be a JSON object") from None

    @property
    def issuer(self) -> str:
        """Who issues our tokens; never what a request's Host header says."""
        return self.public_url or f"http://127.0.0.1:{self.port}"

    @property
    def log_folder(self) -> Path | None:
        """Where log files are written, if they are."""
        return self.docent_home / "logs" if self.log_to_file else None

    @field_validator("allow_origins")
    @classmethod
    def _exact(cls, value: list[str]) -> list[str]:
        if not all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in value):
            raise ValueError("must be origins as browsers send them: https://host, without a path")
        return value

    @field_validator("docent_home", "embedding_model_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _another_model(self) -> "Settings":
        if (self.next_embedding_model is None) is not (self.next_embedding_dimension is None):
            raise ValueError("give both NEXT_EMBEDDING_MODEL and NEXT_EMBEDDING_DIMENSION, or none")
        if self.next_embedding_model == self.embedding_model:
            raise ValueError("NEXT_EMBEDDING_MODEL is EMBEDDING_MODEL; models are told by name")
        return self

    @model_validator(mode="after")
    def _coherent(self) -> "Settings":
        if "*" in self.allow_origins and not self.debug:
            raise ValueError("ALLOW_ORIGINS=* is only accepted with DEBUG=true; name the origins")
        if len(set(self.provider_order)) != len(self.provider_order) or not self.provider_order:
            raise ValueError("PROVIDER_ORDER must name at least one provider, each once")
        if self.oidc_issuer and not (self.oidc_client_id and self.oidc_tenant):
            raise ValueError("OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_TENANT")
        if self.rerank_api_base_url and (self.rerank_model_path or not self.rerank_model):
            raise ValueError("RERANK_API_BASE_URL needs RERANK_MODEL, and no RERANK_MODEL_PATH")
        if self.metrics_backend == "datadog" and not self.dd_agent_host:
            raise ValueError("METRICS_BACKEND=datadog needs DD_AGENT_HOST")
        if self.metrics_backend == "opentelemetry" and not self.otel_exporter_otlp_endpoint:
            raise ValueError("METRICS_BACKEND=opentelemetry needs OTEL_EXPORTER_OTLP_ENDPOINT")
        if (self.langfuse_public_key is None) is not (self.langfuse_secret_key is None):
            raise ValueError("give both LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY, or none")
        return self


def load_settings() -> Settings:
    """Read and check the configuration.

    Raises:
        ConfigurationError: naming every variable that is wrong and why, never its value.
    """
    try:
        return Settings(_secrets_dir=_secrets_dir())
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']).upper() or 'settings'}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(f"The configuration is not valid: {problems}.") from None


class _Place(BaseSettings):
    """Where the secrets are; read first, and the same way as everything else."""

    model_config = Settings.model_config

    secrets_dir: Path | None = None
    secret_manager: str | None = None


def _secrets_dir() -> Path | None:
    named = _Place().secrets_dir
    if named is not None and not named.is_dir():
        raise ConfigurationError(
            "The configuration is not valid: SECRETS_DIR: is no folder."
        ) from None
    return named or (_SECRETS if _SECRETS.is_dir() else None)


def env_example() -> str:
    """The text of ``.env.example``: every variable, commented out at its default."""
    lines = ["# Generated by `make env-example` from app/settings.py; copy to .env and edit.", ""]
    for name, field in Settings.model_fields.items():
        default = field.default
        if name == "embedding_model_dir":
            default = None  # depends on the virtual environment
        if isinstance(default, list):
            default = ",".join(default)
        if isinstance(default, dict):
            default = json.dumps(default)
        shown = "" if default is None else str(default)
        lines += [f"# {field.description}", f"# {name.upper()}={shown}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(env_example())
