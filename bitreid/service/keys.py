"""Keys of the service: who may do what. A file holds them hashed; whoever makes one sees it once.

A key is `bitreid_ID_SECRET`, and its secret 32 random bytes. Nobody can guess so much, so SHA-256 without a salt keeps
it as safe as a slow hash would, and costs a request nothing; slow hashes are for passwords. The `ID` says which line of
the file to compare with, and the fixed beginning lets programs that look for leaked secrets find keys.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from bitreid.data.files import new_file
from bitreid.errors import SettingsError
from bitreid.text import printable, shown

FORMAT_VERSION = 1
"""The format of files of keys that this bitreid reads and writes."""
Scope: TypeAlias = Literal["search", "write", "admin"]
"""What a key may do: search and look; also add, delete and decide; also delete by filter and see all metrics."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each allows what those before it allow."""
MOST_NAME = 100
"""Characters of the longest name of a key."""

_TOKEN = re.compile(r"bitreid_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_MOST_BYTES = 2**24


@dataclass(frozen=True)
class Key:
    """A key as it is kept.

    id       12 hexadecimal digits, which are part of the key and no secret
    name     who has it, as the audit says
    digest   SHA-256 of the whole key, in hexadecimal digits
    created, expires, revoked  times in UTC; None for never
    """

    id: str
    name: str
    scope: Scope
    digest: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def good_at(self, time: datetime) -> bool:
        """Whether the key may be used at this time."""
        return self.revoked is None and (self.expires is None or time < self.expires)


def create_key(path: Path, name: str, scope: Scope, expires: datetime | None = None) -> tuple[Key, str]:
    """Add a key to a file, which is made if there is none; return the key, and what its owner sends, which is not kept.

    `SettingsError` for a name that a key has that may still be used.
    """
    if not 0 < len(name) <= MOST_NAME or not name.isprintable():
        raise SettingsError(f"expected a name of 1 to {MOST_NAME} printable characters for a key, got {shown(name)}")
    now = datetime.now(UTC)
    if expires is not None and expires <= now:
        raise SettingsError(f"expected a time to come for the key to expire, got {expires.isoformat()}")
    id = secrets.token_hex(6)
    token = f"bitreid_{id}_{base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip('=')}"
    key = Key(id, name, scope, _digest(token), now, expires)
    with _changing(path) as keys:
        if any(each.name == name and each.good_at(now) for each in keys):
            raise SettingsError(f"expected a new name for the key, got {shown(name)}, which is used; revoke that first")
        keys.append(key)
    return key, token


def revoke_key(path: Path, name: str) -> Key:
    """Revoke the key of this name, or id, from now on; `SettingsError` if no key of that name may be used."""
    now = datetime.now(UTC)
    read_keys(path)  # there is one
    with _changing(path) as keys:
        at = [i for i, key in enumerate(keys) if name in (key.name, key.id) and key.revoked is None]
        if not at:
            raise SettingsError(
                f"expected the name or id of a key in {printable(str(path))}, got {shown(name)}; `bitreid keys list`"
            )
        keys[at[-1]] = replace(keys[at[-1]], revoked=now)
        return keys[at[-1]]


def read_keys(path: Path) -> list[Key]:
    """Return the keys in a file, oldest first, those that expired or were revoked as well.

    `SettingsError` where there is no such file, for one that is damaged or of a newer format, and for one that others
    than its owner may write to: they could give themselves a key.
    """
    try:
        if os.name == "posix" and path.stat().st_mode & 0o022:
            raise SettingsError(
                f"expected keys that only their owner can change, got {printable(str(path))}, which others may write "
                "to; chmod 600 it"
            )
        with path.open("rb") as file:
            document = json.loads(file.read(_MOST_BYTES))
        version, listed, checksum = document["format_version"], document["keys"], document["checksum"]
        if version != FORMAT_VERSION or checksum != _checksum(listed):
            raise ValueError(f"format {shown(version)}, or a changed file")
        return [_key_of(each) for each in listed]
    except FileNotFoundError:
        raise SettingsError(
            f"expected a file of keys, got nothing at {printable(str(path))}; `bitreid keys create` makes one"
        ) from None
    except OSError as error:
        raise SettingsError(
            f"expected a file of keys that can be read at {printable(str(path))}, got: {error.strerror}; look at path "
            "and owner"
        ) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SettingsError(
            f"expected a file that `bitreid keys create` wrote at {printable(str(path))}, got another, a newer or a "
            f"changed one ({type(error).__name__}); restore it, or make new keys in a new file"
        ) from error


class Keys:
    """The keys in a file, as they are now: a change is seen by the next request. Any thread may ask."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._keys: dict[str, Key] = {}
        self._read()

    def find(self, token: str) -> Key | None:
        """Return the key that somebody sends, if it may be used now; None if not.

        `SettingsError` while the file cannot be read: then no key is good.
        """
        match = _TOKEN.fullmatch(token)
        key = self._read().get(match[1]) if match else None
        good = key is not None and hmac.compare_digest(key.digest, _digest(token))
        return key if key is not None and good and key.good_at(datetime.now(UTC)) else None

    def _read(self) -> dict[str, Key]:
        with self._lock:
            seen: tuple[int, ...] = ()
            try:
                status = self.path.stat()
                seen = status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode
            except OSError:
                pass  # which reading it tells
            if seen != self._seen or not seen:
                self._seen, self._keys = (), {}
                self._keys = {key.id: key for key in read_keys(self.path)}
                self._seen = seen
            return self._keys


@contextmanager
def _changing(path: Path) -> Iterator[list[Key]]:
    """Give the keys in a file to change, and write them when the block ends; one process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent):
        keys = read_keys(path) if path.exists() else []
        yield keys
        listed = [_as_json(key) for key in keys]
        document = {"format_version": FORMAT_VERSION, "checksum": _checksum(listed), "keys": listed}
        with new_file(path) as unfinished:
            # Nobody else may open the file, not even before it is complete.
            os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            _keep_owner(unfinished, path)


def _keep_owner(unfinished: Path, path: Path) -> None:
    """Give a file to the owner of the one in whose place it comes: root changes keys that a service's user reads."""
    if os.name == "posix" and path.exists() and path.stat().st_uid != unfinished.stat().st_uid:
        before = path.stat()
        try:
            os.chown(unfinished, before.st_uid, before.st_gid)
        except PermissionError:
            raise SettingsError(
                f"expected to be the owner of {printable(str(path))}, or root, got another user; change them "
                "as its owner"
            ) from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes that change keys in this folder waiting, where the system can (Windows cannot)."""
    if os.name != "posix":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _checksum(listed: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()


_TIMES = ("created", "expires", "revoked")


def _as_json(key: Key) -> dict[str, Any]:
    values = asdict(key)
    return values | {name: values[name] and values[name].isoformat() for name in _TIMES}


def _key_of(values: dict[str, Any]) -> Key:
    times = {name: values[name] and datetime.fromisoformat(values[name]) for name in _TIMES}
    key = Key(**values | times)
    if key.scope not in SCOPES or not all(isinstance(text, str) for text in (key.id, key.name, key.digest)):
        raise ValueError("a key of no known scope")
    return key
