"""A Redis that dies, freezes and comes back."""

from tests.door import Door


class RedisDoor(Door):
    """Before the real one, whose URL is ``target``."""

    def __init__(self, target: str) -> None:
        super().__init__(target.removeprefix("unix://"))

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"
