"""A word large enough to be read from the other end of a desk: three lines of half blocks."""

# Five rows of dots each; the sixth stays empty.
_LETTERS = {
    "A": (".##.", "#..#", "####", "#..#", "#..#"),
    "D": ("###.", "#..#", "#..#", "#..#", "###."),
    "E": ("###", "#..", "##.", "#..", "###"),
    "G": (".###", "#...", "#.##", "#..#", ".###"),
    "H": ("#..#", "#..#", "####", "#..#", "#..#"),
    "I": ("#", "#", "#", "#", "#"),
    "L": ("#..", "#..", "#..", "#..", "###"),
    "M": ("#...#", "##.##", "#.#.#", "#...#", "#...#"),
    "N": ("#..#", "##.#", "#.##", "#..#", "#..#"),
    "O": (".##.", "#..#", "#..#", "#..#", ".##."),
    "R": ("###.", "#..#", "###.", "#.#.", "#..#"),
    "T": ("###", ".#.", ".#.", ".#.", ".#."),
    "U": ("#..#", "#..#", "#..#", "#..#", ".##."),
    "V": ("#...#", "#...#", ".#.#.", ".#.#.", "..#.."),
    "W": ("#...#", "#...#", "#.#.#", "##.##", "#...#"),
    "Y": ("#.#", "#.#", ".#.", ".#.", ".#."),
}
_BLOCKS = {"..": " ", "#.": "▀", ".#": "▄", "##": "█"}
LINES = 3


def large(word: str) -> list[str] | None:
    """The word in three lines as wide as each other; None where a letter of it has no drawing."""
    drawn = [_LETTERS.get(letter) for letter in word.upper()]
    if not word or None in drawn:
        return None
    rows = [" ".join(one[row] for one in drawn if one).replace(" ", ".") for row in range(5)]
    rows.append("." * len(rows[0]))
    return [
        "".join(_BLOCKS[above + below] for above, below in zip(rows[at], rows[at + 1], strict=True))
        for at in range(0, 2 * LINES, 2)
    ]
