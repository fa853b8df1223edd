"""The agents' settings files: puts the hooks in, takes them out, and says how it stands."""


def change(what: str, words: list[str]) -> int:
    """One of `install`, `uninstall` and `status`."""
    raise NotImplementedError((what, words))
