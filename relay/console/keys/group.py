"""`relay keys`: where the commands of keys and enrolment are mounted. A group without commands is not offered."""

from typing import Final

from relay.console.commands import LazyGroup


def _leave_no_core() -> None:
    from relay.memory import leave_no_core

    leave_no_core()


rotate_group: Final = LazyGroup(
    "keys rotate",
    {
        **{
            role: f"relay.console.keys.ceremonies:rotate_{role}"
            for role in ("root", "targets", "suspensions", "snapshot", "timestamp")
        },
        **{
            what: f"relay.console.keys.renewing:rotate_{what}"
            for what in ("identity", "tls", "prekey", "storage", "cancel")
        },
    },
)
"""`keys rotate WHAT`: of the network in an administrator's directory, of an office in its home."""

group: Final = LazyGroup(
    "keys",
    {
        "init-network": "relay.console.keys.ceremonies:init_network",
        "init": "relay.console.keys.enrolling:init",
        "fingerprint": "relay.console.keys.fingerprints:fingerprint",
        "approve": "relay.console.keys.approving:approve",
        "reject": "relay.console.keys.approving:reject",
        "install": "relay.console.keys.enrolling:install",
        "needs-renewal": "relay.console.keys.renewing:needs_renewal",
        "change": "relay.console.keys.reorganising:change",
        "rules": "relay.console.keys.ruling:rules",
        "list": "relay.console.keys.holdings:list_keys",
        "show": "relay.console.keys.holdings:show",
        "rotate": "relay.console.keys.group:rotate_group",
        "publish": "relay.console.keys.publishing:publish",
        "pull": "relay.console.keys.publishing:pull",
        "pending": "relay.console.keys.pendings:group",
        "suspend": "relay.console.keys.suspending:suspend",
        "revoke": "relay.console.keys.revoking:revoke",
        "person": "relay.console.keys.persons:group",
        "passwd": "relay.console.keys.safekeeping:passwd",
        "backup": "relay.console.keys.safekeeping:backup",
        "recover": "relay.console.keys.safekeeping:recover",
    },
    before=_leave_no_core,
)
