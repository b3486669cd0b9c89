"""Keys: made, found, revoked and expired; a file that others cannot read, and that is not trusted when changed."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bitreid.commands.main import main
from bitreid.errors import SettingsError
from bitreid.service.keys import SCOPES, Keys, Scope, create_key, read_keys, revoke_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_is_found_by_what_its_owner_sends_and_nothing_else(path: Path, scope: Scope) -> None:
    key, token = create_key(path, "Ana Ñ", scope)
    other, second = create_key(path, "other", "admin")
    keys = Keys(path)
    assert keys.find(token) == key == read_keys(path)[0]
    assert keys.find(second) == other
    swapped = f"bitreid_{key.id}_{second.rpartition('_')[2]}"
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    for wrong in ("", "bitreid", token[:-1], f"{token}A", f" {token}", token.upper(), swapped, changed, key.digest):
        assert keys.find(wrong) is None
    assert (key.name, key.scope) == ("Ana Ñ", scope)


def test_the_secret_is_not_kept_and_nobody_else_can_read_the_file(path: Path) -> None:
    secrets = {create_key(path, f"key {i}", "search")[1] for i in range(4)}
    assert len(secrets) == 4
    text = path.read_text()
    assert not any(token in text or token.split("_", 2)[2] in text for token in secrets)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["keys.json"]


def test_a_running_service_sees_changes(path: Path) -> None:
    _, first = create_key(path, "first", "search")
    keys = Keys(path)
    _, second = create_key(path, "second", "search", datetime.now(UTC) + timedelta(seconds=0.2))
    assert keys.find(first)
    assert keys.find(second)
    time.sleep(0.25)
    assert keys.find(second) is None  # it expired
    assert revoke_key(path, "first").name == "first"
    assert keys.find(first) is None
    _, again = create_key(path, "first", "search")  # the name is free
    assert keys.find(again)
    text = path.read_text()
    path.write_text(text.replace("search", "admin "))
    with pytest.raises(SettingsError, match="changed one"):
        keys.find(again)
    path.write_text(text)
    assert keys.find(again)
    path.unlink()
    for _ in range(2):
        with pytest.raises(SettingsError, match="got nothing"):
            keys.find(again)


def test_keys_that_cannot_be_read_are_none(path: Path) -> None:
    _, token = create_key(path, "anna", "search")
    keys, text = Keys(path), path.read_text()
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsError, match="look at path and owner"):
        keys.find(token)
    path.rmdir()
    path.symlink_to(path)
    for _ in range(2):
        with pytest.raises(SettingsError, match="look at path and owner"):
            keys.find(token)
    path.unlink()
    path.write_text(text)
    assert keys.find(token)


def test_keys_stay_with_their_owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root changes the keys of a service that runs as somebody else; who is neither cannot take them away."""
    create_key(path, "anna", "search")
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
        create_key(path, "ben", "search")
        revoke_key(path, "anna")
        assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) == (65534, 65534, 0o600)

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr("bitreid.service.keys.os.chown", refuse)
        with pytest.raises(SettingsError, match="as its owner"):
            create_key(path, "cleo", "search")
        assert [key.name for key in read_keys(path)] == ["anna", "ben"]
    assert [each.name for each in path.parent.iterdir()] == ["keys.json"]


def test_keys_made_at_once_are_all_kept(path: Path) -> None:
    made = [threading.Thread(target=create_key, args=(path, f"key {i}", "search")) for i in range(12)]
    for thread in made:
        thread.start()
    for thread in made:
        thread.join()
    assert {key.name for key in read_keys(path)} == {f"key {i}" for i in range(12)}


def test_what_is_wrong_is_refused(path: Path) -> None:
    with pytest.raises(SettingsError, match="got nothing"):
        Keys(path)
    with pytest.raises(SettingsError, match="got nothing"):
        revoke_key(path, "anna")
    create_key(path, "anna", "search")
    for name in ("anna", "", "a" * 101, "an\nna", "\u202eanna"):
        with pytest.raises(SettingsError, match="name"):
            create_key(path, name, "search")
    with pytest.raises(SettingsError, match="time to come"):
        create_key(path, "ben", "search", datetime.now(UTC))
    with pytest.raises(SettingsError, match="name or id"):
        revoke_key(path, "ben")
    revoke_key(path, read_keys(path)[0].id)
    with pytest.raises(SettingsError, match="name or id"):
        revoke_key(path, "anna")
    path.chmod(0o620)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_keys(path)
    path.chmod(0o600)
    document = json.loads(path.read_text())
    newer = json.dumps(document | {"format_version": 2})
    for text in ("", "[]", "{}", "[" * 100_000, "\0", json.dumps(document)[:-40], newer):
        path.write_text(text)
        with pytest.raises(SettingsError, match="make new keys"):
            read_keys(path)


def test_a_process_that_dies_while_it_writes_loses_no_key(path: Path) -> None:
    create_key(path, "anna", "search")
    code = f"""
import os
from pathlib import Path
os.fsync = lambda descriptor: os._exit(9)
from bitreid.service.keys import create_key
create_key(Path({str(path)!r}), "ben", "search")
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert [key.name for key in read_keys(path)] == ["anna"]


def test_the_commands(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        return main(["keys", words[0], str(path), *words[1:]]), *capsys.readouterr()

    code, out, err = run("create", "anna", "--scope", "write", "--expires", "90d")
    assert code == 0
    found = Keys(path).find(out.strip())
    assert found
    assert found.expires
    assert (found.name, found.scope, (found.expires - datetime.now(UTC)).days) == ("anna", "write", 89)
    assert out.strip() not in err
    assert run("create", "ben", "--expires", "2999-01-31")[0] == 0
    assert run("create", "anna")[0] == 1
    assert run("create", "cleo", "--expires", "soon")[0] == 1
    assert run("revoke", "ben")[:2] == (0, f"revoked: ben ({read_keys(path)[1].id})\n")
    code, out, _ = run("list")
    assert code == 0
    assert re.search(r"anna .*write .*good", out)
    assert re.search(r"ben .*search .*2999-01-31 00:00.*revoked", out)
    assert run("revoke", "ben")[0] == 1
