"""What is sent: a real report text where one is at hand, else our own sample; an attachment; marks to search for."""

import base64
import secrets
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from protocol.limits import TITLE_CHARS
from relay.console.drafting import new_id

NOTICE: Final = Path("shared") / "references" / "notice-1996-104.txt"
"""A notice of 1996 on how reports are to be made; lies beside a development checkout."""

ATTACHMENT_BYTES: Final = 30_000
ATTACHMENT_NAME: Final = "现场照片.jpg"
MARK_BYTES: Final = 48


@dataclass(frozen=True, slots=True)
class Papers:
    """One report. `marks` are pieces of its plain bytes: no relay on the way may hold any of them."""

    title: str
    body: str
    attachment: bytes
    marks: tuple[bytes, ...]
    source: str


def gather_papers() -> Papers:
    """A report with a line of its own at the end and an attachment of random bytes, which no compression shrinks."""
    text, source = _text()
    heading = text.lstrip("#").strip().partition("\n")[0].replace(" ", "")
    line = f"演示编号 {secrets.token_hex(16)}"
    attachment = secrets.token_bytes(ATTACHMENT_BYTES)
    pieces = [attachment[start : start + MARK_BYTES] for start in range(0, ATTACHMENT_BYTES - MARK_BYTES, 3_000)]
    sentences = [part for part in text.splitlines() if len(part) > MARK_BYTES // 3][:8]
    marks = (line.encode(), *(part.encode()[:MARK_BYTES] for part in sentences), *pieces)
    return Papers(heading[:TITLE_CHARS], f"{text.rstrip()}\n\n{line}\n", attachment, marks, source)


def _text() -> tuple[str, str]:
    """The text and the name of its file."""
    checkout = Path(__file__).resolve().parents[2]
    for place in (Path.cwd(), Path.cwd().parent, checkout.parent):
        try:
            return (place / NOTICE).read_text("utf-8"), NOTICE.name
        except (OSError, UnicodeDecodeError):
            continue
    return files("relay.demo").joinpath("sample.txt").read_text("utf-8"), "sample.txt"


def report_draft(papers: Papers, to: str) -> dict[str, Any]:
    """The report with its attachment, as the API takes it."""
    data = base64.b64encode(papers.attachment).decode()
    return {
        "id": new_id(),
        "to": to,
        "title": papers.title,
        "body": papers.body,
        "attachments": [{"name": ATTACHMENT_NAME, "data": data}],
    }


def routine_draft(number: int, to: str) -> dict[str, Any]:
    """An ordinary report, one of many."""
    body = f"第 {number} 期：今日无重要情况，各项工作平稳有序。\n"
    return {"id": new_id(), "to": to, "title": f"每日信息第 {number} 期", "body": body}


def flash_draft(to: str) -> dict[str, Any]:
    """A first report on an incident."""
    return {
        "id": new_id(),
        "to": to,
        "title": "突发事件首报：海堤二号闸渗漏",
        "body": "十时二十分，海堤二号闸左岸发现渗漏，已组织抢护，无人员伤亡，续报随后。\n",
        "urgency": "flash",
        "kind": "incident_first",
        "event_level": "II",
    }
