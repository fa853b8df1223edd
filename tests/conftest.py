"""How hard Hypothesis tries: 300 examples for whoever works on it, 2,000 where `CI` is set.

Where bugs are planted on purpose it is always the same examples, and none is made smaller.
"""

import os

from hypothesis import Phase, settings

settings.register_profile("developer", max_examples=300, deadline=None)
settings.register_profile("ci", max_examples=2_000, deadline=None, print_blob=True)
settings.register_profile(
    "plants", max_examples=300, deadline=None, derandomize=True, phases=[Phase.generate]
)
settings.load_profile("ci" if os.environ.get("CI") else "developer")
