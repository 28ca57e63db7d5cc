"""One flipped bit in any file of a home: a clear refusal to start, or a relay that works and alters nothing (G3, G16).

The county has read mail, unread mail, delivered reports and waiting ones. For every trial its home is put back as it
was when it was killed, one bit is flipped, and it is started: it either ends with a refusal that an administrator can
act upon, or it serves, and whatever it then shows is byte for byte what was sent.
"""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from relay.console.failure import Failure
from tests.live.network import CITY, COUNTY, PROVINCE, until
from tests.torture.stage import READY_S, Stage, stage

MESSAGES = 12
REFUSALS = ("BAD_CONFIG", "BAD_STORE", "BAD_KEYS", "BAD_TRUST", "HOME_VERSION", "BAD_PASSPHRASE", "BAD_AUDIT")
STORE_SHARE = 0.6
"""Part of the trials that goes to the database and its WAL; the others take every other file in turn."""


@dataclass(slots=True)
class Result:
    """What trials ended in, and what must never happen."""

    trials: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    faults: list[str] = field(default_factory=list)


def torture(folder: Path, seed: int, trials: int) -> Result:
    """Flip so many bits, one at a time."""
    result = Result()
    random_ = random.Random(seed)
    with stage(folder) as found:
        bodies = _prepare(found)
        home, kept = found.lab.home(COUNTY), folder / "kept"
        shutil.copytree(home, kept, ignore=shutil.ignore_patterns("run"))
        files = sorted(path.relative_to(kept) for path in kept.rglob("*") if path.is_file() and path.stat().st_size)
        for path in _choose(files, random_, trials):
            shutil.rmtree(home)
            shutil.copytree(kept, home)
            where = _flip(home / path, random_)
            _try(found, bodies, result, f"seed {seed}: {path} {where}")
    return result


def _prepare(found: Stage) -> dict[str, str]:
    """Mail of every kind; the body of each message by its id. The county ends by kill -9."""
    for office in (CITY, COUNTY):
        found.start(office)
    for office in (CITY, COUNTY):
        found.wait_ready(office)
        found.wait_connected(office)
    bodies = {}
    for number in range(MESSAGES):
        body = f"{number} " + "水位上涨。" * 40
        bodies[found.lab.send(CITY, COUNTY, f"报告{number}", body)] = body
        for to in (CITY, PROVINCE):
            found.lab.send(COUNTY, to, f"报告{number}", body)
    until(lambda: len(found.lab.inbox(COUNTY)) == MESSAGES and found.lab.counters(COUNTY)["delivered"] >= MESSAGES, 60)
    found.lab.take(COUNTY, MESSAGES // 3)
    found.kill(COUNTY)
    # Nobody is there to send again what the county lost: it has what lies on its disk.
    found.kill(CITY)
    return bodies


def _choose(files: list[Path], random_: random.Random, trials: int) -> Iterator[Path]:
    store = [path for path in files if path.name.startswith("relay.db")]
    others = [path for path in files if path not in store]
    random_.shuffle(others)
    for number in range(trials):
        yield random_.choice(store) if random_.random() < STORE_SHARE else others[number % len(others)]


def _flip(path: Path, random_: random.Random) -> str:
    data = bytearray(path.read_bytes())
    place, bit = random_.randrange(len(data)), random_.randrange(8)
    data[place] ^= 1 << bit
    path.write_bytes(data)
    return f"byte {place} bit {bit}"


def _try(found: Stage, bodies: dict[str, str], result: Result, what: str) -> None:
    result.trials += 1
    log = found.log(COUNTY)
    before = log.stat().st_size
    running = found.start(COUNTY)
    until(lambda: found.answers(COUNTY) or running.has_ended(), READY_S, 0.01)
    if running.has_ended():
        end = next((code for code in REFUSALS if code in log.read_text()[before:]), "")
        result.ends[end or "ended"] += 1
        if not end:
            result.faults.append(f"{what}: no clear refusal")
    else:
        result.ends["serves"] += 1
        result.unreadable += _read_everything(found, bodies, result, what)
    if running.has_ended() and result.ends and not _refused(log.read_text()[before:]):
        result.faults.append(f"{what}: it ended while it was used")
    found.kill(COUNTY)
    said = log.read_bytes()[before:].decode(errors="replace")
    result.faults += [f"{what}: {word}\n{said[-3000:]}" for word in ("Traceback", "INTERNAL") if word in said]


def _refused(said: str) -> bool:
    return any(code in said for code in REFUSALS)


def _read_everything(found: Stage, bodies: dict[str, str], result: Result, what: str) -> int:
    """Look at all that can be looked at; how many messages could not be read."""
    unreadable = 0
    with found.api(COUNTY) as api:
        for request in ("/v1/status", "/v1/queue"):
            try:
                list(api.read(request).many())
            except Failure as failure:
                result.ends[f"{request} {failure.code}"] += 1
        try:
            sent = len(list(api.read("/v1/messages", box="sent", limit=1_000).many()))
        except Failure as failure:
            result.ends[f"sent {failure.code}"] += 1
        else:
            # One row may be damaged, or two on whose border the bit lies; more were forgotten.
            if sent < 2 * MESSAGES - 2:
                result.faults.append(f"{what}: only {sent} of {2 * MESSAGES} accepted messages are known")
        try:
            taken = list(api.change("/v1/inbox/take", {"max": 100}).many())
        except Failure as failure:
            result.ends[f"take {failure.code}"] += 1
            taken = []
        for message in taken:
            if bodies.get(message["id"]) != message["body"]:
                result.faults.append(f"{what}: {message['id']} was handed out altered")
        for message_id, body in bodies.items():
            try:
                shown = api.read(f"/v1/messages/{message_id}").one()
            except Failure:
                unreadable += 1
                continue
            if shown.get("body", body) != body:
                result.faults.append(f"{what}: {message_id} is shown altered")
    return unreadable
