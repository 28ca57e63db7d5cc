"""Keys that are lost, every subset of them; and histories in which now these holders are here and now those."""

import random
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.ceremony.network import read_network
from keys.ceremony.pending import Signers, change_jointly, waiting_acts
from keys.ceremony.proposals import Making, Rotation, propose_rotation, sitting_over
from keys.ceremony.roles import roles_of
from keys.trust import TrustError, TrustStore
from keys.trust.policy import Policy
from protocol.errors import Refused
from tests.keys.acts import carry_out, publish_directory
from tests.keys.networks import CHEAP, NOW_US, SMALL, Administrator
from tests.keys.test_trust_roots import SOON_US

WHOLE = Policy(suspension_keys=1)
"""3 of 5 root keys, 2 of 3 for directories: what a network has unless it says otherwise."""

LOST = [
    (role, frozenset(f"{role}-{number}" for number in lost))
    for role, count, spare in (("root", 5, 2), ("targets", 3, 1))
    for size in (spare, spare + 1)
    for lost in combinations(range(1, count + 1), size)
]


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Administrator:
    return Administrator(tmp_path_factory.mktemp("founded") / "root", policy=WHOLE)


@pytest.mark.parametrize(("role", "lost"), LOST, ids=lambda one: one if isinstance(one, str) else "-".join(sorted(one)))
def test_g14_while_a_threshold_of_keys_is_left_all_that_are_lost_are_replaced(
    founded: Administrator, role: str, lost: frozenset[str], tmp_path: Path
) -> None:
    """Any N-M of them. With one more root key the root is gone, and nothing was changed by trying."""
    place = tmp_path / "root"
    shutil.copytree(founded.place, place)
    for label in lost:
        (place / "keys" / f"{label}.key").unlink()
    store = TrustStore.install(tmp_path / "home", founded.files, NOW_US)
    making = Making(random.Random(7).randbytes, founded.unlock, lambda _label: place / "keys", CHEAP)
    files = read_network(place).files
    act, made = propose_rotation(
        place, files, Rotation(role, tuple(sorted(lost))), SOON_US, making=making, policy=WHOLE
    )
    # New targets keys are the root's to give: its holders are all here.
    if role == "root" and len(lost) > 2:
        with pytest.raises(Refused, match="NOT_ENOUGH_KEYS"):
            carry_out(place, act, SOON_US, unlock=founded.unlock, policy=WHOLE, made=made)
        assert read_network(place).files == files
        return
    network = carry_out(place, act, SOON_US, unlock=founded.unlock, policy=WHOLE, made=made)
    holders = next(one for one in roles_of(network.files) if one.name == role)
    assert not set(holders.holders) & lost
    assert (len(holders.holders), holders.threshold) == {"root": (5, 3), "targets": (3, 2)}[role]
    assert store.update(network.files, SOON_US).code is None
    # What was lost is not needed any more, for anything.
    after = publish_directory(place, network.directory, SOON_US + 1, unlock=founded.unlock, policy=WHOLE)
    assert store.update(after.files, SOON_US + 1).trust.version == 2


steps = st.tuples(
    st.sampled_from(
        ["call it a", "call it b", "call it b", "rotate root", "rotate targets", "rotate timestamp", "renew", "suspend"]
    ),
    st.frozensets(st.integers(0, 2)),
    st.integers(1, 3),
)


