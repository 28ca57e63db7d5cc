"""What only root can try is left out for others, but never in continuous integration."""

import os

import pytest

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"),
    reason="mounts, tracing, namespaces, other users and giving files away need root",
)
