"""The service: one dynamically sized semaphore for the agents of a machine.

Kept free of imports: clients import `admission.protocol` on their way to an exec.
"""

__version__ = "0.1.0"
