"""What strangers may send: each is answered in the one shape, with the right status, and harms nobody."""

import asyncio
import base64
import gzip
import io
import json
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from bitreid.encoding.encoder import Encoder
from bitreid.gallery import Contract, create_gallery
from bitreid.service.headers import HEADERS
from bitreid.service.keys import create_key, revoke_key
from bitreid.service.pictures import KeptPictures
from tests.service.cases import app_of, asked, empty, error_in, service_in

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def png(pixels: int = 8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((2 * pixels, pixels, 3), 99, np.uint8)).save(file, "PNG")
    return file.getvalue()


def form(content: bytes, request: Any = None, name: str = "a.png", kind: str = "image/png") -> dict[str, Any]:
    text = json.dumps(request or {}) if not isinstance(request, str) else request
    return {"files": [("picture", (name, content, kind)), ("request", (None, text))]}


async def test_json_that_is_none_or_too_much(encoder: Encoder) -> None:
    codes = base64.b64encode(bytes(encoder.card.n_bits // 8)).decode()
    good = {"codes": codes, "model": encoder.model}
    bodies: list[tuple[bytes, int, str]] = [
        (b"", 400, "bad_request"),
        (b"{", 400, "bad_request"),
        (b"\xff\xfe", 400, "bad_request"),
        (b"null", 400, "bad_request"),
        (DEEP, 400, "bad_request"),
        (b'{"id": ' + DEEP + b"}", 400, "bad_request"),
        (b'{"id": 1, "k": NaN}', 400, "bad_request"),
        (b'{"id": 1, "recall": NaN}', 400, "bad_request"),
        (b'{"id": 1, "fpir": Infinity}', 400, "bad_request"),
        (b'{"id": 1, "fpir": 1e999}', 400, "bad_request"),
        (b'{"id": 1, "k": 1e5}', 400, "bad_request"),
        (b'{"id": 1, "k": -1}', 400, "bad_request"),
        (b'{"id": 1, "k": true}', 400, "bad_request"),
        (b'{"id": 1, "surprise": 1}', 400, "bad_request"),
        (b'{"id": "\\ud800"}', 400, "bad_request"),
        (b'{"id": 99999999999999999999999}', 400, "bad_request"),
        (b'{"id": 1' + b" " * 2**23 + b"}", 413, "too_large"),
        (b'{"id": 1, "where": "' + b"(" * 50_000 + b'"}', 400, "bad_request"),
        (json.dumps({"codes": good, "where": "camera ="}).encode(), 400, "filter_error"),
        (json.dumps({"codes": good, "where": "not " * 5_000 + "camera = 1"}).encode(), 400, "bad_request"),
        (b'{"id": "http://169.254.169.254/latest/meta-data"}', 404, "item_not_found"),
        (json.dumps({"codes": {"codes": "%%%", "model": encoder.model}}).encode(), 400, "bad_request"),
        (json.dumps({"codes": {"codes": codes, "model": "another model"}}).encode(), 409, "wrong_model"),
    ]
    async with asked(app_of(empty(encoder), encoder)) as client:
        for body, status, kind in bodies:
            answer = await client.post("/v1/search", content=body, headers=JSON)
            assert (answer.status_code, error_in(answer)[1]) == (status, kind), (body[:60], answer.text)
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS
            assert answer.headers["cache-control"] == "no-store"
        wanted = await client.post("/v1/search/attributes", content=b'{"wanted": {"hat": NaN}}', headers=JSON)
        assert error_in(wanted) == (400, "bad_request")


async def test_items_with_hostile_fields_are_refused_and_nothing_is_added(encoder: Encoder) -> None:
    gallery = empty(encoder)
    texts = [
        '{"items": [{"metadata": {"a": NaN}}]}',
        '{"items": [{"metadata": ' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}]}",
        '{"items": [{"time": "yesterday"}]}',
        '{"items": [{"camera": 1e300}]}',
        '{"items": [{"id": ""}]}',
        '{"items": [{"person": "' + "x" * 100_000 + '"}]}',
        "[" * 50_000,
    ]
    async with asked(app_of(gallery, encoder)) as client:
        for text in texts:
            answer = await client.post("/v1/items", **form(png(), text))
            assert error_in(answer) == (400, "bad_request"), text[:60]
        assert gallery.count() == 0