@settings(max_examples=10)
@given(script=st.lists(steps, min_size=3, max_size=7))
def test_g14_nothing_is_in_force_that_too_few_have_signed(script: list[tuple[str, frozenset[int], int]]) -> None:
    """Random acts by whoever happens to be here, against a model that counts; an office sees every generation.

    What waits is offered to the office too, under a snapshot and a timestamp that a thief of the online keys made.
    """
    with TemporaryDirectory() as folder:
        admin = Administrator(Path(folder) / "root")
        store = TrustStore.install(Path(folder) / "home", admin.files, NOW_US)
        trust = store.load(NOW_US)
        now_us = NOW_US
        signed: dict[str, set[str]] = {}
        for name, here, days in script:
            now_us += days * 1_000_000

            def unlock(label: str, here: frozenset[int] = here) -> bytes | None:
                role, _, number = label.rpartition("-")
                among = 3 if role == "root" else 2
                return admin.unlock(label) if (int(number) - 1) % among in here else None

            before = read_network(admin.place)
            done = _act(admin, name, unlock, now_us, signed, here)
            network = read_network(admin.place)
            assert (network.files != before.files) == done
            result = store.update(network.files, now_us)
            assert result.code is None
            assert result.trust.version >= trust.version
            assert result.trust.root_version >= trust.root_version
            assert result.trust.clock_floor_us >= trust.clock_floor_us
            trust = result.trust
            for waiting in waiting_acts(admin.place, network.files):
                if waiting.files is not None:
                    forged = {**waiting.files, **waiting.act.files}
                    thief = sitting_over(admin.place, forged, lambda _label: None, SMALL, now_us)
                    assert store.update(thief.refresh(forged), now_us).code == "TRUST_UNSIGNED"
                    assert store.load(now_us).version == trust.version


def _act(
    admin: Administrator,
    name: str,
    unlock: object,
    now_us: int,
    signed: dict[str, set[str]],
    here: frozenset[int],
) -> bool:
    """Do it; whether it is done, which the model must have foreseen."""
    signers = Signers(unlock, policy=SMALL)  # type: ignore[arg-type]
    if name.startswith("call it"):
        return _rename(admin, name, now_us, signers, signed, here)
    whole = Administrator.__new__(Administrator)
    whole.__dict__ |= admin.__dict__ | {"unlock": unlock}
    whole.entropy = random.Random(now_us).randbytes
    enough = {"renew": True, "suspend": 0 in here}.get(name, len(here) >= 2)
    if name == "rotate targets":
        enough = len(here) >= 2
    if not enough:
        with pytest.raises(Refused, match=r"NOT_ENOUGH_KEYS|NO_PASSPHRASE"):
            whole.act(name, now_us)
        return False
    if name == "suspend" and read_network(admin.place).suspensions:
        # One holder stops an office once in two weeks; here pass seconds.
        with pytest.raises(TrustError, match="begun anew"):
            whole.act(name, now_us)
        return False
    if name.startswith("rotate "):
        # New keys are made by their holders, who are here for it; the old ones sign if they are.
        making = Making(whole.entropy, admin.unlock, lambda _label: admin.place / "keys", CHEAP)
        files = read_network(admin.place).files
        rotation = Rotation(name.removeprefix("rotate "))
        act, made = propose_rotation(admin.place, files, rotation, now_us, making=making, policy=SMALL)
        carry_out(admin.place, act, now_us, unlock=signers.unlock, policy=SMALL, made=made)
    else:
        whole.act(name, now_us)
    if name not in ("renew", "suspend"):
        # What waited follows another root now.
        signed.clear()
    return True


def _rename(
    admin: Administrator,
    name: str,
    now_us: int,
    signers: Signers,
    signed: dict[str, set[str]],
    here: frozenset[int],
) -> bool:
    """Two of two must sign, now or before; whoever waits behind another has to wait on."""
    present = {label for number, label in ((0, "one"), (1, "two")) if number in here}
    names = list(signed)
    if name in signed and names[0] != name:
        with pytest.raises(Refused, match="ACT_WAITS"):
            change_jointly(admin.place, lambda it, _at: replace(it, network=name), name, now_us, signers)
        return False
    if not present and not signed.get(name):
        with pytest.raises(Refused, match="NOT_ENOUGH_KEYS"):
            change_jointly(admin.place, lambda it, _at: replace(it, network=name), name, now_us, signers)
        return False
    outcome = change_jointly(admin.place, lambda it, _at: replace(it, network=name), name, now_us, signers)
    gathered = signed.get(name, set()) | present
    assert outcome.done == (len(gathered) == 2)
    if not outcome.done:
        signed[name] = gathered
        return False
    if signed.pop(name, None) is None:
        # It did not wait; what waited before it is outdated by that.
        signed.clear()
    return True
