"""Where a caller wants the text to end: before the first of its stop sequences (ADR 0042)."""

from collections.abc import Sequence
from dataclasses import replace

from app.chat.answer import Answer


class Stop:
    """Lets text through until a sequence is complete in it, however the text is sliced."""

    def __init__(self, sequences: Sequence[str]) -> None:
        """``sequences`` are not empty; without any, all text is let through as it comes."""
        self._sequences = sequences
        self._held = ""
        self.reached = False

    def take(self, text: str, *, last: bool = False) -> str:
        """What can be told of ``text``, the next of the answer, and of what was held back."""
        if not self._sequences:
            return text
        if self.reached:
            return ""
        text = self._held + text
        found = [(at + len(one), at) for one in self._sequences if (at := text.find(one)) >= 0]
        if found:
            self.reached = True
            return text[: min(found)[1]]
        told = len(text) if last else len(text) - self._begun(text)
        self._held = text[told:]
        return text[:told]

    def _begun(self, text: str) -> int:
        """How many characters at the end of ``text`` may begin a sequence."""
        return max(
            size for one in self._sequences for size in range(len(one)) if text.endswith(one[:size])
        )


def stopped(answer: Answer, sequences: Sequence[str]) -> Answer:
    """``answer``, its text ended where the caller wants it to."""
    return replace(answer, text=Stop(sequences).take(answer.text, last=True))
