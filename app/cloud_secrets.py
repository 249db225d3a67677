"""Settings out of a cloud's secret manager: the last place that is looked into for each.

The sources are pydantic-settings' own; what they need to talk to the cloud is installed by whoever
uses one, and credentials are found as each cloud's package finds them.
"""

import re

from pydantic_settings import (
    AWSSecretsManagerSettingsSource,
    AzureKeyVaultSettingsSource,
    BaseSettings,
    GoogleSecretManagerSettingsSource,
    PydanticBaseSettingsSource,
)

from app.errors import ConfigurationError

#: aws:<secret, a JSON object>, gcp:<project>, azure:<vault's URL>.
NAMED = re.compile(r"(?P<cloud>aws|gcp|azure):(?P<place>\S+)")
_PACKAGES = {
    "aws": "boto3",
    "gcp": "google-cloud-secret-manager",
    "azure": "azure-identity azure-keyvault-secrets",
}


def cloud_secrets(named: str, settings: type[BaseSettings]) -> PydanticBaseSettingsSource | None:
    """The source that ``named`` means, already read; None when it is not of the form `NAMED`.

    Raises:
        ConfigurationError: a package is missing, or the manager does not give its secrets away.
    """
    found = NAMED.fullmatch(named)
    if found is None:
        return None
    cloud = found["cloud"]
    try:
        return _opened(cloud, found["place"], settings)
    except ImportError:
        raise ConfigurationError(
            f"SECRET_MANAGER: {cloud} needs packages that are not installed: {_PACKAGES[cloud]}."
        ) from None
    except Exception as error:  # noqa: BLE001 - each cloud has its own; their texts may tell secrets
        raise ConfigurationError(
            f"SECRET_MANAGER: {cloud} did not answer with the secrets ({type(error).__name__})."
        ) from None


def _opened(cloud: str, place: str, settings: type[BaseSettings]) -> PydanticBaseSettingsSource:
    if cloud == "aws":
        return AWSSecretsManagerSettingsSource(settings, place, case_sensitive=False)
    if cloud == "gcp":
        return GoogleSecretManagerSettingsSource(settings, project_id=place, case_sensitive=False)
    from azure.identity import (  # type: ignore[import-not-found]
        DefaultAzureCredential,
    )

    return AzureKeyVaultSettingsSource(
        settings, place, DefaultAzureCredential(), case_sensitive=False, dash_to_underscore=True
    )
