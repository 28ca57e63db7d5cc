"""Copies of suite 3 and the networks they travel in (G3, G10): the properties of test_envelope_copies.py, with SM2."""

import dataclasses
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.primitives import PrekeyPrivate, PrekeyPublic
from keys.roster.directory import Directory, Rules
from keys.seal import open_ciphertext, seal_copy
from keys.signer import Signer
from keys.signing import CONTENT, sign_record
from keys.verify import open_copy, verify_copy
from protocol.content import encode_bundle, encode_content
from protocol.copy import COPY_BYTES, OUTER_BYTES, CopyHeader, encode_header, split_copy
from protocol.errors import RemoteError
from protocol.limits import SEALED_BYTES
from protocol.padding import pack
from tests import sm_world, world
from tests import strategies as some
from tests.gm import needs_gm
from tests.sm_world import HEADER, PREKEY, SM_DIRECTORY
from tests.world import COUNTY, NOW_US, PREKEY_IDS, PREKEY_PUBLICS, PREKEYS, PROVINCE, PROVINCE_ADDRESS, seed

pytestmark = needs_gm

ENTROPY = seed("k") + seed("n")[:12]
PUBLIC = PrekeyPublic(3, sm_world.PREKEY_PUBLIC.public)


def bundle(key: Signer) -> bytes:
    return encode_bundle(world.make_bundle(sign_record(key, CONTENT, encode_content(world.make_content()))))


def sealed(key: Signer, header: CopyHeader, prekey: PrekeyPublic) -> bytes:
    return seal_copy(key, header, pack(bundle(key)), prekey, ENTROPY)


GOOD = seal_copy(sm_world.COUNTY_KEY, HEADER, pack(bundle(sm_world.COUNTY_KEY)), sm_world.PREKEY_PUBLIC, ENTROPY)  # type: ignore[arg-type]


def open_it(data: bytes, directory: Directory, prekey: PrekeyPrivate) -> Any:
    verified = verify_copy(data, directory, directory.rules.suites, NOW_US)
    return open_copy(verified, PROVINCE, (PROVINCE_ADDRESS,), prekey, directory)


def test_g03_what_is_opened_is_what_was_sealed() -> None:
    by_library = sealed(sm_world.COUNTY_KEY, HEADER, PUBLIC)
    for data in (GOOD, by_library):
        opened = open_it(data, SM_DIRECTORY, PREKEY)
        assert opened.receipt is None
        assert opened.message.content == world.make_content()
        assert encode_bundle(opened.message.bundle) == bundle(sm_world.COUNTY_KEY)


@given(st.data())
def test_g03_a_changed_copy_is_refused_by_every_relay(data: st.DataObject) -> None:
    with pytest.raises(RemoteError):
        verify_copy(data.draw(some.mutations(GOOD)), SM_DIRECTORY, (3,), NOW_US)


@given(st.data())
def test_g10_a_ciphertext_opens_under_its_own_header_only(data: st.DataObject) -> None:
    """The origin itself cannot move a sealed body under another header, though SM2 binds none."""
    other = data.draw(some.headers())
    name = data.draw(st.sampled_from([field.name for field in dataclasses.fields(CopyHeader)]))
    moved = replace(HEADER, **{name: getattr(other, name)})
    if moved == HEADER:
        return
    with pytest.raises(RemoteError) as caught:
        open_ciphertext(split_copy(GOOD)[1], moved, encode_header(moved), PREKEY)
    assert caught.value.code in {"NOT_OPENED", "MALFORMED", "BAD_SUITE"}


@settings(max_examples=60)
@given(st.data())
def test_g03_a_changed_ciphertext_never_opens(data: st.DataObject) -> None:
    with pytest.raises(RemoteError):
        open_ciphertext(data.draw(some.mutations(split_copy(GOOD)[1])), HEADER, encode_header(HEADER), PREKEY)


@pytest.mark.parametrize("other", [1, 2])
def test_g10_suites_are_not_confused(other: int) -> None:
    header = world.make_header(suite=other, prekey_id=PREKEY_IDS[other])
    copy_of_other = sealed(world.COUNTY_KEY, header, PREKEY_PUBLICS[other])
    for ciphertext, named, prekey in (
        (split_copy(GOOD)[1], header, PREKEYS[other]),
        (split_copy(GOOD)[1], HEADER, PREKEYS[other]),
        (split_copy(copy_of_other)[1], HEADER, PREKEY),
    ):
        with pytest.raises(RemoteError):
            open_ciphertext(ciphertext, named, encode_header(named), prekey)
    for data, directory, code in (
        (GOOD, sm_world.make_directory((1, 2)), "BAD_SUITE"),
        (copy_of_other, replace(world.DIRECTORY, rules=Rules(suites=(3,))), "BAD_SUITE"),
        (copy_of_other, SM_DIRECTORY, "BAD_SUITE"),
    ):
        with pytest.raises(RemoteError) as caught:
            verify_copy(data, directory, directory.rules.suites, NOW_US)
        assert caught.value.code == code
    with pytest.raises(ValueError, match="another suite"):
        seal_copy(sm_world.COUNTY_KEY, HEADER, b"", PREKEY_PUBLICS[other], ENTROPY)


def test_g10_in_a_mixed_network_offices_of_both_kinds_write_to_each_other() -> None:
    """Suites 1 and 3 allowed: an Ed25519 county writes to an SM2 province, and the other way round."""
    ed, sm = world.DIRECTORY.offices, SM_DIRECTORY.offices
    for county, province, key, header, public, private in (
        (ed[COUNTY], sm[PROVINCE], world.COUNTY_KEY, HEADER, PUBLIC, PREKEY),
        (sm[COUNTY], ed[PROVINCE], sm_world.COUNTY_KEY, world.make_header(), PREKEY_PUBLICS[1], PREKEYS[1]),
    ):
        offices = {**ed, COUNTY: county, PROVINCE: province}
        mixed = replace(world.DIRECTORY, offices=offices, rules=Rules(suites=(1, 3)))
        data = sealed(key, header, public)
        assert open_it(data, mixed, private).message.content == world.make_content()
        for left in ((1,), (3,)):
            with pytest.raises(RemoteError) as caught:
                open_it(data, replace(mixed, rules=Rules(suites=left)), private)
            assert caught.value.code == "BAD_SUITE"


def test_the_largest_content_fits_into_a_copy() -> None:
    data = seal_copy(sm_world.COUNTY_KEY, HEADER, bytes(SEALED_BYTES), sm_world.PREKEY_PUBLIC, ENTROPY)  # type: ignore[arg-type]
    assert len(data) <= COPY_BYTES
    assert len(split_copy(data)[0]) <= OUTER_BYTES
