"""What the API asks of the office behind it. `relay.service.OfficeService` is the real one."""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from protocol.audit import Mark
from protocol.errors import Refused
from relay.draft import Draft

Object = dict[str, Any]
"""A JSON object of CONTRACT, without its `"v":1`, which the API adds."""


class OfficeOperations(Protocol):
    """Every operation of one office.

    Each raises `Refused` with a stable code when it cannot be carried out: NOT_FOUND for an unknown id,
    AMBIGUOUS for a beginning of an id that fits several. All arguments are given by position.
    """

    async def send(self, drafts: Sequence[Draft], /) -> list[Object | Refused]:
        """Accepts drafts durably; one answer each, in order."""
        ...

    async def inbox_list(self, state: str | None, limit: int, /) -> list[Object]: ...

    async def inbox_show(self, id_prefix: str, /) -> Object: ...

    async def inbox_head(self, id_prefix: str, /) -> Object: ...

    async def inbox_files(self, id_prefix: str, /) -> Object:
        """`{"meta": object, "body": text, "attachments": [{"name": text, "data": bytes}]}`."""
        ...

    async def inbox_take(self, limit: int, /) -> list[Object]: ...

    async def inbox_ack(self, ids: Sequence[str], /) -> list[Object | Refused]: ...

    async def sign_for(self, message_id: str, by: str, signature: bytes | None, /) -> Object: ...

    async def return_message(self, message_id: str, reason: str, /) -> Object: ...

    async def forward(self, message_id: str, draft: Draft, /) -> Object: ...

    async def track(self, id_prefix: str, /) -> Object: ...

    async def wait_for(self, id_prefix: str, state: str, timeout_s: float, /) -> Object:
        """The tracking object as soon as every recipient reached `state`; raises `Refused` WAIT_TIMEOUT."""
        ...

    async def sent_list(self, state: str | None, limit: int, /) -> list[Object]: ...

    async def evidence(self, id_prefix: str, redact_body: bool, boxes: Collection[str], /) -> bytes:
        """The evidence file of a message in one of the boxes, `sent` or `inbox`."""
        ...

    async def cancel(self, message_id: str, /) -> Object: ...

    async def office(self) -> Object:
        """Address, name and ids of this office and its network."""
        ...

    async def status(self) -> Object: ...

    async def clock_accept(self) -> Object:
        """Follows the wall clock from now on, wherever it jumped; the `clock` object of `status`."""
        ...

    async def audit_accept(self) -> Object:
        """Ends the alarm AUDIT_DAMAGED about what is wrong now; `problems`, and `left` what was not accepted."""
        ...

    async def home_accept(self) -> Object:
        """Ends the alarms RESTORED and CLONED; the `home` object of `status`."""
        ...

    async def statistics(self, limit: int, /) -> list[Object]: ...

    async def prekey_renew(self) -> Object:
        """Makes and publishes the next prekey of this office now; `epoch`, `from` and `until` of it."""
        ...

    async def queue_list(self, limit: int, /) -> list[Object]: ...

    async def queue_show(self, id_prefix: str, /) -> Object: ...

    async def quarantine_list(self) -> list[Object]: ...

    async def quarantine_show(self, key: str, /) -> Object: ...

    async def overdue(self) -> list[Object]: ...

    async def fsck(self) -> Object: ...

    async def doctor(self) -> list[Object]:
        """What is right and what is not, one object a check."""
        ...

    async def trust_take(self, files: Mapping[str, bytes], /) -> Object:
        """Takes newer trust files and publishes them: `version`, `changed`, and the `brokers` that have them now.

        Raises `Refused` BAD_TRUST for files that do not verify or are older than what is known.
        """
        ...

    async def trust_files(self) -> Object:
        """`version`, and the verified trust files by name, in base64."""
        ...

    async def audit_lines(self, limit: int, after: int, /) -> list[Object]: ...

    async def audit_heads(self) -> list[Object]: ...

    async def audit_verify(self, heads: Sequence[Mark], /) -> Object:
        """The report of a check; `heads` are known from outside."""
        ...

    async def audit_export(self) -> Iterator[bytes]:
        """The audit log as a tar archive, in pieces."""
        ...

    async def metrics(self) -> bytes:
        """The text format of Prometheus."""
        ...

    async def ready(self) -> Object:
        """An object with `ready`: bool and what is missing."""
        ...

    def events(self, after_seq: int, /) -> AsyncIterator[Object]:
        """Events with a `seq` above `after_seq`, then new ones for ever; -1 means new ones only."""
        ...
