"""Every route, asked without a network: answers are what a gallery gives, and errors have one shape."""

import asyncio
import base64
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bitreid.data.decoding import open_picture
from bitreid.encoding.encoder import Encoder
from bitreid.gallery import Contract, Items, create_gallery
from bitreid.gallery.query import SearchRequest, details_json, hits_json, query_of_pictures, search_queries
from bitreid.service import schemas
from bitreid.service.app import create_app
from bitreid.service.packing import packed
from bitreid.service.paths import path_of
from bitreid.service.service import Loaded
from bitreid.service.settings import ServiceSettings
from tests.service.cases import app_of, asked, empty, error_in, service_in

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def parts(pictures: list[Path], request: dict[str, Any] | None = None) -> dict[str, Any]:
    """What httpx sends pictures, and JSON beside them, from."""
    files: list[Any] = [("picture", (each.name, each.read_bytes())) for each in pictures]
    return {"files": files + ([] if request is None else [("request", (None, json.dumps(request)))])}


async def add(client: httpx.AsyncClient, pictures: list[Path], **known: Any) -> None:
    """Add pictures with the ids 0, 1, ...; `known` are further fields of all."""
    items = [{"id": i, "person": each.name[:4], **known} for i, each in enumerate(pictures)]
    answer = await client.post("/v1/items", **parts(pictures, {"items": items}))
    assert answer.status_code == 201
    assert answer.json() == {"ids": list(range(len(pictures))), "new": len(pictures), "failed": []}


async def test_a_search_by_pictures_is_that_of_a_gallery(encoder: Encoder, pictures: list[Path]) -> None:
    gallery = empty(encoder)
    async with asked(app_of(gallery, encoder)) as client:
        await add(client, pictures[1:], camera=3, camera_name="door")
        request = {"k": 3, "where": "camera = 3", "parts": ["stripe1", "stripe2"], "by": "item"}
        answer = await client.post("/v1/search", **parts(pictures[:2], request))
        query = query_of_pictures(encoder, pictures[:2])
        (hits,) = search_queries(gallery, query, SearchRequest(3, where="camera = 3", parts=("stripe1", "stripe2")))
        (details,) = details_json(gallery, [hits], query.codes)
        expected = hits_json(pictures[0].name, hits) | {"unmet": []}
        (found,) = answer.json()["queries"]
        assert set(found.pop("attributes")) == set(encoder.card.attributes.names if encoder.card.attributes else ())
        for hit, more in zip(expected["hits"], details, strict=True):
            hit |= more | {"picture": None}
        assert found == json.loads(json.dumps(expected))
        assert found["hits"][0]["camera_name"] == "door"
        assert found["hits"][0]["source"] == pictures[1].name
        assert sum(found["hits"][0]["part_distances"].values()) >= found["hits"][0]["distance"]
        schemas.SearchOut.model_validate_json(answer.content)


async def test_an_item_and_codes_find_what_a_picture_finds(encoder: Encoder, pictures: list[Path]) -> None:
    async with asked(app_of(empty(encoder), encoder)) as client:
        await add(client, pictures)
        by_item = (await client.post("/v1/search", json={"id": 0})).json()["queries"][0]
        encoded = (await client.post("/v1/encode", **parts(pictures[:1], {"features": True}))).json()
        asked_for = {"codes": encoded["codes"], "k": 8, "rescore": True}
        by_codes = (await client.post("/v1/search", json=asked_for)).json()["queries"][0]
        by_picture = (await client.post("/v1/search", **parts(pictures[:1]))).json()["queries"][0]
    assert [hit["id"] for hit in by_picture["hits"]] == [0, *(hit["id"] for hit in by_item["hits"])]
    assert by_codes["hits"][0]["id"] == 0
    assert by_codes["hits"][0]["distance"] == 0
    assert "part_distances" not in by_codes["hits"][0]
    assert {hit["person"] for hit in by_picture["hits"][:2]} == {pictures[0].name[:4]}


