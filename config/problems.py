"""What can be wrong with a settings file, in words that name the setting, its line and the way out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["unreadable", "malformed", "unknown", "missing", "wrong", "contradictory"]

_EN: Final[dict[Kind, str]] = {
    "unreadable": "{setting} cannot be read: {detail}",
    "malformed": "{setting} is not valid TOML: {detail}",
    "unknown": "unknown setting {setting}",
    "missing": "setting {setting} is missing",
    "wrong": "setting {setting}: {detail}",
    "contradictory": "setting {setting}: {detail}",
}
_ZH: Final[dict[Kind, str]] = {
    "unreadable": "{setting} 无法读取：{detail}",
    "malformed": "{setting} 不是有效的 TOML：{detail}",
    "unknown": "未知设置 {setting}",
    "missing": "缺少设置 {setting}",
    "wrong": "设置 {setting} 有误：{detail}",
    "contradictory": "设置 {setting} 与其他设置矛盾：{detail}",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `setting` is written as in the file, `[links] retry_min_s`; `line` counts from 1 where known."""

    kind: Kind
    setting: str
    detail: str = ""
    near: str | None = None
    line: int | None = None
    detail_zh: str = ""

    def text(self, lang: str = "en") -> str:
        """One line for people, in `zh_CN` or `en`."""
        chinese = lang == "zh_CN"
        detail = self.detail_zh or self.detail if chinese else self.detail
        words = (_ZH if chinese else _EN)[self.kind].format(setting=self.setting, detail=detail)
        if self.near:
            words += f"；最接近的是 {self.near}" if chinese else f"; the nearest known one is {self.near}"
        if self.line is None:
            return words
        return f"第 {self.line} 行：{words}" if chinese else f"line {self.line}: {words}"


class ConfigError(Exception):
    """The settings cannot be used. `code` is BAD_CONFIG, HOME_MISSING or HOME_VERSION (all exit 78)."""

    def __init__(self, problems: Sequence[Problem], code: str = "BAD_CONFIG") -> None:
        super().__init__("; ".join(problem.text() for problem in problems))
        self.problems = tuple(problems)
        self.code = code
