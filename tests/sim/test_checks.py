"""Every check of the simulator bites: an engine that breaks a guarantee is caught by the check of that guarantee."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.schema import Patience
from keys.roster import directory
from protocol.audit import Mark
from protocol.delivery import Due
from protocol.lanes import Lane
from protocol.life import Life
from protocol.outbox import Outbox
from protocol.parcel import Timing
from protocol.stream import take
from relay import ending, engine, inbox, janitor, settle
from relay.aftermath import Aftermath, Swept
from relay.audit.check import Walk
from relay.audit.log import AuditLog
from relay.ground import Ground
from relay.repeating import Repeated
from relay.store import inbox as inbox_table
from relay.store import quarantine, sent, streams
from relay.store.tables import SENT
from tests.sim import cheap, office, storm
from tests.sim.broken import Broken
from tests.sim.campaign import Failure, attempt, shrink
from tests.sim.checks.secrecy import check_bytes, check_disks
from tests.sim.facts import CANARY, CLERK
from tests.sim.lanes import PASSED_MOST, LaneWatch
from tests.sim.storm import Result
from tests.sim.weather import Plan, weather_of

Break = Callable[[pytest.MonkeyPatch], None]


def forget_sent(patch: pytest.MonkeyPatch) -> None:
    """G1: what was accepted is forgotten."""
    accept = sent.accept

    def forgetful(txn: Any, *args: Any, **named: Any) -> Any:
        group = accept(txn, *args, **named)
        for one in named["prepared"][:1]:
            SENT.delete(txn, one.message_id)
        return group

    patch.setattr(sent, "accept", forgetful)


def hide_repetition(patch: pytest.MonkeyPatch) -> None:
    """G2: what was handed out before comes as new."""
    patch.setattr(inbox_table, "REDELIVERED", 0)


def alter_text(patch: pytest.MonkeyPatch) -> None:
    """G3: another text than was sent."""
    shown = inbox.inbox_object
    patch.setattr(inbox, "inbox_object", lambda *args: shown(*args) | {"body": "another"})


def hide_gaps(patch: pytest.MonkeyPatch) -> None:
    """G4: skipped numbers are not noticed."""

    def blind(*args: Any) -> Any:
        step = take(*args)
        return replace(step, stream=replace(step.stream, holes=()))

    patch.setattr(streams.stream, "take", blind)


def confirm_nothing(patch: pytest.MonkeyPatch) -> None:
    """G7: a receipt for what is in no inbox."""
    patch.setattr(settle.inbox, "insert", lambda *_: None)


def call_expired(patch: pytest.MonkeyPatch) -> None:
    """G8: what was sent is called expired."""
    patch.setattr(ending, "due", lambda **about: Due.EXPIRED if about["now_us"] >= about["expires_us"] else Due.WAIT)


def never_expire(patch: pytest.MonkeyPatch) -> None:
    """G9: nobody looks at the clock."""
    turn = janitor._turn

    def blind(txn: Any, *args: Any, **named: Any) -> Any:
        return turn(replace(txn, now_us=0), *args, **named)

    patch.setattr(janitor, "_turn", blind)


def believe_everybody(patch: pytest.MonkeyPatch) -> None:
    """G10: nobody looks at signatures."""
    patch.setattr(cheap, "_verify", lambda *_: True)


def suspect_itself(patch: pytest.MonkeyPatch) -> None:
    """G12: a home takes what it said in an earlier process for the words of another life."""
    judge = Life.judge
    patch.setattr(Life, "judge", lambda life, *about: judge(replace(life, starts=life.starts[-1:]), *about))


def be_patient(patch: pytest.MonkeyPatch) -> None:
    """G16: nobody ever loses patience with a custodian that swallows."""
    patch.setattr(office, "PATIENCE", Patience(*[1e6] * 5))
    # What never comes need not be waited for as long as what comes late.
    patch.setattr(storm, "HEAL_S", 120.0)


def lose_receipts(patch: pytest.MonkeyPatch) -> None:
    """G16: what clerks say never leaves."""
    patch.setattr(inbox, "held", SimpleNamespace(hold=lambda *_: []))
    patch.setattr(janitor, "repeat", lambda *_: Repeated([], [], more=False))
    patch.setattr(storm, "QUIET_S", 10.0)


def forgive_revoked(patch: pytest.MonkeyPatch) -> None:
    """G14: keys of a revoked office count as before."""
    patch.setattr(directory, "_revoked_at", lambda *_: False)


def mark_nothing(patch: pytest.MonkeyPatch) -> None:
    """G14: what was delivered before a revocation was known stays as it is."""
    patch.setattr(Aftermath, "doubt_messages_of", lambda *_, **__: Swept())


def believe_answers(patch: pytest.MonkeyPatch) -> None:
    """G14: so do verdicts."""
    patch.setattr(Aftermath, "doubt_answers_of", lambda *_, **__: Swept())


def leave_mail(patch: pytest.MonkeyPatch) -> None:
    """G14: what is under way to a revoked office goes on waiting."""
    patch.setattr(Aftermath, "end_mail_to", lambda *_, **__: Swept())


def trust_the_cache(patch: pytest.MonkeyPatch) -> None:
    """G15: lines are called durable before they are, and a power cut takes them."""

    def sync(log: AuditLog, _: int) -> Mark:
        log._is_durable()
        return log.durable

    patch.setattr(AuditLog, "sync", sync)


def overlook_edits(patch: pytest.MonkeyPatch) -> None:
    """G15: whoever checks a log sees nothing."""
    patch.setattr(Walk, "_problem", lambda *_: None)


def never_move(patch: pytest.MonkeyPatch) -> None:
    """G16: the date of a change goes by."""
    patch.setattr(Ground, "directory", property(lambda ground: ground.trust.directory))


def keep_all_suspects(patch: pytest.MonkeyPatch) -> None:
    """G13: the quarantine has no end."""
    put = quarantine.put
    for module in (settle, engine):
        patch.setattr(module.quarantine, "put", lambda txn, suspects, *_: put(txn, suspects, 1 << 30, 1 << 40))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("sign", "breaks", "kinds", "mode"),
    [
        ("G1", forget_sent, "", "liveness"),
        ("G2", hide_repetition, "crash", "liveness"),
        ("G3", alter_text, "", "liveness"),
        ("G4", hide_gaps, "drop,late,crash", "safety"),
        ("G7", confirm_nothing, "", "liveness"),
        ("G8", call_expired, "short_lives,partition", "liveness"),
        ("G9", never_expire, "short_lives,absent", "safety"),
        ("G10", believe_everybody, "forge", "liveness"),
        ("G12", suspect_itself, "crash,replay", "safety"),
        ("G16", be_patient, "absent,flap,forgetful,partition", "liveness"),
        ("G16", lose_receipts, "", "liveness"),
        ("G14", forgive_revoked, "revoke", "safety"),
        ("G14", mark_nothing, "revoke", "liveness"),
        ("G14", believe_answers, "revoke", "liveness"),
        ("G14", leave_mail, "revoke,absent", "liveness"),
        ("G13", keep_all_suspects, "forge,damage", "liveness"),
        ("G15", trust_the_cache, "power", "liveness"),
        ("G15", overlook_edits, "edit", "safety"),
        ("G16", never_move, "reform", "liveness"),
    ],
)
def test_a_broken_engine_is_caught(
    sign: str, breaks: Break, kinds: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch)
    hours = 0.2 if sign == "G9" else 0.0
    found = set()
    for seed in range(8):
        only = frozenset(kinds.split(",")) - {""}
        result = attempt(Plan(seed, 40, hours, mode, only))
        if isinstance(result, Failure):
            found.add(result.sign)
        if sign in found:
            return
    raise AssertionError(f"{breaks.__name__} was not caught by {sign}, but by {found}")


def test_g05_two_lower_frames_before_a_flash_frame_are_caught() -> None:
    watch = LaneWatch("320924-GO")
    watch.follow(Outbox(b"me", Timing(1, 1, {}, 1)))  # type: ignore[arg-type]
    watch._on_plan("fast", {Lane.FLASH}, Lane.FLASH)
    watch.on_start("fast", "relay/1/320925-GO/urgent/320924-GO")
    with pytest.raises(Broken, match="G5"):
        watch.on_start("fast", "relay/1/320925-GO/urgent/320924-GO")


def test_g06_a_starved_lane_and_two_shares_in_a_row_are_caught() -> None:
    watch = LaneWatch("320924-GO")
    watch.follow(Outbox(b"me", Timing(1, 1, {}, 1)))  # type: ignore[arg-type]
    for _ in range(PASSED_MOST):
        watch._on_plan("slow", {Lane.PRIORITY, Lane.BULK}, Lane.PRIORITY)
    with pytest.raises(Broken, match="G6"):
        watch._on_plan("slow", {Lane.PRIORITY, Lane.BULK}, Lane.PRIORITY)
    watch._on_plan("fast", {Lane.FLASH, Lane.URGENT}, Lane.URGENT)
    with pytest.raises(Broken, match="G6"):
        watch._on_plan("fast", {Lane.FLASH, Lane.URGENT}, Lane.URGENT)


@pytest.mark.parametrize("secret", [CANARY, CLERK])
def test_g11_a_secret_in_a_publish_or_on_a_disk_is_caught(secret: str, tmp_path: Path) -> None:
    with pytest.raises(Broken, match="G11"):
        check_bytes(b"\x00" + secret.encode(), "a topic")
    (tmp_path / "relay.db").write_bytes(secret.encode())
    with pytest.raises(Broken, match="G11"):
        check_disks(tmp_path)


def test_a_failure_is_made_small() -> None:
    def try_(plan: Plan) -> Result | Failure:
        fails = {"drop", "crash"} <= weather_of(plan).kinds and plan.messages >= 3
        return Failure(plan, "G1", "", "") if fails else Result(plan.seed)

    plan = Plan(1, 40, 24, only=frozenset(("drop", "crash", "late", "wipe")))
    small = shrink(Failure(plan, "G1", "", ""), try_).plan
    assert (small.only, small.messages, small.hours <= 1) == ({"drop", "crash"}, 3, True)
    assert small.options().endswith("--only crash,drop")
