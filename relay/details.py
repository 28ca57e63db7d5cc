"""Details behind codes and alarms in Chinese.

A detail is written once, in English, where the fault is known: so it goes into logs, JSON and the answers of the API.
People who read Chinese are shown its Chinese form, found by the English one, as gettext would. What has none, such as
the words of a library or of the wire's rules, stays as it is. Pure.
"""

from typing import Final

from relay.wording_details_zh import DETAILS


def in_chinese(detail: str) -> str:
    """The detail as a reader of Chinese is shown it; its values, and what follows a name and a colon, likewise."""
    for english, chinese in _MOST_WORDS_FIRST:
        values = _values(english, detail)
        if values is not None:
            return chinese.format(*map(in_chinese, values))
    for mark, chinese_mark in (("; ", "；"), (": ", "：")):
        first, found, rest = detail.partition(mark)
        said = (in_chinese(first), in_chinese(rest)) if found else (first, rest)
        if said != (first, rest):
            return chinese_mark.join(said)
    return detail


def _values(english: str, detail: str) -> list[str] | None:
    """What stands in a detail where its English form has `{}`; None when it is not of that form."""
    begin, *parts = english.split("{}")
    if not parts:
        return [] if detail == english else None
    if not detail.startswith(begin):
        return None
    values, at = list[str](), len(begin)
    for part in parts[:-1]:
        end = detail.find(part, at)
        if end < 0:
            return None
        values.append(detail[at:end])
        at = end + len(part)
    end = len(detail) - len(parts[-1])
    return [*values, detail[at:end]] if end >= at and detail.endswith(parts[-1]) else None


_MOST_WORDS_FIRST: Final = sorted(DETAILS.items(), key=lambda item: (-len(item[0].replace("{}", "")), item[0]))
"""`must be one of {}` is looked for before `must be {}`."""
