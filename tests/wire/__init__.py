"""Golden frames: what crosses the socket, byte for byte, for every client in whatever language.

Each of the JSON files here is a list of

    {"name": what it is, "message": the map, "frame": the whole frame in hexadecimal}

`requests.json` goes to the daemon; `replies.json` and `events.json` come from it. Bytes stand as
`{"hex": "…"}`. A client's encoder must give exactly these frames for the requests (keys in this
order, every number as short as msgpack has it), and its decoder these maps for the others. Numbers
in requests are whole or have a fraction that is none, so that encoders without two kinds of
number agree; in what the daemon sends, `40.0` is a float on the wire.

These files are the contract, so they are written by hand and read by tests. Only the `frame`s are
worked out, by

    python -m tests.wire.regenerate

after a message was added or changed on purpose. A frame that changes while its message does not
is a broken protocol, not a stale file.

`conversations.json` is what a daemon answers, for whoever writes a client: docs/protocol.md says
how it reads, and `talk.py` plays it.
"""
