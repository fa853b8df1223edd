"""A day of a machine under admission, in a second: to see what a rule would do before it does it.

The machine, its tasks and its sensors are invented here (`day`, `plant`, `sensor`), the rules are
either the real core or something to compare it with (`ours`, `others`), and what came of it is
counted (`score`, `report`). Every random number comes from a seed, so a run can be repeated, and
two rules can be shown the very same day. docs/simulation.md has the results.
"""