BODIES: list[tuple[str, bytes, int]] = [
    ("application/json", png(), 400),  # a picture, said to be JSON
    ("image/png", png(), 415),
    ("text/html", b"<script>", 415),
    ("application/x-www-form-urlencoded", b"id=1", 415),
    ("multipart/form-data", b"", 400),
    ("multipart/form-data; boundary=", b"--\r\n", 400),
    ("multipart/form-data; boundary=a", b"no part", 400),
    ("multipart/form-data; boundary=a", b"--a\r\n" * 10_000, 400),
    ("multipart/form-data; boundary=" + "a" * 5000, b"--a", 400),
    ("multipart/form-data; boundary=a", b"--a\r\n" + b"X-A: b\r\n" * 100_000, 400),
    (
        "multipart/form-data; boundary=a",
        b'--a\r\ncontent-disposition: form-data; name="../../x"\r\n\r\n1\r\n--a--',
        400,
    ),
    ("application/json; charset=utf-16", '{"id": 1}'.encode("utf-16"), 400),
    ("", b'{"id": 1}', 415),
]


async def test_what_a_body_says_that_it_is(encoder: Encoder) -> None:
    async with asked(app_of(empty(encoder), encoder)) as client:
        for content_type, body, status in BODIES:
            answer = await client.post("/v1/search", content=body, headers={"content-type": content_type})
            assert error_in(answer)[0] == status, (content_type, answer.text)


async def test_a_compressed_body_is_refused(encoder: Encoder) -> None:
    packed = gzip.compress(b'{"id": 1}')
    async with asked(app_of(empty(encoder), encoder)) as client:
        for path, body, coding in (
            ("/v1/search", packed, "gzip"),
            ("/v1/search", b'{"id": 1}', "GZIP"),  # it lies
            ("/v1/items/delete", packed, "deflate, gzip"),
            ("/v1/items", packed, "br"),
        ):
            answer = await client.post(path, content=body, headers=JSON | {"content-encoding": coding})
            assert error_in(answer) == (415, "unsupported_media"), answer.text
            assert answer.json()["error"]["where"] == "content-encoding"
        plain = await client.post("/v1/search", content=b'{"id": 1}', headers=JSON | {"content-encoding": "identity"})
        assert error_in(plain) == (404, "item_not_found")


async def test_pictures_that_are_none_leave_the_others_alone(encoder: Encoder) -> None:
    gallery = empty(encoder)
    bad = [b"", b"GIF89a", png()[:40], b"<svg><image href='file:///etc/passwd'/></svg>", b"\x00" * 1000]
    files = [("picture", (f"../../{i}.png", content)) for i, content in enumerate([png(), *bad, png()])]
    async with asked(app_of(gallery, encoder, max_pixels=2**20)) as client:
        added = (await client.post("/v1/items", files=files)).json()
        assert [id is None for id in added["ids"]] == [False, *[True] * len(bad), False]
        assert [each["index"] for each in added["failed"]] == [1, 2, 3, 4, 5]
        assert {each["error"]["kind"] for each in added["failed"]} == {"picture_error"}
        for content in bad:
            assert error_in(await client.post("/v1/search", **form(content, kind="text/html"))) == (
                400,
                "picture_error",
            )
        file = io.BytesIO()
        Image.new("1", (1025, 1024)).save(file, "PNG")
        assert error_in(await client.post("/v1/encode", **form(file.getvalue())))[1] == "picture_error"
        for box in ([0, 0, 0, 0], [100, 100, 5, 5], [1e300, 0, 1, 1], [0, 0, -1, -1]):
            assert error_in(await client.post("/v1/search", **form(png(), {"box": box}))) == (400, "bad_request")
        assert gallery.count() == 2


