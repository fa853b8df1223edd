"""Works out the `frame` of every golden message that is new or was changed on purpose:
`python -m tests.wire.regenerate`.
"""

from dataclasses import replace

from admission.protocol import LENGTH_BYTES, decode, encode
from tests.wire.goldens import FILES, Golden, load, save


def regenerated(golden: Golden) -> Golden:
    """The golden with the frame that belongs to its message.

    Raises:
        SystemExit: the message is as it was and its bytes would not be: that is the encoder's
            fault, and no reason to change what clients rely on.
    """
    frame = encode(golden.message)
    if (
        golden.frame
        and golden.frame != frame
        and decode(golden.frame[LENGTH_BYTES:]) == decode(frame[LENGTH_BYTES:])
    ):
        raise SystemExit(f'"{golden.name}" has other bytes now, and its message did not change')
    return replace(golden, frame=frame)


def main() -> None:
    for file_name in FILES:
        save(file_name, [regenerated(one) for one in load(file_name)])


if __name__ == "__main__":
    main()
