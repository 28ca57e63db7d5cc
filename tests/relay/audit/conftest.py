from collections.abc import Iterator

import pytest

from tests.relay.audit.books import quick_disk


@pytest.fixture(autouse=True)
def _quick_disk() -> Iterator[None]:
    with quick_disk():
        yield
