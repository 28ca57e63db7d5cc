"""`python -m benchmarks [--json] [--messages N]`: the relay beside the ideal loop and the script, in one run.

Figures of one machine and one moment; the ratios are what can be compared.
"""

import argparse
import json

from rich.console import Console
from rich.table import Table

from benchmarks import ideal_loop, one_hop, script_80
from benchmarks.measure import Result

# The floor for the relay on two cores; DESIGN, "Performance budget", has the aims.
BUDGET = {"messages/s": 600, "CPU s/1000": 2.5, "p50 ms": 10, "p99 ms": 30, "RSS MiB": 120, "relay send ms": 250}


def figure(value: float | None) -> str:
    """A number for the table, or a dash."""
    return "–" if value is None else f"{value:.3g}" if value < 10 else f"{value:.0f}"


def table(results: list[Result]) -> Table:
    """Contenders in rows, with their ratios to the first one (the ideal)."""
    made = Table(title="One hop, 2 KiB Chinese text")
    made.add_column("")
    for column in ("messages/s", "of ideal", "CPU s/1000", "x ideal", "p50 ms", "p99 ms"):
        made.add_column(column, justify="right")
    ideal = results[0]
    for result in results:
        made.add_row(
            result.name,
            figure(result.rate),
            f"{result.rate / ideal.rate:.0%}",
            figure(result.cpu_s_per_1000),
            f"{result.cpu_s_per_1000 / ideal.cpu_s_per_1000:.2f}",
            figure(result.percentile_ms(50)),
            figure(result.percentile_ms(99)),
        )
    return made


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--messages", type=int, default=2000)
    options = parser.parse_args()
    results = [run(options.messages) for run in (ideal_loop.run, script_80.run, one_hop.run)]
    if options.json:
        for result in results:
            print(json.dumps(result.as_json(), ensure_ascii=False))
        return
    console = Console()
    console.print(table(results))
    notes = results[-1].notes
    console.print("  ".join(f"{name} {value:g}" for name, value in notes.items()))
    console.print("budget: " + "  ".join(f"{name} {value:g}" for name, value in BUDGET.items()), style="dim")


if __name__ == "__main__":
    main()
