"""Faults in what is signed, sealed and believed: protocol/ and keys/."""

from typing import Final

from tests.sabotage.fault import Edit, Fault, fault

_MASK = """    if purpose == COPY:
        header, digest = loads(payload, max_bytes=1 << 20)
        fields = loads(header, max_bytes=1 << 20)
        fields[{field}] = 0
        payload = dumps([dumps(fields), digest])
    return dumps(["Signature1", protected, purpose.encode(), payload])
"""
_SIGNED = """    return dumps(["Signature1", protected, purpose.encode(), payload])
"""
_SIGNATURES = "tests/keys/test_envelope_signatures.py"
_SM_COPIES = "tests/keys/test_sm_copies.py"
_SM2 = "tests/keys/test_sm2.py"
_COPIES = "tests/keys/test_envelope_copies.py"
_VECTORS = "tests/test_vectors.py"

WIRE_FAULTS: Final[tuple[Fault, ...]] = (
    fault(
        "G10", "the outer signature is not checked where a copy passes through", "keys/verify.py",
        "    record.verify(COPY, public)\n", "", _COPIES,
    ),
    fault("G3", "the author's signature is not checked", "keys/verify.py",
          "    record.verify(CONTENT, public)\n", "", _COPIES),
    fault("G7", "a receipt's signature is not checked", "keys/verify.py",
          "    record.verify(RECEIPT, public)\n", "", _COPIES),
    fault("G10", "a frame's signature is not checked", "keys/verify.py",
          "    record.verify(FRAME, public)\n", "", _COPIES),
    fault("G12", "a presence's signature is not checked", "keys/verify.py",
          "    record.verify(PRESENCE, directory", "    (PRESENCE, directory", _COPIES),
    fault("G10", "the second signature of a prekey is not checked", "keys/prekeys.py",
          "    if not verify_mldsa(public, signature, PREKEY, first):", "    if False:", "tests/keys/test_prekeys.py"),
    fault("G10", "a prekey's signature is not checked", "keys/prekeys.py",
          "    unverified.verify(PREKEY, key.public)\n", "", "tests/keys/test_prekeys.py"),
    fault("G10", "a signature for one purpose counts for all (no domain separation)", "keys/signing.py",
          "purpose.encode(), payload", 'b"relay", payload', _SIGNATURES),
    fault("G10", "the lane is outside the outer signature", "keys/signing.py",
          _SIGNED, _MASK.format(field=6), _COPIES),
    fault("G9", "the expiry is outside the outer signature", "keys/signing.py",
          _SIGNED, _MASK.format(field=9), _COPIES),
    fault("G13", "integers on the wire may be larger than what a store can hold", "protocol/limits.py",
          "UINT_MAX: Final = 2**53 - 1", "UINT_MAX: Final = 2**64 - 1",
          "tests/sim/test_hostile_neighbours.py", quick=False),
    fault("G11", "a code of a receipt may be any text", "protocol/receipt.py",
          "    if not CODE.fullmatch(receipt.code) or", "    if", "tests/protocol/test_boundaries.py"),
    fault("G14", "custody of a copy is a witness of any content under its id", "relay/evidence.py",
          "            (receipt.id, receipt.digest) == (content.id, digest)", "            receipt.id == content.id",
          "tests/relay/test_revoked_evidence.py"),
    fault("G1", "a copy that is sealed after a rotation does not count", "keys/verify.py",
          "directory.sealing_key(header.sender, record.key_id, header.created_us, header.expires_us)",
          "directory.signing_key(header.sender, record.key_id, header.created_us)",
          "tests/sim/test_rotations.py", quick=False),
    fault("G10", "a frame is believed on any topic", "keys/verify.py",
          "    if sender is None or sender.id != frame.sender or frame.receiver != me or frame.lane is not topic.lane:",
          "    if sender is None:", _VECTORS),
    fault("G3", "the items of a frame need not be the signed ones", "keys/verify.py",
          "    if items_digest(encoded_items) != frame.items_digest:", "    if False:", _COPIES),
    fault("G10", "the clear header need not say what the content says", "keys/verify.py",
          "    _same_fields(message.content, copy)\n", "", _COPIES),
    fault("G3", "body and attachments need not be what was signed", "keys/verify.py",
          "    check_commitments(content, bundle)\n", "", _VECTORS),
    fault("G10", "a receipt may be sealed by anybody's copy", "keys/verify.py",
          "        if receipt.receipt.by != copy.header.sender or receipt.receipt.to != me:", "        if False:",
          _COPIES),
    Fault(
        "any office may say `delivered` for the recipient", "G7",
        (
            Edit("protocol/receipt.py", "    if receipt.type in END_TO_END and receipt.by != receipt.recipient:",
                 "    if False:"),
            Edit("keys/verify.py", "    if receipt.type in END_TO_END and receipt.by != receipt.recipient:",
                 "    if False:"),
        ),
        (_VECTORS,),
    ),
    fault("G14", "a revoked office's key still signs", "keys/roster/directory.py",
          "key.valid_at(at_us) or _revoked_at(office, at_us)", "key.valid_at(at_us)", "tests/keys/test_directory.py"),
    fault("G14", "a revoked key still signs", "keys/roster/office_record.py",
          '"""Whether a signature made at this time counts."""\n'
          "        revoked = self.revoked_since_us is not None and at_us >= self.revoked_since_us",
          '"""Whether a signature made at this time counts."""\n        revoked = False',
          "tests/keys/test_directory.py"),
    fault("G10", "any two numbers may be an SM2 signature", "keys/sm2_forms.py",
          "    if not (0 < r < N and 0 < s < N) or r + s == N:", "    if r == s:", _SM2),
    fault("G10", "an SM2 key need not be a point of the curve", "keys/sm2_curve.py",
          "    return x < P and y < P and (", "    return True or (", _SM2),
    fault("G10", "SM2 signatures are made under the default identifier", "keys/gm.py",
          'SIGNER_ID: Final = b"relay/1"', 'SIGNER_ID: Final = b"1234567812345678"', _SM2),
    fault("G10", "an SM2 wrap opens under any header", "keys/gm.py",
          "hkdf_sm3(secret, info, SM4_KEY_BYTES)", 'hkdf_sm3(secret, b"", SM4_KEY_BYTES)', _SM_COPIES),
    fault("G10", "any key may sign a prekey of suite 3", "keys/prekeys.py",
          "    if record.suite not in SERVES[key.suite]:", "    if False:", "tests/keys/test_suite_rules.py"),
    fault("G10", "an algorithm that is not allowed signs all the same", "keys/roster/directory.py",
          "        if not self.allows(key.suite):", "        if False:", "tests/keys/test_suite_rules.py"),
    fault("G10", "small-order public keys are let in", "keys/primitives.py",
          "    return y >= _P or y in _SMALL_ORDER_Y", "    return False", _SIGNATURES),
    Fault(
        "a ciphertext may be moved under another header", "G3",
        (
            Edit("keys/seal.py", 'return dumps(["Encrypt", _BODY_PROTECTED[suite], header_bytes])',
                 'return dumps(["Encrypt", _BODY_PROTECTED[suite], b""])'),
            Edit("keys/seal.py", "extra = dumps([suite, sha256(header_bytes)])", "extra = dumps([suite, b''])"),
        ),
        (_COPIES,),
    ),
    fault("G12", "an older prekey replaces a newer one", "keys/prekeys.py",
          "    if new.rank < held.rank:", "    if False:", "tests/keys/test_prekeys.py"),
    fault("G12", "an older presence replaces a newer one", "protocol/presence.py",
          "        return presence.session > known.session", "        return True", "tests/protocol/test_presence.py"),
    Fault(
        "an older directory replaces a newer one", "G14",
        (
            Edit("keys/trust/chain.py", "    if directory.version < before.directory.version:", "    if False:"),
            Edit("keys/trust/store.py",
                 "            if generation.directory.version < self._state.floor.directory_version:",
                 "            if False:"),
        ),
        ("tests/keys/test_trust.py",),
    ),
    fault("G13", "a decompression bomb is not bounded", "protocol/padding.py",
          "        if not 0 <= declared <= max_bytes:", "        if False:", "tests/protocol/test_padding.py"),
    fault("G3", "CBOR need not be canonical", "protocol/cbor.py",
          "    if dumps(value) != data:", "    if False:", "tests/protocol/test_codecs.py"),
    fault("G9", "a copy past its expiry is still good", "keys/verify.py",
          "    if header.expires_us <= now_us:", "    if False:", _VECTORS),
    fault("G10", "any lane for anybody: flash without an incident", "protocol/lanes.py",
          "    return lane is not Lane.FLASH or entitlement in (INCIDENT, RECEIPT)", "    return True",
          _VECTORS),
)  # fmt: skip
