"""What is worth doing now: each rule looks at the facts, and says what, why, and how."""

from admission.core import advice_on_machine as machine
from admission.core import advice_on_queue as queue
from admission.core import advice_on_settings as settings
from admission.core.advice import Facts, Recommendation

RULES = (
    queue.long_waits,
    queue.long_holds,
    queue.too_many_agents,
    queue.two_autopilots,
    queue.level_by_hand,
    queue.paused,
    machine.orphans,
    machine.agents_without_lease,
    machine.heavy_process,
    machine.hungry_task,
    machine.records,
    settings.limit_reached,
    settings.bounds,
)


def recommend(facts: Facts) -> list[Recommendation]:
    """The weightiest first; of equal weight in the order of the rules."""
    found = [one for rule in RULES for one in rule(facts)]
    return sorted(found, key=lambda one: -one.weight)
