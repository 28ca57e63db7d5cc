"""Offices' certificates with their private keys, for clients of tests; a real office makes its own and asks."""

from keys.tls import Authority, Credential, new_key, public_of
from protocol.ids import Address


def office_credential(authority: Authority, address: Address, *, days: int) -> Credential:
    """What an office connects with."""
    key = new_key()
    return Credential(authority.certify(public_of(key), address, days=days), key)
