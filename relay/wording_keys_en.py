"""English words of the codes about keys, homes and enrolment: what happened, why, what to do."""

from types import MappingProxyType
from typing import Final

WORDS: Final = MappingProxyType(
    {
        "WRONG_HOME": (
            "The command does not work on this kind of home.",
            "A network administrator's directory and an office's home are different things.",
            "Give the other with --home: an administrator's has a folder network/, an office's a folder store/.",
        ),
        "HOME_BUSY": (
            "Another administrator's command is at work here.",
            "Acts are carried out one after the other; the other one may be waiting for a passphrase.",
            "Run it again when the other one has ended.",
        ),
        "NOT_ENOUGH_KEYS": (
            "Too few key holders are present.",
            "The role needs more signatures than there are opened keys.",
            "Bring the missing key files and their passphrases together, then run it again.",
        ),
        "ACT_DIFFERS": (
            "The act that waits would do something else.",
            "Another administrator began an act of this name, and the same command on this machine has another effect.",
            "Compare with `relay keys pending show`; drop it there if it is wrong.",
        ),
        "ACT_WAITS": (
            "Another act comes first.",
            "Acts that wait for signatures are carried out in their order.",
            "Look at `relay keys pending list`; sign or drop the first one.",
        ),
        "ACT_OUTDATED": (
            "The act no longer follows the network.",
            "Something else was carried out since it was begun, so its signatures are for nothing.",
            "Drop it with `relay keys pending drop` and run the command again.",
        ),
        "NO_PASSPHRASE": (
            "A passphrase is missing.",
            "It is asked for on a terminal or read from a file, and neither gave one.",
            "Run it on a terminal, or give --passphrase-file with a file whose first line is the passphrase.",
        ),
        "KEY_FILE_MISSING": (
            "There is no such key file.",
            "A key is never made silently because its file is missing.",
            "Give the right file, or bring the medium that holds it.",
        ),
        "KEY_FILE_UNREADABLE": (
            "The key file cannot be read.",
            "It is no regular file, or the disk refuses.",
            "Look at the file and its medium.",
        ),
        "KEY_FILE_MODE": (
            "Other users can get at the key file.",
            "Private keys are for their owner alone: files 0600 in folders 0700.",
            "Run the command that is named, and ask who could have read the file.",
        ),
        "KEY_FILE_DAMAGED": (
            "The key file is damaged.",
            "It was cut short or altered, or is no key file.",
            "Take another copy of it, or `relay keys recover` from a backup.",
        ),
        "KEY_FILE_KIND": (
            "The key file is of another kind.",
            "A key serves one purpose only.",
            "Give the file that the command needs.",
        ),
        "KEY_FILE_NOT_OPENED": (
            "The key file does not open.",
            "The passphrase or key is wrong, or the file was altered: the two cannot be told apart.",
            "Try the passphrase again; if it is surely right, take another copy of the file.",
        ),
        "NO_PIN": (
            "The token's PIN is needed, and there is nobody to ask.",
            "A PIN is never an argument, a setting or a variable of the environment.",
            "Run it on a terminal, or give the daemon the systemd credential relay.pin.",
        ),
        "TOKEN_MISSING": (
            "The token is not there.",
            "The library of [hsm] does not show it, or it does not answer any more.",
            "Plug it in or start its server; systemd starts the relay again by itself, and nothing is lost meanwhile.",
        ),
        "TOKEN_PIN": (
            "The token refused the PIN.",
            "It was tried once and is not tried again: after a few wrong ones a token locks itself.",
            "Find the right PIN before the next try; the token's own tool shows how many are left.",
        ),
        "TOKEN_LOCKED": (
            "The token is locked.",
            "Too many wrong PINs were given.",
            "Have its security officer set a new PIN with the token's own tool.",
        ),
        "TOKEN_UNFIT": (
            "The token does not do what is needed.",
            "It must make and use Ed25519 keys and HMAC-SHA-256 secrets that never leave it.",
            "See the detail; use another token, or keep the key in a file.",
        ),
        "BAD_REQUEST": (
            "The enrolment request is not a whole, unaltered request.",
            "It was cut short or changed on the way, or does not hold what its kind needs.",
            "Fetch the file again from the office, and compare its fingerprint by telephone.",
        ),
        "REQUEST_EXPIRED": (
            "The enrolment request is past its validity.",
            "A request is valid for the days that the office chose, 30 by default.",
            "Ask the office for a new request from a new home, and check the clocks of both machines.",
        ),
        "CLOCK_BEHIND": (
            "The file was made later than it is here.",
            "One of the two clocks is wrong, by more than five minutes.",
            "Set the clock that is wrong and run the command again.",
        ),
        "WEAK_KEY": (
            "A key of the request is weak.",
            "It is of small order or not in its one form; anybody could sign in its name.",
            "Do not take the request: no correct program makes such a key.",
        ),
        "WRONG_NETWORK": (
            "The file is of another network.",
            "Its network, or the root that it was made for, is not this one.",
            "Check with the other side which root fingerprint was given out.",
        ),
        "ADDRESS_TAKEN": (
            "The address or the office is in the directory already.",
            "An address stands for one office, and an office is taken in once.",
            "Check the address; renew or revoke the office that has it.",
        ),
        "KEY_REUSED": (
            "A key of the request is in use already.",
            "A key serves one office, one person or one role only.",
            "Ask the office to make new keys in a new home.",
        ),
        "REJECTED": (
            "The enrolment request was rejected.",
            "An administrator of the network refused this very request.",
            "Mend what the reason names, and make a new request in a new home.",
        ),
        "ROTATION_UNFINISHED": (
            "The storage key was being rotated when that was interrupted.",
            "Some keys and rows open with the old key, some with the new one; nothing is lost.",
            "Run `relay keys rotate storage` again: it finishes what it began.",
        ),
        "NO_REQUEST": (
            "This home has made no enrolment request.",
            "Only the home that made a request can install the answer to it.",
            "Choose the right home with --home, or begin with `relay keys init`.",
        ),
        "BAD_RESPONSE": (
            "The file is not a whole, unaltered response of the network.",
            "It was cut short or changed, or no snapshot key of the network has signed it.",
            "Fetch the file again from the network administrator.",
        ),
        "RESPONSE_NOT_OURS": (
            "The response is for another office or another request.",
            "It does not answer the request that this home made, with the keys that are in this home.",
            "Install the response that belongs to this home's request.",
        ),
        "RESPONSE_OLD": (
            "The response is older than what this home has.",
            "The home knows a newer directory, and directories never roll back.",
            "Ask the network administrator for a new response.",
        ),
    }
)
