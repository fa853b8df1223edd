"""The table: a line for each rule, with means and standard errors over the seeds."""

from collections.abc import Iterator
from math import isnan
from statistics import fmean

from admission.simulation.score import MEASURES, Estimate, estimates
from admission.simulation.trial import DOCUMENT, Results

# Measure and heading. What is left out here is in the JSON.
COLUMNS = (
    ("cycles_per_hour", "cycles/h"),
    ("share_pct", "% of bound"),
    ("kills_per_hour", "OOM/h"),
    ("above_95_s_per_hour", "s>95 %/h"),
    ("above_90_s_per_hour", "s>90 %/h"),
    ("lost_per_hour", "lost/h"),
    ("changes_per_hour", "changes/h"),
    ("wait_mean_s", "wait s"),
    ("wait_p95_s", "p95 s"),
    ("cpu_stall_pct", "CPU stall %"),
    ("worth", "worth"),
)
# What is promised of policy `table`, as shares of what the document's own rule does.
TARGETS = (
    ("kills_per_hour", "out-of-memory kills", 0.3, False),
    ("above_95_s_per_hour", "seconds above 95 %", 0.3, False),
    ("changes_per_hour", "changes of the level", 0.4, False),
    ("cycles_per_hour", "finished work", 0.9, True),
)


def table(results: Results) -> str:
    """The results as a table in Markdown, the rules in their order."""
    lines = ["| rule | " + " | ".join(heading for _, heading in COLUMNS) + " |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for name, scores in results.items():
        means = estimates(scores)
        cells = (_cell(means[measure]) for measure, _ in COLUMNS)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(one: Estimate) -> str:
    return "-" if isnan(one.mean) else str(one)


def ratios(results: Results, name: str, base: str = DOCUMENT.name) -> Iterator[str]:
    """How one rule does beside another, by the measures that something was promised of."""
    ours, theirs = estimates(results[name]), estimates(results[base])
    for measure, what, bound, is_least in TARGETS:
        base_mean = theirs[measure].mean
        if not base_mean:
            yield f"{what}: {ours[measure]} beside none"
            continue
        ratio = ours[measure].mean / base_mean
        is_met = ratio >= bound if is_least else ratio <= bound
        wanted = f"{'at least' if is_least else 'at most'} {bound:g}"
        yield f"{what}: {ratio:.2f} of it, {wanted} wanted: {'met' if is_met else 'missed'}"


def urgent(results: Results) -> Iterator[str]:
    """By rule, what nineteen in twenty of the urgent tasks waited at most."""
    for name, scores in results.items():
        yield f"{name}: {estimates(scores)['urgent_p95_s']} s"


def paired(results: Results, name: str, base: str) -> Iterator[str]:
    """How one rule does beside another on the same days: the means of what one is of the other."""
    for measure, what in (
        ("peak_pct", "most memory in use"),
        ("cycles_per_hour", "finished work"),
        ("above_90_s_per_hour", "seconds above 90 %"),
    ):
        pairs = zip(results[name], results[base], strict=True)
        values = [(getattr(ours, measure), getattr(theirs, measure)) for ours, theirs in pairs]
        mine, others = (fmean(each) for each in zip(*values, strict=True))
        if not others:
            yield f"{what}: {mine:.1f} beside none"
            continue
        shares = [one / other for one, other in values if other]
        yield f"{what}: {mine:.1f} beside {others:.1f}, {fmean(shares):.3f} of it a day"


def as_maps(results: Results) -> dict[str, dict[str, dict[str, float | None]]]:
    """All measures of all rules, for JSON, which knows no NaN."""
    return {
        name: {
            measure: {"mean": _number(one.mean), "error": _number(one.error)}
            for measure, one in estimates(scores).items()
        }
        for name, scores in results.items()
    }


def _number(value: float) -> float | None:
    return None if isnan(value) else round(value, 4)


def side_by_side(results: Results) -> str:
    """Few rules, a line for each measure: easier to read where there are two or three."""
    means: dict[str, dict[str, Estimate]] = {
        name: estimates(scores) for name, scores in results.items()
    }
    headings = {measure: heading for measure, heading in COLUMNS}
    rows = [["", *means]]
    for measure in MEASURES:
        if measure in headings:
            rows.append([headings[measure], *(_cell(one[measure]) for one in means.values())])
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
