"""Keys in files of every format are found."""

import shutil
from pathlib import Path

from bitreid.service.keys import Keys
from tests.formats.cases import FORMATS

TOKEN = "bitreid_19eacbc349a8_VGcX2Xgz72OuUyH08ZWDLak4KXbrZiTj_s7S3SFn2Yk"


def test_format_1(tmp_path: Path) -> None:
    path = shutil.copyfile(FORMATS / "keys-1.json", tmp_path / "keys.json")
    path.chmod(0o600)
    key = Keys(path).find(TOKEN)
    assert key
    assert (key.name, key.scope, key.expires) == ("anna", "write", None)