async def test_no_address_that_a_client_sends_is_opened(encoder: Encoder) -> None:
    """A listener notices whoever connects; items, filters and metadata name it in every way."""
    connected = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(2)

        def listen() -> None:
            try:
                listening.accept()[0].close()
                connected.set()
            except OSError:
                pass

        thread = threading.Thread(target=listen)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/x.png"
        async with asked(app_of(empty(encoder), encoder)) as client:
            known = {"id": address, "source": address, "person": address, "metadata": {"url": address}}
            assert (await client.post("/v1/items", **form(png(), {"items": [known]}, name=address))).status_code == 201
            svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}"/></svg>'.encode()
            for content in (address.encode(), svg, f'<!DOCTYPE a SYSTEM "{address}">'.encode()):
                assert error_in(await client.post("/v1/search", **form(content)))[1] == "picture_error"
            assert (await client.post("/v1/search", json={"id": address})).status_code == 200
            headers = {"referer": address, "x-forwarded-host": address}
            assert (await client.get("/v1/info", headers=headers)).status_code == 200
        thread.join()
    assert not connected.is_set()


PATHS = [
    "/v1/items/s:..%2F..%2F..%2Fetc%2Fpasswd/picture",
    "/v1/items/s:%2Fetc%2Fpasswd/picture",
    "/v1/items/s:%ff/picture",
    "/v1/items/s:%00/picture",
    "/v1/items/../../../etc/passwd",
    "/page/../../../../etc/passwd",
    "/page/..%2F..%2Fapp.py",
    "/page/%2e%2e/app.py",
    "/page/....//app.py",
    "/page//etc/passwd",
    "/page/\\..\\app.py",
    "/../../etc/passwd",
    "/v1/items/" + "9" * 400,
    "/" + "a" * 5000,
]


async def test_paths_lead_nowhere_else(encoder: Encoder, tmp_path: Path) -> None:
    async with asked(app_of(empty(encoder), encoder, keep_pictures=tmp_path / "kept")) as client:
        for path in PATHS:
            # httpx would tidy the path: this one is sent as it is.
            answer = await client.get(httpx.URL("http://localhost", raw_path=path.encode("latin-1")))
            assert error_in(answer)[0] in (400, 404), path
            assert "root:" not in answer.text
            assert str(tmp_path) not in answer.text


