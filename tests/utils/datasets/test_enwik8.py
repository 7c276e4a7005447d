"""The byte corpus, in miniature: split, verified, downloaded from a file:// address only."""

import hashlib
from http.client import IncompleteRead
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.dataset_loaders import load_enwik8
from sparse_transformers.utils.datasets import enwik8

CONTENT = bytes(range(200)) * 2


@pytest.fixture(autouse=True)
def miniature(monkeypatch, tmp_path):
    """enwik8 as 400 bytes, published as a zip in a folder instead of on the network."""
    published = tmp_path / "published" / "enwik8.zip"
    published.parent.mkdir()
    write_zip(published)
    monkeypatch.setattr(enwik8, "ENWIK8_URL", published.as_uri())
    monkeypatch.setattr(enwik8, "ENWIK8_BYTES", len(CONTENT))
    monkeypatch.setattr(enwik8, "ENWIK8_MD5", hashlib.md5(CONTENT).hexdigest())
    return published


@pytest.fixture
def unreachable(monkeypatch):
    """Any use of the network fails the test."""

    def refuse(*arguments, **options):
        raise AssertionError(f"used the network: {arguments}")

    monkeypatch.setattr(enwik8, "urlopen", refuse)


def write_zip(path, content=CONTENT, name="enwik8"):
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def test_published_facts_give_the_standard_split(monkeypatch):
    monkeypatch.undo()
    assert enwik8.ENWIK8_URL == "http://mattmahoney.net/dc/enwik8.zip"
    assert enwik8.ENWIK8_BYTES == 100_000_000
    assert len(enwik8.ENWIK8_MD5) == 32
    # The split is by twentieths, and a twentieth of enwik8 is a whole number.
    assert divmod(enwik8.ENWIK8_BYTES, 20) == (5_000_000, 0)


def test_raw_and_zipped_files_are_split_alike(tmp_path, unreachable):
    raw = tmp_path / "any name"
    raw.write_bytes(CONTENT)
    splits = load_enwik8(raw)
    assert (splits.train, splits.valid, splits.test) == (
        CONTENT[:360],
        CONTENT[360:380],
        CONTENT[380:],
    )
    assert load_enwik8(str(write_zip(tmp_path / "other.name"))) == splits
    assert len(repr(splits)) < 20  # 100 MB would fill a notebook


@given(content=st.binary(min_size=20, max_size=400))
def test_any_file_is_split_by_twentieths_where_that_was_asked_for(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("corpus") / "corpus"
    path.write_bytes(content)
    splits = load_enwik8(path, strict=False)
    assert splits.train + splits.valid + splits.test == content
    assert len(splits.valid) == len(splits.test) == len(content) // 20


def test_too_few_bytes_to_split_are_refused(tmp_path):
    path = tmp_path / "short"
    for content in (b"", bytes(19)):
        path.write_bytes(content)
        message = rf"short must hold at least 20 bytes to be split, got {len(content)}"
        with pytest.raises(ValueError, match=message):
            load_enwik8(path, strict=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-1], "must hold the 400 bytes of enwik8, got 399; get file:.*strict=False"),
        (CONTENT + b"x", "must hold the 400 bytes of enwik8, got more; get file:.*strict=False"),
        (
            CONTENT[:-1] + b"x",
            "must have enwik8's MD5 checksum .*, got .*; get file:.*strict=False",
        ),
    ],
)
def test_other_content_is_refused(tmp_path, content, message):
    path = tmp_path / "corpus"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"corpus {message}"):
        load_enwik8(path)
    with pytest.raises(ValueError, match=f"corpus {message}"):
        load_enwik8(write_zip(path, content))
    assert load_enwik8(path, strict=False).train


def replaced(content, place, byte):
    return content[:place] + bytes([byte]) + content[place + 1 :]


DAMAGES = {
    "cut off": lambda zipped: zipped[: len(zipped) // 2],
    "another checksum": lambda zipped: replaced(zipped, zipped.index(b"PK\1\2") + 16, 255),
    "no such way to pack": lambda zipped: replaced(zipped, zipped.index(b"PK\1\2") + 10, 99),
    "encrypted": lambda zipped: replaced(zipped, zipped.index(b"PK\1\2") + 8, 1),
    "no such packed block": lambda zipped: replaced(zipped, 30 + len("enwik8"), 255),
    "another member": lambda zipped: zipped.replace(b"enwik8", b"enwik9"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
@pytest.mark.parametrize("strict", [True, False])
def test_damaged_and_foreign_zips_are_refused(tmp_path, damage, strict):
    path = write_zip(tmp_path / "corpus.zip")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        ValueError, match=r"corpus\.zip must be a zip that holds enwik8, got one tha"
    ):
        load_enwik8(path, strict=strict)


def test_nothing_is_downloaded_unless_asked_for(tmp_path, unreachable):
    cache = tmp_path / "cache"
    message = rf"get file:.*enwik8\.zip and put it at {cache}/enwik8\.zip, or pass download=True"
    with pytest.raises(FileNotFoundError, match=message):
        load_enwik8(cache=cache)
    assert not cache.exists()
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a file: get file:.*put it there"):
        load_enwik8(tmp_path / "nowhere")


def test_path_and_download_are_alternatives(tmp_path, unreachable):
    with pytest.raises(ValueError, match="download must be False where path is given, got path="):
        load_enwik8(tmp_path / "enwik8", download=True)


def test_default_cache_is_in_the_home_folder(tmp_path, monkeypatch, unreachable):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    folder = tmp_path / ".cache" / "sparse_transformers"
    folder.mkdir(parents=True)
    (folder / "enwik8").write_bytes(CONTENT)
    assert load_enwik8().train == CONTENT[:360]


def test_download_fills_the_cache_once(tmp_path, monkeypatch, miniature):
    cache = tmp_path / "deep" / "cache"
    splits = load_enwik8(download=True, cache=cache)
    assert splits.train == CONTENT[:360]
    assert [path.name for path in cache.iterdir()] == ["enwik8.zip"]
    miniature.unlink()
    assert load_enwik8(download=True, cache=cache) == load_enwik8(cache=cache) == splits


def test_failed_download_leaves_nothing_and_says_what_to_do(tmp_path, miniature):
    miniature.unlink()
    message = r"could not download file:.*: get it in another way and put it at .*enwik8\.zip"
    with pytest.raises(ConnectionError, match=message):
        load_enwik8(download=True, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_connection_lost_on_the_way_leaves_nothing(tmp_path, monkeypatch):
    class Response:
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            return None

        def read(self, size):
            raise IncompleteRead(b"PK", 100)

    monkeypatch.setattr(enwik8, "urlopen", lambda url, timeout: Response())
    with pytest.raises(ConnectionError, match="could not download"):
        load_enwik8(download=True, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("sent", [b"<html>Please log in</html>", b"PK\x03\x04 cut off"])
def test_wrong_download_is_refused_and_not_kept(tmp_path, miniature, sent):
    miniature.write_bytes(sent)
    with pytest.raises(ValueError, match=r"file:.* sent something else, now deleted: "):
        load_enwik8(download=True, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
