"""The connection to a Milvus server: addresses that never show a password, and pages of rows."""

from pathlib import Path
from typing import Any

import pytest
from pymilvus.exceptions import MilvusException

from bitreid.errors import BadRequest, GalleryError, GalleryUnreachable
from bitreid.gallery.milvus import server
from bitreid.gallery.milvus.gallery import open_milvus
from bitreid.gallery.milvus.server import Server
from tests.gallery.milvus.running import MilvusServer


def listening(folder: Path) -> set[str]:
    """The addresses that a process in this network namespace listens at, as the kernel writes them."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in (folder / name).read_text().splitlines()[1:]]
    return {line[1] for line in lines if line[3] == "0A"}


def test_no_message_shows_a_password() -> None:
    for address in ("127.0.0.1:1", "127.0.0.1:port", "[::1", "127.0.0.1:99999"):
        with pytest.raises((GalleryUnreachable, BadRequest)) as raised:
            open_milvus(f"http://desk:s3cr3t%40x@{address}", "people", timeout_s=0.1)
        assert address in str(raised.value)
        shown = f"{raised.value} {raised.value.__cause__} {raised.value.__context__}"
        assert "s3cr3t" not in shown
        assert "desk" not in shown


@pytest.mark.parametrize(("code", "kind"), [(1100, BadRequest), (65535, GalleryUnreachable)])
def test_no_message_repeats_the_texts_of_a_filter(
    monkeypatch: pytest.MonkeyPatch, code: int, kind: type[GalleryError]
) -> None:
    """They may name people, and an operator's log shows what the server said."""

    class Refusing:
        def query(self, collection: str, **settings: Any) -> None:
            raise MilvusException(code, f"cannot parse expression: {settings['filter']}, error: no such field")

    def connected(self: Server) -> None:
        self._client, self.address, self.timeout_s = Refusing(), "http://here:19530", 1

    monkeypatch.setattr(Server, "__init__", connected)
    monkeypatch.setattr(server, "_WAIT_S", 0)
    for person in ('"Anna"', r'"An\"na"', '"Anna', r"\"Anna\""):
        with pytest.raises(kind, match=r'cannot parse expression: person == .*"\.\.\."') as raised:
            Server().call("query", "people", filter=f"person == {person}")  # type: ignore[call-arg]
        assert "nna" not in str(raised.value)
        assert "na" not in str(raised.value).partition("==")[2].partition(",")[0]


def test_the_server_of_the_tests_is_on_loopback_only(milvus: MilvusServer) -> None:
    port = f"{int(milvus.url.rpartition(':')[2]):04X}"
    seen = {each for each in listening(Path("/proc/self/net")) if each.endswith(f":{port}")}
    assert seen == {f"0100007F:{port}"}
    if milvus.alone:
        assert not listening(Path(f"/proc/{milvus.pid}/net")) & listening(Path("/proc/self/net"))


class Answer(list[dict[str, Any]]):
    """An answer to a query, with what else the server said."""

    def __init__(self, keys: range, extra: dict[str, Any]) -> None:
        super().__init__({"key": key} for key in keys)
        self.extra = extra


def test_pages_show_the_moment_of_the_first_where_the_server_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As newer servers do: what the first answer says that it saw is asked for in all others."""
    asked = []

    def call(self: Server, method: str, collection: str, **settings: Any) -> Any:
        if settings["output_fields"] == ["count(*)"]:
            return [{"count(*)": 2}]
        asked.append(settings)
        start = 2 * (len(asked) - 1)
        return Answer(range(start, min(start + 2, 4)), {"iterator_session_ts": 7})

    monkeypatch.setattr(Server, "call", call)
    monkeypatch.setattr(Server, "__init__", lambda self: setattr(self, "most_rows", 2))
    assert [[row["key"] for row in rows] for rows in Server().rows("people", "", [])] == [[0, 1], [2, 3]]  # type: ignore[call-arg]
    assert [each.get("guarantee_timestamp") for each in asked] == [None, 7, 7]
    assert {each["iterator"] for each in asked} == {"True"}


def test_a_page_with_fewer_rows_than_the_server_counts_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Answer(range(2, 4), {}), Answer(range(1, 4), {}), Answer(range(0), {})]

    def call(self: Server, method: str, collection: str, **settings: Any) -> Any:
        return [{"count(*)": 3}] if settings["output_fields"] == ["count(*)"] else answers.pop(0)

    monkeypatch.setattr(Server, "call", call)
    monkeypatch.setattr(Server, "__init__", lambda self: setattr(self, "most_rows", 9))
    assert [[row["key"] for row in rows] for rows in Server().rows("people", "", [])] == [[1, 2, 3]]  # type: ignore[call-arg]
