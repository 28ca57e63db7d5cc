"""What a caller asked for and what came of it, for the audit log: who, which messages, with which code (G15)."""

from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request

from protocol.errors import Refused
from relay.audit.notes import Notes

ID_CHARS: Final = 36
"""Length of a message id. What a caller gives instead of one is text, and no text goes into the log (G11)."""


@dataclass(slots=True)
class Asked:
    """Handlers say with `came` which messages it was about; else it was about the one in the path, if any."""

    outcomes: dict[tuple[str, int | None], list[str]] = field(default_factory=dict)
    only_looked: bool = False
    """Nothing was read but the state of a message: that is not noted."""

    def came(self, message_id: Any, code: str = "OK", to: int | None = None) -> None:
        """One message with its result; `to` counts the recipients of an accepted one."""
        self.outcomes.setdefault((code, to), []).append(_only_id(message_id))

    def note(self, notes: Notes, by: str, did: str, message_id: str | None, code: str) -> None:
        """Hand it to the log. `code` is that of the request as a whole."""
        if not self.outcomes:
            self.came(message_id, code)
        for (result, to), ids in self.outcomes.items():
            known = [each for each in ids if each]
            counted = {} if to is None else {"to": to}
            if known:
                notes.add_ids(by, did, known, code=result, **counted)
            if len(known) < len(ids):
                notes.add(by, did, code=result, **counted)


def asked_of(request: Request) -> Asked:
    """The record of this request."""
    found: Asked = request.state.asked
    return found


def came_of(request: Request, answers: list[Any], ids: list[str]) -> None:
    """A list of answers: objects, or `Refused` for the id at the same place."""
    asked = asked_of(request)
    for message_id, answer in zip(ids, answers, strict=True):
        if isinstance(answer, Refused):
            asked.came(message_id, answer.code)
        else:
            asked.came(answer.get("id", message_id), "OK", len(answer["to"]) if "accepted_at" in answer else None)


def _only_id(given: Any) -> str:
    """An id or the beginning of one; nothing for other text."""
    text = given.partition("@")[0] if isinstance(given, str) else ""
    return text if len(text) <= ID_CHARS and not text.strip("0123456789abcdef-") else ""
