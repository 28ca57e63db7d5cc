"""Trust in the network directory: how its files are verified, kept and signed (DESIGN D8)."""

from keys.trust.chain import verify_roster
from keys.trust.metadata import TrustError, is_trust_file, root_fingerprint
from keys.trust.store import Trust, TrustStore, UpdateResult

__all__ = ["Trust", "TrustError", "TrustStore", "UpdateResult", "is_trust_file", "root_fingerprint", "verify_roster"]