async def test_several_rows_of_codes_are_several_queries(encoder: Encoder, pictures: list[Path]) -> None:
    async with asked(app_of(empty(encoder), encoder)) as client:
        await add(client, pictures)
        codes = (await client.post("/v1/encode", **parts(pictures))).json()["codes"]
        found = (await client.post("/v1/search", json={"codes": codes, "k": 1, "details": True})).json()["queries"]
        assert [each["hits"][0]["id"] for each in found] == list(range(len(pictures)))
        assert all(set(each["hits"][0]["part_distances"].values()) == {0} for each in found)
        merged = (await client.post("/v1/encode", **parts(pictures, {"merge": True}))).json()
        assert merged["codes"]["codes"] == _text(encoder, pictures)
        assert (await client.post("/v1/search", json={"codes": codes, "k": 10_000})).status_code == 200
        repeated = {"codes": _repeated(codes["codes"], 20), "n_bits": codes["n_bits"]}
        assert error_in(await client.post("/v1/search", json={"codes": repeated, "k": 10_000})) == (400, "bad_request")


def _text(encoder: Encoder, pictures: list[Path]) -> str:
    return base64.b64encode(encoder.merge(encoder.encode_files(pictures)).codes.packed.tobytes()).decode()


def _repeated(text: str, n: int) -> str:
    return base64.b64encode(base64.b64decode(text) * n).decode()


async def test_a_box_is_what_the_encoder_makes_of_it(encoder: Encoder, pictures: list[Path]) -> None:
    frame = np.array(open_picture(pictures[0]).rgb)
    height, width = frame.shape[:2]
    gallery = empty(encoder)
    encoded = encoder.encode_boxes(frame, np.array([[2, 3, width - 4, height - 5]])).encoded
    gallery.add(Items.of(["cut"], encoded.codes, encoded.attribute_codes, model=encoder.model))
    async with asked(app_of(gallery, encoder)) as client:
        box = [2, 3, width - 6, height - 8]
        answer = await client.post("/v1/search", **parts(pictures[:1], {"box": box}))
        assert answer.json()["queries"][0]["hits"][0]["distance"] == 0
        outside = await client.post("/v1/search", **parts(pictures[:1], {"box": [width, 0, 5, 5]}))
        assert error_in(outside) == (400, "bad_request")
        assert outside.json()["error"]["where"] == "box"
        assert error_in(await client.post("/v1/search", json={"id": "cut", "box": box})) == (400, "bad_request")


async def test_a_filter_that_nothing_passes_is_no_error(encoder: Encoder, pictures: list[Path]) -> None:
    """What it asks that no item has is told; warnings, which are errors here, are for programs in the same process."""
    async with asked(app_of(empty(encoder), encoder)) as client:
        await add(client, pictures[:2], camera=2)
        for asks in ({"id": 1}, {"codes": {"codes": _text(encoder, pictures[:1])}}):
            answer = await client.post("/v1/search", json=asks | {"where": "camera in (2, 7) and person = 'Ada'"})
            (found,) = answer.json()["queries"]
            assert (found["hits"], found["n_gallery"], found["nobody"]) == ([], 0, True)
            assert found["unmet"] == ["camera = 7", 'person = "Ada"']
            (found,) = (await client.post("/v1/search", json=asks | {"where": "camera = 2"})).json()["queries"]
            assert ([hit["id"] for hit in found["hits"]][:1], found["unmet"]) == ([0], [])


async def test_a_description(encoder: Encoder, pictures: list[Path]) -> None:
    gallery = empty(encoder)
    async with asked(app_of(gallery, encoder)) as client:
        await add(client, pictures)
        wanted = {"backpack": 1.0, "hat": 0.0}
        answer = await client.post("/v1/search/attributes", json={"wanted": wanted, "k": 4})
        expected = hits_json("description", gallery.search_attributes(wanted, 4))
        assert [hit["distance"] for hit in answer.json()["hits"]] == [hit["distance"] for hit in expected["hits"]]
        assert [hit["id"] for hit in answer.json()["hits"]] == [hit["id"] for hit in expected["hits"]]
        wrong = await client.post("/v1/search/attributes", json={"wanted": {"umbrella": 1}})
        assert error_in(wrong) == (400, "bad_request")


