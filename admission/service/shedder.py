"""Carries out what the ladder asks for."""

import logging

from admission.core import shedding

log = logging.getLogger(__name__)


class Shedder:
    """See the module."""

    def do(self, effect: shedding.Effect) -> None:
        log.info("shed: %r", effect)
