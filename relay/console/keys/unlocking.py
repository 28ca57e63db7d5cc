"""What opens the keys of a home while a command runs: a passphrase or a PIN, asked on the terminal once."""

import sys
from functools import cache
from typing import Final

from keys.files.keyfile import Unlock
from keys.files.storage_key import LABEL
from keys.hsm import PIN_LABEL
from relay.console.choices import Choices
from relay.console.keys.passphrases import ask_passphrase
from relay.console.phrases import say

_ASKED: Final = {LABEL: "storage_key", PIN_LABEL: "token_pin"}


def unlock_of_home(choices: Choices) -> Unlock:
    """Asks for the passphrase of the storage key, or a token's PIN; nobody is asked where there is no terminal."""

    @cache
    def unlock(label: str) -> bytes | None:
        return ask_passphrase(choices, say(_ASKED[label], choices.lang), None) if sys.stdin.isatty() else None

    return unlock
