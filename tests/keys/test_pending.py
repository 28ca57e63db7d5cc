"""Acts that several sign at different times and on different machines."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.ceremony.act import Act
from keys.ceremony.network import read_network
from keys.ceremony.pending import Outcome, Signers, change_jointly, drop_waiting, sign_waiting, waiting_acts
from keys.roster.directory import Directory
from keys.trust import TrustError
from protocol.errors import Refused, RemoteError
from tests.keys.networks import DAY_US, NOW_US, SMALL, Administrator
from tests.keys.test_trust_roots import SOON_US


@dataclass(repr=False)
class Bent:
    """An act that waits, and its bytes."""

    admin: Administrator
    whole: bytes


def called(name: str) -> Callable[[Directory, int], Directory]:
    return lambda directory, _at_us: replace(directory, network=name)


@pytest.fixture
def admin(tmp_path: Path) -> Administrator:
    return Administrator(tmp_path / "root")


def only(admin: Administrator, *labels: str) -> Signers:
    """Those who are here."""
    return Signers(lambda label: admin.unlock(label) if label in labels else None)


def change(admin: Administrator, name: str, *labels: str, at_us: int = SOON_US, place: Path | None = None) -> Outcome:
    return change_jointly(place or admin.place, called(name), f"call it {name}", at_us, only(admin, *labels))


def test_an_act_waits_until_another_holder_signs_and_the_same_one_counts_once(admin: Administrator) -> None:
    first = change(admin, "one", "targets-1")
    assert (first.done, first.holders) == (False, ("targets-1",))
    again = change(admin, "one", "targets-1", at_us=SOON_US + 5)
    assert (again.done, again.holders, again.act) == (False, ("targets-1",), first.act)
    done = change(admin, "one", "targets-2", at_us=SOON_US + 9)
    assert (done.done, done.holders) == (True, ("targets-1", "targets-2"))
    assert (done.network.directory.network, done.network.directory.issued_us) == ("one", SOON_US)
    assert waiting_acts(admin.place, done.network.files) == []


def test_nobody_signs_into_the_future_or_for_longer_than_the_policy(admin: Administrator) -> None:
    """The second administrator's own command would follow the first one's time, and `keys pending sign` shows none."""
    ahead = SOON_US + 10 * 365 * DAY_US
    change(admin, "one", "targets-1", at_us=ahead)
    with pytest.raises(Refused, match="CLOCK_BEHIND"):
        change(admin, "one", "targets-2", at_us=SOON_US + 9)
    network = read_network(admin.place)
    (waiting,) = waiting_acts(admin.place, network.files)
    drop_waiting(admin.place, waiting)
    longer = replace(admin.policy, targets_life_us=10 * 365 * DAY_US)
    rogue = change_jointly(admin.place, called("two"), "two", SOON_US, replace(only(admin, "targets-1"), policy=longer))
    assert not rogue.done
    (waiting,) = waiting_acts(admin.place, network.files)
    with pytest.raises(TrustError, match="valid for longer than 180 days"):
        sign_waiting(admin.place, network, waiting, SOON_US + 9, only(admin, "targets-2"))


def test_two_holders_who_sign_at_once_lose_neither_signature(tmp_path: Path) -> None:
    admin = Administrator(tmp_path / "root", policy=replace(SMALL, targets_keys=3, targets_threshold=3))

    def while_typing(name: str) -> Callable[[str], bytes | None]:
        """The second holder signs while the third one types a passphrase."""

        def unlock(label: str) -> bytes | None:
            if label != "targets-3":
                return None
            change(admin, name, "targets-2")
            return admin.unlock(label)

        return unlock

    change(admin, "one", "targets-1")
    done = change_jointly(admin.place, called("one"), "call it one", SOON_US + 9, Signers(while_typing("one")))
    assert (done.done, done.holders) == (True, ("targets-1", "targets-2", "targets-3"))
    # Nor does an act that is begun meanwhile take the place of another.
    beside = change_jointly(admin.place, called("three"), "call it three", SOON_US, Signers(while_typing("two")))
    kept = [Act.decode(path.read_bytes()).name for path in sorted((admin.place / "pending").iterdir())]
    assert (beside.holders, kept) == (("targets-3",), ["call it two", "call it three"])


def test_nobody_here_leaves_nothing(admin: Administrator) -> None:
    with pytest.raises(Refused, match="NOT_ENOUGH_KEYS"):
        change(admin, "one")
    assert not (admin.place / "pending").exists()


def test_an_act_travels_to_another_machine_and_back(admin: Administrator, tmp_path: Path) -> None:
    """The second administrator has his own directory and only his own key; the online keys stay at home."""
    away = tmp_path / "away"
    shutil.copytree(admin.place, away)
    for path in (away / "keys").iterdir():
        if path.name != "targets-2.key":
            path.unlink()
    sent = change(admin, "one", "targets-1").path
    assert sent is not None
    shutil.copytree(sent.parent, away / "pending")
    network = read_network(away)
    waiting = waiting_acts(away, network.files)[0]
    signed = sign_waiting(away, network, waiting, SOON_US, only(admin, "targets-2"))
    assert (signed.done, [one.missing for one in signed.signatures]) == (False, [0])
    assert signed.path is not None
    shutil.copy(signed.path, sent)
    done = change(admin, "one", at_us=SOON_US + 3)
    assert (done.done, done.network.directory.network) == (True, "one")


def test_acts_wait_in_their_order(admin: Administrator) -> None:
    change(admin, "one", "targets-1")
    change(admin, "two", "targets-1")
    with pytest.raises(Refused, match=r"ACT_WAITS.*call it one"):
        change(admin, "two", "targets-2")
    assert change(admin, "one", "targets-2").done
    done = change(admin, "two", "targets-2")
    assert (done.done, done.network.directory.network, done.network.directory.version) == (True, "two", 3)


def test_enough_holders_at_one_table_do_not_wait_for_what_waits(admin: Administrator) -> None:
    """Somebody must be stopped now: what was half signed is outdated by that, and is begun again."""
    change(admin, "one", "targets-1")
    assert change(admin, "now", "targets-1", "targets-2").done
    waiting = waiting_acts(admin.place, read_network(admin.place).files)
    assert [one.files for one in waiting] == [None]
    with pytest.raises(Refused, match="ACT_OUTDATED"):
        sign_waiting(admin.place, read_network(admin.place), waiting[0], SOON_US, only(admin, "targets-2"))
    # Begun again beside the outdated one, it gathers its signatures like any other.
    assert change(admin, "one", "targets-2", at_us=SOON_US + 9).path is not None
    assert change(admin, "one", "targets-1", at_us=SOON_US + 10).done
    drop_waiting(admin.place, waiting[0])
    assert waiting_acts(admin.place, read_network(admin.place).files) == []


def test_nobody_signs_what_his_own_command_would_not_do(admin: Administrator) -> None:
    waiting = change(admin, "one", "targets-1")
    assert waiting.path is not None
    other = replace(waiting.act, name="call it other")
    waiting.path.write_bytes(other.encode())
    with pytest.raises(Refused, match="ACT_DIFFERS"):
        change(admin, "other", "targets-2")
    assert read_network(admin.place).directory.version == 1


@settings(max_examples=60)
@given(data=st.data())
def test_g14_a_bent_act_is_refused_or_lacks_its_signature(bent: Bent, data: st.DataObject) -> None:
    admin, whole = bent.admin, bent.whole
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    path = admin.place / "pending" / "0001.act"
    path.write_bytes(bytes(changed))
    try:
        done = change(admin, "one", "targets-2")
    except (Refused, RemoteError, TrustError):
        assert read_network(admin.place).directory.version == 1
    else:
        assert not done.done, "the first signature no longer counts"
        for file in (admin.place / "pending").iterdir():
            file.unlink()


@pytest.fixture(scope="module")
def bent(tmp_path_factory: pytest.TempPathFactory) -> Bent:
    admin = Administrator(tmp_path_factory.mktemp("bent") / "root")
    path = change(admin, "one", "targets-1").path
    assert path is not None
    return Bent(admin, path.read_bytes())


@pytest.mark.parametrize(
    "data", [b"", b"\xa0", b"\xff" * 40, Act("a", NOW_US, bytes(32), {"roster.cbor": b""}).encode()[:-1]]
)
def test_no_act(data: bytes) -> None:
    with pytest.raises(RemoteError):
        Act.decode(data)