async def test_keys_say_who_may_do_what_and_the_audit_names_them(encoder: Encoder, tmp_path: Path) -> None:
    path, place = tmp_path / "keys.json", tmp_path / "people.gallery"
    tokens = {scope: create_key(path, f"{scope} key", scope)[1] for scope in ("search", "write", "admin")}
    keys = {scope: {"authorization": f"Bearer {token}"} for scope, token in tokens.items()}
    gallery = create_gallery(place, Contract.of(encoder.card))
    settings = {"keys": path, "gallery": str(place), "keep_pictures": tmp_path / "kept", "rate": 1000.0}
    async with asked(app_of(gallery, encoder, **settings)) as client:
        sent = ("", "Bearer", f"Basic {tokens['admin']}", "Bearer \u00e9", f"Bearer {tokens['admin']}x")
        for wrong in [{}, *({b"authorization": each.encode("latin-1")} for each in sent)]:
            for method, at in (
                ("GET", "/v1/info"),
                ("POST", "/v1/items"),
                ("GET", "/v1/nothing"),
                ("DELETE", "/v1/items/1"),
            ):
                answer = await client.request(method, at, headers=wrong)
                assert error_in(answer) == (401, "unauthorised")
                assert answer.headers["www-authenticate"].startswith("Bearer")
        for at in ("/healthz", "/readyz", "/openapi.json"):
            assert (await client.get(at)).status_code == 200
        assert (await client.get("/v1/info", headers=keys["write"])).json()["scopes"] == ["search", "write"]
        one = form(png(), {"items": [{"id": "a"}]})
        assert error_in(await client.post("/v1/items", headers=keys["search"], **one)) == (403, "forbidden")
        assert (await client.post("/v1/items", headers=keys["write"], **one)).status_code == 201
        found = (await client.post("/v1/search", headers=keys["search"], **form(png()))).json()["queries"][0]["hits"][0]
        assert found["picture"] == "/v1/items/s:a/picture"
        thumbnail = await client.get(found["picture"], headers=keys["search"])
        assert thumbnail.headers["content-type"] == "image/jpeg"
        assert "no-store" in thumbnail.headers["cache-control"]
        assert error_in(await client.get(found["picture"]))[0] == 401
        everything = {"where": "camera != 1"}
        assert error_in(await client.post("/v1/items/delete", headers=keys["write"], json=everything))[0] == 403
        assert (await client.post("/v1/items/delete", headers=keys["admin"], json=everything)).json() == {"deleted": 1}
        assert error_in(await client.get(found["picture"], headers=keys["search"]))[0] == 404
        assert not list((tmp_path / "kept").rglob("*.jpg"))
        revoke_key(path, "search key")
        assert error_in(await client.get("/v1/info", headers=keys["search"])) == (401, "unauthorised")
        entries = [(entry["actor"], entry["action"]) for entry in gallery.audit()]
        assert entries == [("write key", "add"), ("search key", "search"), ("admin key", "delete")]
        path.write_text("{}")
        unread = await client.get("/v1/info", headers=keys["admin"])
        assert error_in(unread) == (503, "not_ready")
        assert unread.headers["retry-after"] == "2"


async def test_searches_of_several_keys_at_once_are_told_apart(encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = {name: create_key(path, name, "write")[1] for name in ("anna", "ben", "cleo")}
    gallery = create_gallery(tmp_path / "people.gallery", Contract.of(encoder.card))
    async with asked(app_of(gallery, encoder, keys=path)) as client:
        code = (
            await client.post("/v1/encode", headers={"authorization": f"Bearer {keys['anna']}"}, **form(png()))
        ).json()
        ask = {"codes": {"codes": code["codes"]["codes"], "model": encoder.model}}
        who = [name for _ in range(5) for name in keys]
        answers = await asyncio.gather(
            *(client.post("/v1/search", json=ask, headers={"authorization": f"Bearer {keys[name]}"}) for name in who)
        )
        assert {answer.status_code for answer in answers} == {200}
        counted = dict.fromkeys(keys, 0)
        for entry in gallery.audit():
            counted[entry["actor"]] += entry["queries"]
        assert counted == {"anna": 5, "ben": 5, "cleo": 5}


async def test_pictures_of_items_that_others_deleted_are_swept_at_the_start(encoder: Encoder, tmp_path: Path) -> None:
    place, folder = tmp_path / "people.gallery", tmp_path / "kept"
    gallery = create_gallery(place, Contract.of(encoder.card))
    KeptPictures(folder, str(place)).keep([("gone", b"a picture of somebody")])
    app = app_of(gallery, encoder, gallery=str(place), keep_pictures=folder)
    async with asked(app) as client:
        while list(folder.rglob("*.jpg")):
            await asyncio.sleep(0.01)
        assert service_in(app).pictures is not None
        replaced = {"items": [{"id": "a"}], "if_exists": "replace"}
        await client.post("/v1/items", **form(png(), replaced))
        assert (await client.get("/v1/items/s:a/picture")).status_code == 200
        code = (await client.post("/v1/encode", **form(png()))).json()["codes"]
        again = await client.post("/v1/items", json=replaced | {"codes": code})
        assert again.json() == {"ids": ["a"], "new": 0, "failed": []}
        assert error_in(await client.get("/v1/items/s:a/picture"))[0] == 404
