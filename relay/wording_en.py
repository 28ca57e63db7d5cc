"""English words of every code: what happened, why, what to do."""

from types import MappingProxyType
from typing import Final

WORDS: Final = MappingProxyType(
    {
        "UNKNOWN_RECIPIENT": (
            "The recipient is not in the network directory.",
            "No office of the current directory has this address or group name.",
            "Check the address, or ask the network administrator whether the office has been added.",
        ),
        "REVOKED": (
            "The office has been revoked.",
            "The directory says that this office no longer takes part in the network.",
            "Send to its successor, or ask the network administrator.",
        ),
        "SUSPENDED": (
            "The office is suspended.",
            "The directory holds a suspension of at most 72 hours for this office.",
            "Wait until the suspension ends, or ask the network administrator.",
        ),
        "NOT_LIAISON": (
            "This office may not report to that level directly.",
            "Only direct and liaison offices may bypass the office above them.",
            "Send the report to the office above yours, or mark an incident as such.",
        ),
        "CLASSIFIED": (
            "Classified content must not travel on this network.",
            "The network carries nothing above work secrets; nothing of the content was stored.",
            "Use the channel for classified documents.",
        ),
        "NO_REVIEWER": (
            "A reviewer's signature is missing.",
            "The rules of the network ask for a reviewer for this kind of message.",
            "Send again with --reviewer and the reviewer's key file.",
        ),
        "NO_ISSUER": (
            "An issuer's signature is missing.",
            "The rules of the network ask for an issuer for this kind of message.",
            "Send again with --issuer and the issuer's key file.",
        ),
        "SAME_PERSON": (
            "Reviewer and issuer are the same person.",
            "Two different persons must sign.",
            "Let another person review or issue the message.",
        ),
        "WRONG_ROLE": (
            "The person does not have the role that this needs.",
            "The directory lists the roles of every person of an office.",
            "Let a person with the role sign, or have the role added to the directory.",
        ),
        "UNKNOWN_PERSON": (
            "The person is not in the directory for this office.",
            "Only persons whom the directory lists and who are valid now may sign for an office.",
            "Check the name, or have the person added with `relay keys person add`.",
        ),
        "BAD_SIGNATURE": (
            "A person's signature does not verify.",
            "The signature was not made with the listed key over exactly this content.",
            "Sign the final text again with the right key file.",
        ),
        "LANE_NOT_ALLOWED": (
            "The message may not use this urgency.",
            "Flash is for incident reports of level I, II or unknown.",
            "Choose another urgency, or give the incident kind or event level.",
        ),
        "TOO_LARGE": (
            "The message or one of its parts is too large.",
            "A limit of the network or of this office's settings was exceeded.",
            "Shorten the message or split the attachment.",
        ),
        "BAD_FIELD": (
            "A field of the request is wrong.",
            "The value does not have the form that the field needs.",
            "Correct the field that is named and send again.",
        ),
        "ID_REUSED": (
            "This id was already used for a different message.",
            "An id stands for one content only.",
            "Use a new id, or send exactly the same content again.",
        ),
        "WRONG_STATE": (
            "The message is in a state that does not allow this.",
            "Another step was already taken, or an earlier one is missing.",
            "Look at the state with `relay inbox show` or `relay track`.",
        ),
        "EXPIRED": (
            "The message has expired.",
            "Its life ended before it could be accepted or delivered.",
            "Check --expires-in and the clock, then send it again as a new message.",
        ),
        "CLOCK_TOO_EARLY": (
            "The wall clock cannot be right.",
            "It shows a time before the newest signed time of the network directory.",
            "Set the clock of this machine; the relay follows it as soon as it is right.",
        ),
        "STORE_FULL": (
            "The store is full; the message was not accepted.",
            "The quota or the disk has no room left for this lane.",
            "Free space or raise [store] quota_bytes; the same command may be repeated with the same id.",
        ),
        "BUSY": (
            "The relay is too busy to accept this now.",
            "Too many requests are waiting.",
            "Try again in a few seconds with the same id.",
        ),
        "TRUST_STALE": (
            "The network directory is too old; nothing was accepted.",
            "No fresh signed directory has been seen for longer than [trust] stop_s.",
            "Check the links and the clock, or run `relay keys pull` with a copy brought by hand.",
        ),
        "WAIT_TIMEOUT": (
            "The message was accepted, but the awaited state was not reached in time.",
            "The time of --wait-timeout ran out.",
            "Follow it with `relay track`; nothing needs to be sent again.",
        ),
        "NOT_FOUND": (
            "There is no such object.",
            "Nothing in this home has that id or name.",
            "Check the id with `relay inbox list` or `relay sent list`.",
        ),
        "AMBIGUOUS": (
            "The beginning of the id fits more than one message.",
            "A shortened id must fit exactly one.",
            "Give more characters of the id.",
        ),
        "FILE_MISSING": (
            "The file does not exist.",
            "A file that was named could not be found.",
            "Check the path.",
        ),
        "FILE_UNREADABLE": (
            "The file cannot be read.",
            "It is a directory or special file, or permission is missing.",
            "Name a regular file that you may read.",
        ),
        "DAEMON_DOWN": (
            "The relay is not running; nothing was sent to it.",
            "Nobody answers on the socket in the home's run directory.",
            "Start it with `relay run`, or check --home.",
        ),
        "SUITE_MISSING": (
            "The library for the SM algorithms is not installed.",
            "This network allows suite 3 (SM2, SM3, SM4), so all its offices must be able to verify SM2 signatures.",
            "In the relay's environment run: pip install 'gmssl-pyx>=2.1,<3' (or sh scripts/setup gm), and try again.",
        ),
        "BROKER_MISSING": (
            "The broker program is not installed.",
            "The broker engine could not be found on this machine.",
            "Install the broker, or choose another engine.",
        ),
        "INTERNAL": (
            "The relay met an error of its own.",
            "This is a fault in the program, not in your request.",
            "Try again with the same id; if it stays, report the log lines of this moment.",
        ),
        "HOME_IN_USE": (
            "Another relay already runs on this home.",
            "One home has exactly one daemon.",
            "Stop the other daemon first, or choose another home.",
        ),
        "FILE_EXISTS": (
            "The file or directory exists already; nothing was overwritten.",
            "This program never overwrites keys, homes or saved messages.",
            "Choose another place, or move the old one away.",
        ),
        "CANNOT_WRITE": (
            "The file cannot be written.",
            "Permission or space is missing at the destination.",
            "Check the directory's permissions and free space.",
        ),
        "OUTCOME_UNKNOWN": (
            "It is unknown whether the request was carried out.",
            "The connection broke after the request was sent and before the answer came.",
            "Run the same command again with the same --id; it will not be done twice.",
        ),
        "NOT_PERMITTED": (
            "You may not do this.",
            "Your user has no role for it in relay.toml, or the file permissions forbid it.",
            "Check the permissions of the file, or ask the operator to add you under [api.roles] in relay.toml.",
        ),
        "BAD_CONFIG": (
            "The settings are wrong; the relay does not start.",
            "relay.toml has settings that are unknown, out of range or unreadable.",
            "Correct what is named, then run `relay config check`.",
        ),
        "BAD_PLAN": (
            "The plan of the network is wrong.",
            "The plan file has entries that are unknown, missing or contradictory.",
            "Correct what is named and run the command again.",
        ),
        "BAD_KEYS": (
            "The keys of this home cannot be used.",
            "A key file is missing, damaged, or sealed under another storage key or passphrase.",
            "Restore the keys from the backup; an address is never created anew silently.",
        ),
        "WRONG_HOME": (
            "The command does not work on this kind of home.",
            "A network administrator's directory and an office's home are different things.",
            "Give the other with --home: an administrator's has a folder network/, an office's a folder store/.",
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
        "BAD_TRUST": (
            "The network directory of this home cannot be used.",
            "The signed files under trust are missing, damaged or do not verify.",
            "Fetch them again with `relay keys pull`, or restore the backup.",
        ),
        "BAD_STORE": (
            "The store of this home cannot be used.",
            "The database is damaged, or made by a newer version.",
            "Run `relay fsck`, install the newer version, or restore the backup.",
        ),
        "HOME_MISSING": (
            "There is no home here.",
            "The directory or its relay.toml does not exist.",
            "Give the right --home, or make one with `relay lab create` or `relay keys init`.",
        ),
        "HOME_VERSION": (
            "The home was made by another version.",
            "home_version in relay.toml is not the one this program knows.",
            "Install the matching version; homes are not changed silently.",
        ),
        "UNANCHORED": (
            "The evidence is consistent, but nothing ties it to a root that you trust.",
            "No root file, fingerprint or home with a pinned root was given.",
            "Compare the printed fingerprint by another way, then run again with --root.",
        ),
        "VERIFY_FAILED": (
            "The evidence does not verify.",
            "A signature, digest or the chain of trust is wrong.",
            "Do not rely on this file; ask its sender for another copy.",
        ),
        "CHECK_FAILED": (
            "The check found something wrong.",
            "At least one line of the report says FAIL.",
            "Follow the next step that the line names.",
        ),
        "USAGE": (
            "The command or request is not understood.",
            "An option, argument or parameter is unknown, missing or malformed.",
            "See --help, or /openapi.json for the HTTP API.",
        ),
        "UNKNOWN_PATH": (
            "The API has no such path.",
            "The address of the request is not in the list of operations.",
            "See /openapi.json.",
        ),
        "METHOD_NOT_ALLOWED": (
            "The path exists, but not with this method.",
            "Reading uses GET and changing uses POST.",
            "See /openapi.json.",
        ),
        "UNSUPPORTED_TYPE": (
            "The type of the request body is not understood.",
            "Messages are JSON, newline-delimited JSON or multipart forms.",
            "Set Content-Type to application/json, application/x-ndjson or multipart/form-data.",
        ),
        "INTERRUPTED": (
            "The command was interrupted.",
            "It was stopped by a signal before it was done.",
            "Run it again; with the same --id nothing is done twice.",
        ),
    }
)
