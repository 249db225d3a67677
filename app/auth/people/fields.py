"""Fields that people fill in."""

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from app.auth.user import MAX_EMAIL, MAX_NAME, normal_email, normal_name
from app.errors import InvalidRequest


def _by(normal: Callable[[str], str]) -> AfterValidator:
    def check(value: str) -> str:
        try:
            return normal(value)
        except InvalidRequest as error:
            raise ValueError(error.detail.rstrip(".")) from error

    return AfterValidator(check)


Email = Annotated[str, StringConstraints(max_length=MAX_EMAIL), _by(normal_email)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME), _by(normal_name)]