async def test_items_are_added_listed_looked_at_and_deleted(encoder: Encoder, pictures: list[Path]) -> None:
    gallery = empty(encoder)
    async with asked(app_of(gallery, encoder)) as client:
        known: dict[str, Any] = {
            "id": "a/b ?.jpg",
            "camera_name": "door",
            "time": "2026-01-02T03:04:05+01:00",
            "tracklet": "t1",
            "person": "Zoë",
            "source": "mine",
            "metadata": {"zone": [1, None]},
        }
        answer = await client.post("/v1/items", **parts(pictures[:3], {"items": [known, {"camera": 7}, {}]}))
        text, second, third = answer.json()["ids"]
        assert text == "a/b ?.jpg"
        assert isinstance(second, str)
        assert second != third
        found = (await client.get(path_of("a/b ?.jpg"))).json()
        assert found.pop("attributes") is not None
        expected = known | {"camera": 8, "time": "2026-01-02T02:04:05+00:00", "picture": None}
        assert found == expected
        pages, after = [], None
        while True:
            query = {"limit": 2} | ({} if after is None else {"after": after})
            page = schemas.ItemsOut.model_validate_json((await client.get("/v1/items", params=query)).content)
            pages.append([each.id for each in page.items])
            after = page.next
            if after is None:
                break
        assert sorted(id for page in pages for id in page) == sorted([text, second, third])
        assert [len(page) for page in pages] == [2, 1]
        filtered = (await client.get("/v1/items", params={"where": "person = 'Zoë'"})).json()
        assert [each["id"] for each in filtered["items"]] == [text]
        assert (await client.delete(path_of(text))).json() == {"deleted": 1}
        assert error_in(await client.delete(path_of(text))) == (404, "item_not_found")
        assert error_in(await client.get(path_of(text))) == (404, "item_not_found")
        body = {"ids": [second, "nobody"], "dry_run": True}
        assert (await client.post("/v1/items/delete", json=body)).json() == {"deleted": 1}
        assert gallery.count() == 2
        body = {"where": "camera = 7", "dry_run": True}
        assert (await client.post("/v1/items/delete", json=body)).json() == {"deleted": 1}
        assert (await client.post("/v1/items/delete", json={"where": "camera = 7"})).json() == {"deleted": 1}
        assert (await client.post("/v1/items/delete", json={"ids": [third]})).json() == {"deleted": 1}
        assert gallery.count() == 0


async def test_what_is_there_is_kept_or_replaced(encoder: Encoder, pictures: list[Path]) -> None:
    async with asked(app_of(empty(encoder), encoder)) as client:
        await add(client, pictures[:2], tracklet="first")
        items = [{"id": 1, "tracklet": "second"}, {"id": 2, "tracklet": "second"}]
        answer = await client.post("/v1/items", **parts(pictures[1:3], {"items": items}))
        assert answer.json() == {"ids": [1, 2], "new": 1, "failed": []}
        assert (await client.get("/v1/items/1")).json()["tracklet"] == "first"
        again = {"items": items, "if_exists": "replace"}
        assert (await client.post("/v1/items", **parts(pictures[1:3], again))).json()["new"] == 0
        assert (await client.get("/v1/items/1")).json()["tracklet"] == "second"


async def test_a_picture_that_cannot_be_read_is_left_out_and_named(
    encoder: Encoder, pictures: list[Path], tmp_path: Path
) -> None:
    (bad := tmp_path / "bad.jpg").write_bytes(b"no picture")
    async with asked(app_of(empty(encoder), encoder)) as client:
        answer = await client.post("/v1/items", **parts([pictures[0], bad, pictures[1]]))
        ids, failed = answer.json()["ids"], answer.json()["failed"]
        assert ids[1] is None
        assert [(each["index"], each["error"]["kind"]) for each in failed] == [(1, "picture_error")]
        assert "bad.jpg" in failed[0]["error"]["message"]
        assert (await client.get(path_of(ids[2]))).json()["source"] == pictures[1].name
        for path in ("/v1/items", "/v1/search", "/v1/encode"):
            assert error_in(await client.post(path, **parts([bad]))) == (400, "picture_error")


