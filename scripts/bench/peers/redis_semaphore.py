"""A counting semaphore in Redis, as it is usually written: a sorted set of lease ids, each with the
moment at which it expires, and a script that clears, counts and adds at once.

Nobody waits in it: who gets nothing asks again after a while. Redis keeps it in memory, and writes
nothing to disk.
"""

import importlib
import os
from typing import Any

from scripts.bench.load import Server, Talk
from scripts.bench.peers import REDIS, REDIS_PY, why_skipped
from scripts.bench.stage import Broken, Stage

KEY = "slots"
CAPACITY = 1000
TTL_S = 30
ACQUIRE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
return 1
"""


def why_no_redis() -> str:
    """What is missing to compare with it; empty where nothing is."""
    return why_skipped(REDIS, REDIS_PY)


def serve_redis(stage: Stage) -> Server:
    """A server in the stage's folder, with the script loaded."""
    path = str(stage.folder / "redis.sock")
    words = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"]
    process = stage.start(REDIS.path, *words, "--dir", str(stage.folder), "--loglevel", "warning")
    stage.wait_until(lambda: os.path.exists(path), "redis-server")
    with Semaphore(path) as semaphore:
        digest = semaphore.digest
    return Server(process.pid, path, lambda: semaphore_talk(digest))


class Semaphore:
    """With redis-py, on one connection, as quick as it can be had: the script by its digest."""

    def __init__(self, path: str) -> None:
        redis = importlib.import_module("redis")
        self._redis: Any = redis.Redis(unix_socket_path=path)
        self.digest: str = self._redis.script_load(ACQUIRE)

    def __enter__(self) -> "Semaphore":
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.close()

    def pair(self) -> None:
        """Takes a slot under a fresh id, and gives it back."""
        slot = os.urandom(16).hex()
        if self._redis.evalsha(self.digest, 1, KEY, slot, CAPACITY, TTL_S) != 1:
            raise Broken("the Redis semaphore is full")
        self._redis.zrem(KEY, slot)


def semaphore_talk(digest: str) -> Talk:
    """The same without redis-py: what the server itself can do."""
    slot = os.urandom(16).hex()
    acquire = command("EVALSHA", digest, "1", KEY, slot, str(CAPACITY), str(TTL_S))
    release = command("ZREM", KEY, slot)
    while True:
        for request in (acquire, release):
            answer = yield request
            if answer != b":1\r\n":
                raise Broken(f"Redis answered {answer!r}")


def command(*words: str) -> bytes:
    """A command as Redis reads it: an array of strings, each with its length in bytes."""
    strings = [word.encode() for word in words]
    parts = [b"*%d\r\n" % len(strings)]
    parts += [b"$%d\r\n%s\r\n" % (len(one), one) for one in strings]
    return b"".join(parts)
