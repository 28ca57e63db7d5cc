"""English words of every code: what happened, why, what to do."""

from types import MappingProxyType
from typing import Final

from relay.wording_keys_en import WORDS as KEYS

WORDS: Final = MappingProxyType(
    {
        **KEYS,
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
        "SUCCEEDED": (
            "The office has been taken over by another.",
            "From a date on the directory names a successor; it is another office, with other people.",
            "Send to the successor that is named, if that is what you mean.",
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
        "WORDS_LOST": (
            "What the message said is lost.",
            "Its row in the store was damaged, and no other place has its words.",
            "Follow it with `relay track`; look at the disk with `relay fsck`.",
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
