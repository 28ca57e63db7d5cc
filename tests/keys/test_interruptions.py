"""Acts that the disk interrupts, at every call that changes it: what is there then is the old network or the new."""

import errno
import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keys.ceremony.network import Network, read_network, renew_timestamp
from keys.ceremony.pending import Signers, change_jointly, find_waiting, propose_jointly, sign_waiting, waiting_acts
from keys.ceremony.proposals import Making, Rotation, propose_rotation, propose_suspensions
from keys.roster.suspensions import SUSPENSION_US, Suspension
from keys.trust import TrustStore
from tests.keys.networks import CHEAP, NOW_US, SMALL, Administrator, make_office
from tests.keys.test_trust_roots import SOON_US

Act = Callable[[Administrator, Path], Network]
CALLS = ("fsync", "link", "rename", "mkdir", "unlink")
"""What a durable change is made of."""


def _change(admin: Administrator, place: Path) -> Network:
    signers = Signers(admin.unlock, policy=SMALL)
    return change_jointly(place, lambda it, _at: replace(it, network="new"), "call it new", SOON_US, signers).network


def _suspend(admin: Administrator, place: Path) -> Network:
    network = read_network(place)
    if network.suspensions:
        return network
    brake = Suspension(make_office(1).id, SOON_US, SOON_US + SUSPENSION_US, "drill")
    act = propose_suspensions(network.files, (brake,), "suspend", SOON_US, SMALL)
    return propose_jointly(place, act, SOON_US, Signers(admin.unlock, policy=SMALL)).network


def _rotate(admin: Administrator, place: Path) -> Network:
    """As the command does it: the one that waits is gone on with."""
    network = read_network(place)
    if network.generation.root_version > 1:
        return network
    rotation = Rotation("targets")
    waiting = [one for one in waiting_acts(place, network.files) if one.files is not None]
    known = find_waiting(waiting, rotation.name)
    signers = Signers(admin.unlock, policy=SMALL)
    if known is not None:
        return sign_waiting(place, network, known, SOON_US, signers).network
    making = Making(random.Random(3).randbytes, admin.unlock, lambda _label: place / "keys", CHEAP)
    act, made = propose_rotation(place, network.files, rotation, SOON_US, making=making, policy=SMALL)
    return propose_jointly(place, act, SOON_US, replace(signers, made=made)).network


def _renew(admin: Administrator, place: Path) -> Network:
    return renew_timestamp(place, SOON_US, policy=SMALL)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Administrator:
    return Administrator(tmp_path_factory.mktemp("founded") / "root")


@pytest.mark.parametrize(
    ("act", "code"), [(_change, errno.EIO), (_rotate, errno.EIO), (_suspend, errno.EROFS), (_renew, errno.EROFS)]
)
def test_g14_an_act_that_the_disk_interrupts_is_done_or_not_and_can_be_gone_on_with(
    founded: Administrator, act: Act, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = 0
    while True:
        step += 1
        place, home = tmp_path / f"root-{step}", tmp_path / f"home-{step}"
        shutil.copytree(founded.place, place)
        before = read_network(place)
        store = TrustStore.install(home, before.files, NOW_US)
        with monkeypatch.context() as patch:
            failed = _fail_from(patch, step, code, for_good=code == errno.EROFS)
            with suppress(OSError):
                act(founded, place)
        after = read_network(place)
        done = act(founded, place)
        assert done.files != before.files
        assert read_network(place).files == done.files
        assert store.update(after.files, SOON_US).code is None
        assert store.update(done.files, SOON_US).code is None
        # What was signed and not carried out is begun again by now, and its first beginning is outdated.
        assert all(one.files is None for one in waiting_acts(place, done.files))
        shutil.rmtree(place)
        shutil.rmtree(home)
        if not failed():
            break
    assert step > 5, "an act changes the disk in several steps"


def _fail_from(patch: pytest.MonkeyPatch, step: int, code: int, *, for_good: bool) -> Callable[[], bool]:
    """Let the call number `step` fail, and with `for_good` every later one; gives whether it came to that."""
    count = 0

    def wrap(whole: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == step or (for_good and count > step):
                raise OSError(code, os.strerror(code))
            return whole(*arguments, **named)

        return called

    for name in CALLS:
        patch.setattr(os, name, wrap(getattr(os, name)))
    return lambda: count >= step
