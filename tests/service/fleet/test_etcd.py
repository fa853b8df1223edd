"""The client of etcd, on a real one: what it can be asked, and what is said when it can't."""

import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
import trio

from admission.service.fleet.etcd import Account, Away, Entry, Etcd, LeaseGone, News
from tests.service.stage import is_one_short_line
from tests.system.fleet import Server, free_port

pytestmark = pytest.mark.trio
NOBODY = f"http://127.0.0.1:{free_port()}"
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.fixture
async def etcd(server: Server) -> AsyncIterator[Etcd]:
    """The first of its endpoints is one where nobody listens."""
    async with Etcd(Account((NOBODY, server.url))) as etcd:
        yield etcd


async def test_keys_are_put_once_found_and_deleted(etcd: Etcd) -> None:
    assert await etcd.put_if("/k/a", b"1", 0, None)
    assert not await etcd.put_if("/k/a", b"2", 0, None), "it is there"
    await etcd.put_all([("/k/b", b"x"), ("/k/c", b"y"), ("/kk", b"no")], 0)
    a, b, c = (await etcd.range("/k/")).entries
    assert [(one.key, one.value) for one in (a, b, c)] == [
        ("/k/a", b"1"),
        ("/k/b", b"x"),
        ("/k/c", b"y"),
    ]
    assert a.made_at < b.made_at == c.made_at
    assert await etcd.put_if("/k/a", b"3", 0, a)
    await etcd.delete_all([one.key for one in (a, b, c)] + [f"/k/{n}" for n in range(200)])
    assert (await etcd.range("/k/")).entries == ()


async def test_a_watch_hears_of_all_in_order(etcd: Etcd) -> None:
    heard: list[Entry | str] = []
    done = trio.Event()

    def take(news: News) -> None:
        heard.extend(news.events)
        if len(heard) == 3:
            done.set()

    await etcd.put_all([("/w/before", b"")], 0)
    found = await etcd.range("/w/")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(etcd.watch, "/w/", found.revision, take)
        await etcd.put_all([("/w/a", b"1"), ("/other", b"")], 0)
        await etcd.put_all([("/w/b", b"2")], 0)
        await etcd.delete_all(["/w/a"])
        with trio.fail_after(60):
            await done.wait()
        nursery.cancel_scope.cancel()
    assert [one if isinstance(one, str) else one.key for one in heard] == ["/w/a", "/w/b", "/w/a"]


async def test_what_is_compacted_can_not_be_watched(etcd: Etcd, server: Server) -> None:
    before = await etcd.range("/c/")
    await etcd.put_all([("/c/a", b"1")], 0)
    async with httpx2.AsyncClient() as client:
        body = {"revision": str((await etcd.range("/c/")).revision)}
        assert (await client.post(f"{server.url}/v3/kv/compaction", json=body)).is_success
    with pytest.raises(Away, match=r"the watch on .* has ended"), trio.fail_after(60):
        await etcd.watch("/c/", before.revision - 1, lambda news: None)


async def test_a_lease_ends_with_all_under_it(etcd: Etcd) -> None:
    lease, ttl_s = await etcd.grant(5)
    assert ttl_s >= 5
    await etcd.put_all([("/l/a", b"")], lease)
    await etcd.keep_alive(lease)
    ((entry),) = (await etcd.range("/l/")).entries
    assert entry.lease == lease
    await etcd.revoke(lease)
    assert (await etcd.range("/l/")).entries == ()
    with pytest.raises(LeaseGone):
        await etcd.keep_alive(lease)
    with pytest.raises(LeaseGone):
        await etcd.put_all([("/l/b", b"")], lease)


async def test_another_endpoint_is_asked_and_then_first(etcd: Etcd) -> None:
    moved = etcd.moved
    await etcd.range("/")
    assert moved.is_set()
    calls = etcd.calls
    await etcd.range("/")
    assert etcd.calls == calls + 1


async def said(account: Account) -> str:
    """What is said about etcd that can't be asked; within its bound."""
    with trio.fail_after(30), pytest.raises(Away) as problem:
        async with Etcd(account, answer_s=0.3) as etcd:
            await etcd.range("/")
    assert is_one_short_line(str(problem.value))
    assert problem.value.code == "fleet_away"
    return str(problem.value)


async def test_nobody_listens_or_nobody_answers() -> None:
    assert "can't be reached" in await said(Account((NOBODY,)))
    assert "can't be reached" in await said(Account(("http://127.0.0.1:none",)))
    with trio.socket.socket() as ears:
        await ears.bind(("127.0.0.1", 0))
        ears.listen()
        port = ears.getsockname()[1]
        assert str(port) in await said(Account((f"http://127.0.0.1:{port}",)))


async def test_something_else_answers() -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (ears,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [ears])
        port = ears.socket.getsockname()[1]
        assert "is no etcd" in await said(Account((f"http://127.0.0.1:{port}",)))
        nursery.cancel_scope.cancel()


async def test_a_password_is_needed_and_lasts(tmp_path: Path) -> None:
    with Server(tmp_path, "--auth-token-ttl", "1") as server:
        async with httpx2.AsyncClient(base_url=server.url) as root:
            for path, body in (
                ("user/add", {"name": "root", "password": PASSWORD}),
                ("user/grant", {"user": "root", "role": "root"}),
                ("auth/enable", {}),
            ):
                answer = await root.post(f"/v3/auth/{path}".replace("auth/auth", "auth"), json=body)
                assert answer.is_success, answer.text
        async with Etcd(Account((server.url,), "root", PASSWORD)) as etcd:
            await etcd.put_all([("/p", b"")], 0)
            etcd._token = "outlived.1"
            await etcd.put_all([("/p", b"")], 0)
        wrong = await said(Account((server.url,), "root", "wrong"))
        assert "does not take this user and password" in wrong
        assert PASSWORD not in wrong
        assert "user name is empty" in await said(Account((server.url,)))


def made_certificate(folder: Path) -> tuple[Path, Path]:
    """Of an authority of the test's own, for this machine; and its key."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    line = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    line += " -subj /CN=x -addext subjectAltName=IP:127.0.0.1"
    words = [*line.split(), "-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run(words, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("openssl is not on this machine")
    return key, certificate


async def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    key, certificate = made_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)

    async def answer(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await stream.receive_some()
            body = b'{"header": {"revision": "7"}}'
            await stream.send_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await stream.aclose()
        except trio.BrokenResourceError:
            pass  # it was not trusted

    async with trio.open_nursery() as nursery:
        (ears,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        secure = trio.SSLListener(ears, tls)
        nursery.start_soon(trio.serve_listeners, answer, [secure])
        url = f"https://127.0.0.1:{ears.socket.getsockname()[1]}"
        assert "a certificate that is not trusted" in await said(Account((url,)))
        assert "ca_file: " in await said(Account((url,), ca_file=str(tmp_path / "nonesuch")))
        async with Etcd(Account((url,), ca_file=str(certificate))) as etcd:
            assert (await etcd.range("/")).revision == 7
        nursery.cancel_scope.cancel()
