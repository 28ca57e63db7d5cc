"""`relay demo`: a network of four offices, five acts, and a clear end."""

from pathlib import Path
from typing import Any

from relay.console.choices import Choices
from relay.console.failure import Failure, report
from relay.demo.acts import Scenes, act_broker_killed, act_closing, act_evidence, act_report, act_screening
from relay.demo.cast import DEFAULT_SUITE, SUITE_NAMES
from relay.demo.stage import Stage, open_stage
from relay.demo.telling import Telling


def run(keep: Path | None, *, as_json: bool, lang: str, suite: int | None) -> int:
    """Tell the story; the exit status is 0 when every check held, else 1.

    `keep` is a new or empty directory where everything stays, `suite` the only cipher suite that the network allows.
    Raises `Refused` FILE_EXISTS, CANNOT_WRITE, BROKER_MISSING.
    """
    telling = Telling(lang, as_json=as_json)
    number = suite or DEFAULT_SUITE
    telling.begin("suite", suite=number, name=SUITE_NAMES[number])
    try:
        with open_stage(keep, lang, suite) as stage:
            found = _play(stage, telling)
    except Failure as failure:
        why = failure.detail or failure.code
        telling.result(ok=False, why=why)
        if keep is None:
            telling.note("logs")
        return report(Failure("CHECK_FAILED", why), Choices(lang=lang, json=as_json))
    telling.result(ok=True, suite=number, **found)
    if keep is not None:
        telling.note("kept", directory=keep.absolute())
    return 0


def _play(stage: Stage, telling: Telling) -> dict[str, Any]:
    """All acts in their order; the numbers of the last one. Raises `Failure` where something did not hold."""
    telling.act("network")
    telling.check("lab_made", root_fingerprint=stage.lab.root_fingerprint)
    stage.start()
    telling.check("all_ready")
    scenes = Scenes(stage, telling)
    act_report(scenes)
    act_screening(scenes)
    act_broker_killed(scenes)
    act_evidence(scenes)
    return act_closing(scenes)
