"""Lets a failed `assert` of the witness say what was on either side of it."""

import pytest

for module in (
    "books",
    "books_of_alarms",
    "books_of_hand",
    "books_of_shedding",
    "invariants",
    "rules",
    "worlds",
):
    pytest.register_assert_rewrite(f"tests.core.{module}")
