"""What one check of the doctor found."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from protocol.limits import SECOND_US

Result = Literal["PASS", "WARN", "FAIL"]
"""`WARN`: it works, but somebody should see to it."""

DAY_US: Final = 86_400 * SECOND_US


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is what was looked at, `code` stable; `detail` the particulars in English, without secrets."""

    check: str
    result: Result
    code: str
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        """As JSON types."""
        return {"check": self.check, "result": self.result, "code": self.code, "detail": self.detail}


def judge_end(check: str, code: str, ends_us: int, now_us: int, warn_days: int) -> Finding:
    """Something that is valid until a time: `<code>_OK`, `<code>_ENDS_SOON` within `warn_days`, or `<code>_ENDED`."""
    days = (ends_us - now_us) // DAY_US
    if ends_us <= now_us:
        return Finding(check, "FAIL", f"{code}_ENDED", f"ended {-days} days ago")
    if days < warn_days:
        return Finding(check, "WARN", f"{code}_ENDS_SOON", f"ends in {days} days")
    return Finding(check, "PASS", f"{code}_OK", f"ends in {days} days")
