"""Second signatures: a threshold of holders must have signed with both halves of their keys (D8).

Counted beside the TUF workflow, never in its place; the form is in keys/trust/metadata.py.
"""

from typing import Any

from tuf.api.metadata import Metadata, Root

from keys.mldsa import verify_mldsa
from keys.trust.metadata import Pair, TrustError, by_label, pairs_of, purpose_of, second_id


def signed_by(root: Root, role: str, metadata: Metadata[Any]) -> list[Pair]:
    """The holders of the role, by this root, who signed the metadata with both halves, by label."""
    payload = metadata.signed_bytes
    pairs = pairs_of(root)
    signed = root.get_verification_result(role, payload, metadata.signatures).signed
    both = []
    for pair in by_label(pairs[id_] for id_ in signed):
        second = metadata.signatures.get(second_id(pair.second))
        if second is not None and verify_mldsa(pair.second, bytes.fromhex(second.signature), purpose_of(role), payload):
            both.append(pair)
    return both


def require_seconds(root: Root, role: str, metadata: Metadata[Any]) -> None:
    """Raise `TrustError` TRUST_UNSIGNED unless the role's threshold of holders signed with both halves."""
    count, threshold = len(signed_by(root, role, metadata)), root.roles[role].threshold
    if count < threshold:
        raise TrustError("TRUST_UNSIGNED", f"{role}: {count} of {threshold} signatures have a valid second half")
