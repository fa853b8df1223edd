"""Bugs in who shares whose lease, and who waits for itself; see `tests.core.bugs`."""

from tests.core.planting import bug

WHO_RUNS_UNDER_WHOM = (
    bug(
        "the environment alone shares a lease",
        "nesting.py",
        "    return next((out[holder] for holder in event.ancestors if holder in out), None)\n",
        "    return next(iter(out.values()), None)\n",
    ),
    bug(
        "a lease of its own is the one above",
        "nesting.py",
        "    if event.parent is None or event.is_new:\n",
        "    if event.parent is None:\n",
    ),
    bug(
        "a lease beside it is taken for the one above",
        "nesting.py",
        " or lease.id <= event.parent)\n",
        " or True)\n",
    ),
    bug(
        "what runs under a whole pool waits for more of it",
        "nesting.py",
        "    if held + weight > most:\n",
        "    if weight > most:\n",
    ),
    bug(
        "an agent is waited for within an operation",
        "nesting.py",
        "        if above[inner]:\n",
        "        if False:\n",
    ),
    bug(
        "an operation is not waited for within an agent",
        "nesting.py",
        "    for inner in order[order.index(name) + 1 :]:\n",
        "    for inner in order[: order.index(name)]:\n",
    ),
    bug(
        "a yielded lease above is in the way",
        "nesting.py",
        "    return lease.is_out and (event.parent",
        "    return (event.parent",
    ),
)
