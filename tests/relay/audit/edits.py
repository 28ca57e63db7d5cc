"""`python -m tests.relay.audit.edits 100000 [first seed]`: so many edits; every one must be found (G15)."""

import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.relay.audit.books import checked, edited, put_book, quick_disk, read_book, write_book

EDITS_PER_BOOK = 500


def run(first: int, count: int) -> tuple[Counter[str], list[str]]:
    """How often each edit was tried, and those that nobody found."""
    tried: Counter[str] = Counter()
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        for number in range(0, count, EDITS_PER_BOOK):
            folder = Path(place) / f"{number}"
            stored = write_book(folder, first + number)
            book = read_book(folder)
            if not checked(folder, stored).ok:
                missed.append(f"book {first + number}: a false alarm")
            for seed in range(first + number, first + min(number + EDITS_PER_BOOK, count)):
                changed, name = edited(book, seed)
                put_book(folder, changed)
                tried[name] += 1
                if checked(folder, stored).ok:
                    missed.append(f"book {first + number} seed {seed}: {name}")
    return tried, missed


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with quick_disk():
        tried, missed = run(int(sys.argv[2]) if len(sys.argv) > 2 else 0, wanted)
    print(f"{sum(tried.values())} edits, {len(missed)} not found: {dict(tried)}")
    print("\n".join(missed[:20]))
    sys.exit(1 if missed else 0)
