"""`relay keys`: where the commands of keys and enrolment are mounted. A group without commands is not offered."""

from typing import Final

from relay.console.commands import LazyGroup


def _leave_no_core() -> None:
    from relay.memory import leave_no_core

    leave_no_core()


group: Final = LazyGroup(
    "keys",
    {
        "init": "relay.console.enrolling:init",
        "fingerprint": "relay.console.fingerprints:fingerprint",
        "approve": "relay.console.approving:approve",
        "reject": "relay.console.approving:reject",
        "install": "relay.console.enrolling:install",
        "change": "relay.console.reorganising:change",
        "revoke": "relay.console.revoking:revoke",
        "person": "relay.console.persons:group",
        "passwd": "relay.console.safekeeping:passwd",
        "backup": "relay.console.safekeeping:backup",
        "recover": "relay.console.safekeeping:recover",
    },
    before=_leave_no_core,
)
