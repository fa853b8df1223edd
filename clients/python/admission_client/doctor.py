"""stub"""


def doctor(words: list[str]) -> int:
    return 0