async def test_decisions_about_people(encoder: Encoder, pictures: list[Path]) -> None:
    gallery = empty(encoder)
    async with asked(app_of(gallery, encoder)) as client:
        await add(client, pictures)
        first = pictures[0].name[:4]
        confirm = await client.post("/v1/persons/confirm", json={"ids": [0, 1], "person": "Ada"})
        assert confirm.json() == {"items": 2}
        assert (await client.get("/v1/items/0")).json()["person"] == "Ada"
        assert (await client.post("/v1/persons/merge", json={"from": "Ada", "into": first})).json() == {"items": 2}
        reject = {"ids": [1], "person": first}
        assert (await client.post("/v1/persons/reject", json=reject)).json() == {"items": 1}
        assert gallery.rejected(first) == {1}
        assert (await client.post("/v1/persons/undo")).json()["undone"].startswith("reject")
        assert gallery.rejected(first) == frozenset()
        for _ in range(2):
            await client.post("/v1/persons/undo")
        assert (await client.post("/v1/persons/undo")).json() == {"undone": None}
        wrong = await client.post("/v1/persons/confirm", json={"ids": [99], "person": "Ada"})
        assert error_in(wrong) == (404, "item_not_found")


async def test_info_health_and_metrics(encoder: Encoder, pictures: list[Path]) -> None:
    async with asked(app_of(empty(encoder), encoder)) as client:
        await add(client, pictures, camera=2, camera_name="door")
        await client.post("/v1/search", **parts(pictures[:1]))
        found = schemas.InfoOut.model_validate_json((await client.get("/v1/info")).content)
        assert (found.items, found.cameras, found.scopes) == (6, {"2": "door"}, ["search", "write", "admin"])
        assert found.contract.model == encoder.model
        assert "upper_colour" in {each.group for each in found.contract.attributes}
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        text = (await client.get("/metrics")).text
        for step, n in (("decode", 7), ("encode", 2), ("search", 1), ("gallery_write", 1)):
            assert f'bitreid_step_seconds_count{{step="{step}"}} {n}.0' in text
        assert 'bitreid_request_seconds_count{method="POST",route="/v1/search",status="200"} 1.0' in text
        assert 'bitreid_batch_size_sum{step="encode"} 7.0' in text


WRONG: list[tuple[int, str, str, Callable[[], dict[str, Any]]]] = [
    (400, "bad_request", "/v1/search", lambda: {"json": {}}),
    (400, "bad_request", "/v1/search", lambda: {"json": {"id": 1, "codes": {"codes": "AAAA"}}}),
    (400, "bad_request", "/v1/search", lambda: {"json": {"id": 1, "k": "3"}}),
    (400, "bad_request", "/v1/search", lambda: {"json": {"id": 1, "kk": 3}}),
    (400, "bad_request", "/v1/search", lambda: {"json": {"id": True}}),
    (400, "bad_request", "/v1/search", lambda: {"json": {"id": 2**63}}),
    (400, "bad_request", "/v1/search", lambda: _raw(b'{"id": 0, "fpir": NaN}')),
    (400, "bad_request", "/v1/search", lambda: _raw(b'{"id": 0, "fpir": 1e999}')),
    (400, "bad_request", "/v1/search", lambda: _raw(b"{")),
    (400, "bad_request", "/v1/search", lambda: _raw(b"[" * 100_000)),
    (400, "bad_request", "/v1/search", lambda: _raw(b'{"id": "\\ud800"}')),
    (400, "bad_request", "/v1/search", lambda: _raw(b"\xff\xfe")),
    (415, "unsupported_media", "/v1/search", lambda: _raw(b"{}", "text/plain")),
    (415, "unsupported_media", "/v1/items/delete", lambda: _raw(b"{}", "multipart/form-data; boundary=x")),
    (400, "bad_request", "/v1/search", lambda: _raw(b"{}", "multipart/form-data")),
    (400, "bad_request", "/v1/search", lambda: _raw(b"--x\r\n\r\nbroken", "multipart/form-data; boundary=x")),
    (400, "bad_request", "/v1/search", lambda: {"files": [("other", b"x")]}),
    (400, "filter_error", "/v1/search", lambda: {"json": {"id": 0, "where": "camera <<= 3"}}),
    (400, "settings_error", "/v1/search", lambda: {"json": {"id": 0, "w": "many"}}),
    (404, "item_not_found", "/v1/search", lambda: {"json": {"id": 99}}),
    (400, "bad_request", "/v1/search", lambda: {"json": {"codes": {"codes": "AAA=A"}}}),
    (400, "bad_request", "/v1/search", lambda: {"json": {"codes": {"codes": "AAAA"}}}),
    (409, "wrong_model", "/v1/search", lambda: {"json": {"codes": {"codes": "AAAA", "n_bits": 24}}}),
    (409, "wrong_model", "/v1/search", lambda: {"json": {"codes": {"codes": "A" * 171 + "=", "model": "other"}}}),
    (400, "bad_request", "/v1/items", lambda: {"json": {"items": []}}),
    (400, "bad_request", "/v1/items/delete", lambda: {"json": {}}),
    (400, "bad_request", "/v1/items/delete", lambda: {"json": {"ids": [1], "where": "camera = 1"}}),
    (400, "bad_request", "/v1/persons/confirm", lambda: {"json": {"ids": [], "person": "Ada"}}),
    (400, "bad_request", "/v1/persons/confirm", lambda: {"json": {"ids": [0], "person": "A\0"}}),
    (405, "method_not_allowed", "/v1/info", dict),
    (404, "not_found", "/v1/nothing", dict),
    (404, "not_found", "/page/../../settings.py", dict),
]


