"""Random histories of a network, offered to an office in any order: old, new, mixed, at any time."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from keys.trust import Trust, TrustStore
from keys.trust.metadata import CURRENT_FILES
from tests.keys.networks import DAY_US, NOW_US, Administrator

ACTS = (
    "publish",
    "publish",
    "renew",
    "suspend",
    "rotate root",
    "rotate targets",
    "rotate snapshot",
    "rotate timestamp",
)


@dataclass(frozen=True)
class Published:
    """One generation as it was published, and when."""

    at_us: int
    files: Mapping[str, bytes]


@cache
def history(seed: int) -> tuple[Published, ...]:
    """Twelve random acts of an administrator, up to nine days apart: longer than a timestamp lives."""
    chance = random.Random(seed)
    with TemporaryDirectory() as place:
        admin = Administrator(Path(place) / "root", seed=seed)
        published = [Published(NOW_US, admin.files)]
        for _ in range(12):
            at_us = published[-1].at_us + chance.randrange(9 * DAY_US)
            published.append(Published(at_us, admin.act(chance.choice(ACTS), at_us).files))
    return tuple(published)


steps = st.one_of(
    st.tuples(st.just("offer"), st.integers(0, 12)),
    st.tuples(st.just("mix"), st.integers(0, 12), st.integers(0, 12), st.sets(st.sampled_from(CURRENT_FILES))),
    st.tuples(st.just("wait"), st.integers(1, 12)),
    st.tuples(st.just("clock back"), st.integers(1, 60)),
    st.just(("restart",)),
)


def _believed(store: TrustStore) -> dict[str, bytes]:
    return {name: data for name, data in store.publishable_files().items() if name in CURRENT_FILES}


def _current(published: Published) -> dict[str, bytes]:
    return {name: published.files[name] for name in CURRENT_FILES}


def _never_back(before: Trust, after: Trust) -> None:
    assert after.version >= before.version
    assert after.root_version >= before.root_version
    assert after.clock_floor_us >= before.clock_floor_us
    assert after.directory.issued_us >= before.directory.issued_us


@settings(max_examples=40)
@given(seed=st.integers(0, 3), script=st.lists(steps, min_size=3, max_size=14))
def test_g14_versions_only_rise_and_nothing_mixed_or_expired_is_taken(
    seed: int, script: list[tuple[object, ...]]
) -> None:
    generations = history(seed)
    now_us = NOW_US
    with TemporaryDirectory() as place:
        store = TrustStore.install(Path(place) / "home", generations[0].files, now_us)
        trust = store.load(now_us)
        for step in script:
            offered: Mapping[str, bytes] = {}
            match step:
                case ("offer", int(at)):
                    offered = generations[at].files
                case ("mix", int(one), int(other), set(names)):
                    offered = {
                        **generations[one].files,
                        **{str(name): generations[other].files[str(name)] for name in names},
                    }
                case ("wait", int(days)):
                    now_us += days * DAY_US
                case ("clock back", int(days)):
                    now_us -= days * DAY_US
                case _:
                    store = TrustStore(Path(place) / "home")
                    store.load(now_us)
            believed = _believed(store)
            result = store.update(offered, now_us)
            _never_back(trust, result.trust)
            taken = _believed(store)
            assert taken in [_current(one) for one in generations], "only whole generations are believed"
            if taken != believed:
                assert result.code is None
                assert max(now_us, trust.clock_floor_us) < min(result.trust.fresh_until_us, result.trust.expires_us)
            trust = result.trust
            assert store.load(now_us).version == trust.version


@settings(max_examples=20)
@given(seed=st.integers(0, 3), away=st.integers(0, 11))
def test_an_office_that_was_away_catches_up_at_once(seed: int, away: int) -> None:
    generations = history(seed)
    with TemporaryDirectory() as place:
        store = TrustStore.install(Path(place) / "home", generations[away].files, generations[away].at_us)
        newest = generations[-1]
        result = store.update(newest.files, newest.at_us)
        assert result.code is None
        assert result.trust.state(newest.at_us) == "ok"
        assert store.publishable_files() == newest.files
