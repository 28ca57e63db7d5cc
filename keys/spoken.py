"""Fingerprints for the telephone: hexadecimal, groups of digits, and pictures in words, the same for both languages.

What is compared is a SHA-256. Digits and words give its first 16 bytes: to find a second request with the same ones
takes 2^127 tries. A byte is a picture, four bits what it is like and four what it shows. Bytes at even places are
animals and those at odd places things, so that swapped or skipped words are noticed. The Chinese and the English word
of a picture mean the same; both were chosen to sound apart, also with the accents of Jiangsu.
"""

from typing import Final

SPOKEN_BYTES: Final = 16

_Pairs = tuple[tuple[str, str], ...]

_COATS: Final[_Pairs] = (
    ("红", "red"), ("金", "gold"), ("绿", "green"), ("蓝", "blue"), ("紫", "purple"), ("黑", "black"), ("白", "white"),
    ("灰", "grey"), ("粉", "pink"), ("棕", "brown"), ("花", "spotted"), ("胖", "fat"), ("瘦", "thin"), ("快", "quick"),
    ("饿", "hungry"), ("困", "sleepy"),
)  # fmt: skip
_ANIMALS: Final[_Pairs] = (
    ("骆驼", "camel"), ("老虎", "tiger"), ("狮子", "lion"), ("猴子", "monkey"), ("兔子", "rabbit"), ("乌龟", "turtle"),
    ("青蛙", "frog"), ("蝴蝶", "butterfly"), ("孔雀", "peacock"), ("燕子", "swallow"), ("螃蟹", "crab"),
    ("熊猫", "panda"), ("松鼠", "squirrel"), ("海豚", "dolphin"), ("刺猬", "hedgehog"), ("公鸡", "rooster"),
)  # fmt: skip
_STATES: Final[_Pairs] = (
    ("大", "big"), ("小", "small"), ("旧", "old"), ("新", "new"), ("长", "long"), ("短", "short"), ("高", "tall"),
    ("低", "low"), ("热", "hot"), ("冷", "cold"), ("重", "heavy"), ("甜", "sweet"), ("苦", "bitter"), ("空", "empty"),
    ("破", "broken"), ("亮", "bright"),
)  # fmt: skip
_THINGS: Final[_Pairs] = (
    ("窗户", "window"), ("椅子", "chair"), ("茶壶", "teapot"), ("雨伞", "umbrella"), ("火车", "train"),
    ("轮船", "steamer"), ("飞机", "plane"), ("灯笼", "lantern"), ("钥匙", "key"), ("毛笔", "brush"), ("西瓜", "melon"),
    ("花生", "peanut"), ("竹子", "bamboo"), ("月亮", "moon"), ("水井", "well"), ("城墙", "wall"),
)  # fmt: skip


def hex_groups(digest: bytes) -> str:
    """All of it: `2d18 71d8 …`."""
    return " ".join(digest[at : at + 2].hex() for at in range(0, len(digest), 2))


def digit_groups(digest: bytes) -> tuple[str, ...]:
    """Eight groups of five digits, each 16 bits: no group is above 65535."""
    return tuple(f"{int.from_bytes(digest[at : at + 2], 'big'):05d}" for at in range(0, SPOKEN_BYTES, 2))


def words(digest: bytes, lang: str) -> tuple[str, ...]:
    """Sixteen pictures, in `zh_CN` or `en`: `红骆驼 大窗户 …`, `red camel, big window …`."""
    return tuple(_picture(byte, place, lang) for place, byte in enumerate(digest[:SPOKEN_BYTES]))


def _picture(byte: int, place: int, lang: str) -> str:
    likes, shows = (_STATES, _THINGS) if place % 2 else (_COATS, _ANIMALS)
    like, show = likes[byte >> 4], shows[byte & 15]
    return f"{like[0]}{show[0]}" if lang == "zh_CN" else f"{like[1]} {show[1]}"
