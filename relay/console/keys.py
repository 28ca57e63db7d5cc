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
            role: f"relay.console.ceremonies:rotate_{role}"
            for role in ("root", "targets", "suspensions", "snapshot", "timestamp")
        },
        **{
            what: f"relay.console.renewing:rotate_{what}" for what in ("identity", "tls", "prekey", "storage", "cancel")
        },
    },
)
"""`keys rotate WHAT`: of the network in an administrator's directory, of an office in its home."""

group: Final = LazyGroup(
    "keys",
    {
        "init-network": "relay.console.ceremonies:init_network",
        "init": "relay.console.enrolling:init",
        "fingerprint": "relay.console.fingerprints:fingerprint",
        "approve": "relay.console.approving:approve",
        "reject": "relay.console.approving:reject",
        "install": "relay.console.enrolling:install",
        "needs-renewal": "relay.console.renewing:needs_renewal",
        "change": "relay.console.reorganising:change",
        "rules": "relay.console.ruling:rules",
        "list": "relay.console.holdings:list_keys",
        "show": "relay.console.holdings:show",
        "rotate": "relay.console.keys:rotate_group",
        "publish": "relay.console.publishing:publish",
        "pull": "relay.console.publishing:pull",
        "pending": "relay.console.pendings:group",
        "suspend": "relay.console.suspending:suspend",
        "revoke": "relay.console.revoking:revoke",
        "person": "relay.console.persons:group",
        "passwd": "relay.console.safekeeping:passwd",
        "backup": "relay.console.safekeeping:backup",
        "recover": "relay.console.safekeeping:recover",
    },
    before=_leave_no_core,
)