def _raw(content: bytes, media: str = "application/json") -> dict[str, Any]:
    return {"content": content, "headers": {"content-type": media}}


async def test_what_is_wrong_is_told_in_one_shape(encoder: Encoder, pictures: list[Path]) -> None:
    async with asked(app_of(empty(encoder), encoder)) as client:
        await add(client, pictures[:1])
        for status, kind, path, content in WRONG:
            assert error_in(await client.post(path, **content())) == (status, kind), (path, content())
        both = await client.put("/v1/items")
        assert (error_in(both), both.headers["allow"]) == ((405, "method_not_allowed"), "GET, POST")
        for path in ("/v1/items/x", "/v1/items/s:", "/v1/items/s:%FF", "/v1/items/99999999999999999999"):
            assert error_in(await client.get(path)) == (400, "bad_request"), path
        assert error_in(await client.get("/v1/items/0/picture")) == (404, "not_found")
        assert error_in(await client.get("/v1/items", params={"limit": "0"})) == (400, "bad_request")
        assert error_in(await client.get("/v1/items", params={"after": "9" * 19})) == (400, "bad_request")
        assert error_in(await client.get("/v1/items", params={"camera": "1"})) == (400, "bad_request")
        metadata = await client.post("/v1/items", **parts(pictures[:1], {"items": [{"metadata": {"a": "x" * 40_000}}]}))
        assert error_in(metadata) == (400, "bad_request")


async def test_requests_are_refused_until_all_is_loaded(encoder: Encoder) -> None:
    goes_on = threading.Event()

    def load(settings: ServiceSettings) -> Loaded:
        goes_on.wait(30)
        return Loaded(empty(encoder), encoder)

    app = create_app(ServiceSettings(), load)
    async with asked(app, ready=False) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert error_in(await client.get("/readyz")) == (503, "not_ready")
        refused = await client.post("/v1/search", json={"id": 0})
        assert error_in(refused) == (503, "not_ready")
        assert int(refused.headers["retry-after"]) > 0
        goes_on.set()
        while not service_in(app).ready:
            await asyncio.sleep(0.005)
        assert (await client.get("/v1/info")).status_code == 200
        service_in(app).stopping = True
        assert error_in(await client.get("/readyz")) == (503, "not_ready")


async def test_what_breaks_in_the_service_tells_strangers_nothing(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gallery = empty(encoder)

    def broken(*arguments: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(gallery, "info", broken)
    async with asked(app_of(gallery, encoder)) as client:
        answer = await client.get("/v1/info")
        assert error_in(answer) == (500, "internal")
        assert "secret" not in answer.text
        assert "a secret" in caplog.text
        gallery.close()
        closed = await client.get("/v1/items/1")
        assert error_in(closed) == (503, "gallery_closed")


async def test_codes_of_a_shorter_gallery_are_cut(encoder: Encoder, pictures: list[Path]) -> None:
    n_bits = min(encoder.card.code_lengths)
    gallery = create_gallery("memory:", Contract.of(encoder.card, n_bits))
    short = Encoder.open("drawn", n_bits=n_bits, threads=1)
    async with asked(app_of(gallery, short)) as client:
        await add(client, pictures[:2])
        whole = encoder.encode_files(pictures[:1])
        sent = packed(whole.codes, whole.attribute_codes, encoder.model, None)
        answer = await client.post("/v1/search", json={"codes": sent.model_dump(), "details": True})
        assert answer.json()["queries"][0]["hits"][0]["distance"] == 0
