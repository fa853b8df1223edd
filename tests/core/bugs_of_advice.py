"""Bugs in what is recommended; see `tests.core.bugs`."""

from tests.core.planting import bug

WHAT_IS_RECOMMENDED = (
    bug(
        "the lightest comes first",
        "recommending.py",
        "key=lambda one: -one.weight",
        "key=lambda one: one.weight",
    ),
    bug(
        "the wait is that of the ticket that is told of last",
        "advice_on_queue.py",
        "    oldest = max(waits, key=lambda one: one.for_s)\n",
        "    oldest = waits[-1]\n",
    ),
    bug(
        "who runs is counted as one that waits",
        "advice_on_queue.py",
        "        held, waiting = largest.held, largest.waiting\n",
        "        held, waiting = largest.waiting, largest.held\n",
    ),
    bug(
        "any group is an autopilot",
        "advice_on_queue.py",
        "    return group.name.startswith(AUTOPILOT) and group.name[len(AUTOPILOT) :].isdigit()\n",
        "    return group.name.startswith(AUTOPILOT)\n",
    ),
    bug(
        "a level by hand is never given back",
        "advice_on_queue.py",
        "    if hand is None or hand.level == hand.called_for:\n",
        "    if hand is None or hand.level >= hand.called_for:\n",
    ),
    bug(
        "the memory of orphans is that of the largest",
        "advice_on_machine.py",
        "    found = facts.survivors\n    taken = sum(one.memory_bytes for one in found)\n",
        "    found = facts.survivors\n"
        "    taken = max((one.memory_bytes for one in found), default=0)\n",
    ),
    bug(
        "a process that takes much of the CPU is light",
        "advice_on_machine.py",
        "    if memory < HEAVY_MEMORY and cpus < HEAVY_CPUS:\n",
        "    if memory < HEAVY_MEMORY:\n",
    ),
    bug(
        "a task is compared with itself",
        "advice_on_machine.py",
        "    others = [other.peak_bytes for other in known if other.task != one.task]\n",
        "    others = [other.peak_bytes for other in known]\n",
    ),
    bug(
        "a limit that is reached under pressure is too low",
        "advice_on_settings.py",
        "        minute.level == 0\n        and minute.waiting > 0\n",
        "        minute.waiting > 0\n",
    ),
    bug(
        "bounds are too tight though higher ones kill",
        "advice_on_settings.py",
        "        and tried.kills_per_hour <= current.kills_per_hour\n",
        "",
    ),
    bug(
        "lower bounds may finish nothing",
        "advice_on_settings.py",
        "        and tried.cycles_per_hour >= LESS_WORK * current.cycles_per_hour\n",
        "",
    ),
)
