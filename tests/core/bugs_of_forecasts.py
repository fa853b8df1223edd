"""Bugs in forecasts, and in whether they are believed; see `tests.core.bugs`."""

from tests.core.planting import bug

WHAT_IS_FORESEEN = (
    bug(
        "a trend acts before it has proven anything",
        "foresight.py",
        "        return record.is_proven(self.warnings_min, self.right_min)\n",
        "        return True\n",
    ),
    bug(
        "a forecast stands in the place of the readings",
        "governor.py",
        "        return (*legs, *other_legs(sample, self.throttle.legs), *self.forecasts.legs)\n",
        "        foreseen = self.forecasts.legs\n"
        "        return foreseen or (*legs, *other_legs(sample, self.throttle.legs))\n",
    ),
    bug(
        "a forecast in shadow acts",
        "foresight.py",
        '            if self.foresight.on == "auto":\n                if',
        "            if True:\n                if",
    ),
    bug(
        "a false alarm is forgotten",
        "skill.py",
        "                self._leads_s.append(-inf)\n",
        "                pass\n",
    ),
    bug(
        "a warning that comes with what it warns of is right",
        "skill.py",
        "if lead_s >= LEAD_MIN_S]",
        "if lead_s >= 0]",
    ),
    bug(
        "a level that is up already is warned of",
        "skill.py",
        "        if bound in self._up:\n            return False\n",
        "",
    ),
    bug(
        "a rise is foreseen through a night's sleep",
        "governor.py",
        "        self.forecasts.forget()\n",
        "",
    ),
    bug(
        "a profile acts while it is worse",
        "profile.py",
        "self.mae < ERROR_SHARE_MAX * self.persistence_mae",
        "self.mae > ERROR_SHARE_MAX * self.persistence_mae",
    ),
    bug(
        "a profile is believed after its first hours",
        "profile.py",
        "        is_old_enough = self.weeks * HOURS >= JUDGED_H and self.hours >= JUDGED_MIN\n",
        "        is_old_enough = self.hours >= 1\n",
    ),
    bug(
        "an hour that nobody saw begin is foreseen from days before",
        "profile.py",
        "            if self.foreseen is not None and self.foreseen.number != number:\n"
        "                self.foreseen = None\n",
        "",
    ),
    bug(
        "what was seen long ago counts for ever",
        "profile.py",
        "        past = self.weight * 0.5 ** (max(hour.number - self.number, 0) / HALF_LIFE_H)\n",
        "        past = self.weight\n",
    ),
)
