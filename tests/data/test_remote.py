"""Data sets at a URL: the same data set as its local copy, fetched once, and clear errors where it cannot be."""

import functools
import http.server
import multiprocessing
import os
import shutil
import threading

import fsspec
import pytest

from harness import registry
from harness.data import open_source, remote
from harness.data.remote import fetch, is_url
from harness.errors import InputError
from harness.execute.inputs import digest_source


@pytest.fixture(autouse=True)
def forgetful():
    """Let each test list its URLs anew, as a new process would."""
    remote._list.cache_clear()


@pytest.fixture
def tree(make_tree):
    return make_tree([f"drive {n // 3}_{n}" for n in range(9)])


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def web(tmp_path):
    """Serve the folder `data` as a web server that lists its folders; return its URL and what was asked of it."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", server.asked
        server.shutdown()


@pytest.fixture
def memory(tree):
    """Put the tree into fsspec's file system in memory and return its URL."""
    system = fsspec.filesystem("memory")
    system.put(str(tree), "/bucket/data", recursive=True)
    yield "memory://bucket/data"
    system.rm("/bucket", recursive=True)


def folder_choice(root):
    return registry.choose("data", "folder", {"root": str(root), "classes": ["ground", "rock"]})


def content(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_data_set_is_the_same_wherever_it_comes_from(tree, web, memory, tmp_path):
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "data")
    shutil.make_archive(str(tmp_path / "bare"), "gztar", tree)
    url, _ = web
    local = digest_source(open_source(folder_choice(tree)))
    for root in (memory, tree.as_uri(), f"{url}/data", f"{url}/data/", f"{url}/packed.zip", f"{url}/bare.tar.gz"):
        source = open_source(folder_choice(root))
        assert digest_source(source) == local, root
        assert source.splits["train"].read_image(0).shape == (4, 6, 3)
        assert content(fetch(root)) == content(tree)


def test_a_file_url_is_not_copied(tree, own_cache):
    assert fetch(tree.as_uri()) == tree
    assert not (own_cache / "remote").exists()


def test_it_is_fetched_once(tree, web, capfd):
    url, asked = web
    first = fetch(f"{url}/data")
    assert "copying 18 files" in capfd.readouterr().err
    pictures = [path for path in asked if path.endswith(".png")]
    assert len(pictures) >= 18
    remote._list.cache_clear()  # another process, later
    asked.clear()
    assert fetch(f"{url}/data") == first
    assert not [path for path in asked if path.endswith(".png")]
    assert not capfd.readouterr().err


def _fetch_into(url, answers):
    answers.put(str(fetch(url)))


def test_processes_that_want_it_at_once_fetch_it_once(tree, web):
    url, asked = web
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    processes = [context.Process(target=_fetch_into, args=(f"{url}/data", answers)) for _ in range(3)]
    for process in processes:
        process.start()
    found = {answers.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(found) == 1
    once = [path for path in asked if path.endswith("_0.png") and "images" in path]
    assert len(once) <= 2  # a look at its size may come before the file itself


def test_changed_files_are_another_copy_and_the_old_one_stays(memory):
    first = fetch(memory)
    before = content(first)
    fsspec.filesystem("memory").pipe("/bucket/data/images/new.png", b"new")
    assert fetch(memory) == first  # one process sees one state
    remote._list.cache_clear()
    second = fetch(memory)
    assert content(second) == {**before, "images/new.png": b"new"}
    assert content(first) == before


@pytest.mark.parametrize(
    "spoil", [lambda content: b"", lambda content: content[:-1], lambda content: b"?" + content[1:]]
)
def test_a_copy_of_which_any_file_is_damaged_is_made_again(memory, own_cache, spoil, capfd):
    url = memory
    place = fetch(url)
    before = {path: path.read_bytes() for path in sorted((own_cache / "remote").rglob("*")) if path.is_file()}
    before = {path: content for path, content in before.items() if content}
    assert len(before) > 2
    for path, content in before.items():
        path.write_bytes(spoil(content))
        assert fetch(url) == place
        assert {path: path.read_bytes() for path in before} == before
        assert f"{url}: the copy here is damaged ({path}" in capfd.readouterr().err


def test_a_copy_that_was_interrupted_is_not_taken_for_a_whole_one(memory, own_cache, monkeypatch):
    system = fsspec.filesystem("memory")
    real = type(system).get_file

    def fail_at_third(self, rpath, lpath, **kwargs):
        if len(list((own_cache / "remote").rglob("*.png"))) == 3:
            raise ConnectionResetError("the line is dead")
        real(self, rpath, lpath, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(type(system), "get_file", fail_at_third)
        with pytest.raises(InputError, match=r"memory://bucket/data: cannot be read: .*the line is dead"):
            fetch(memory)
    assert not list((own_cache / "remote").rglob("*.png"))
    assert len(content(fetch(memory))) == 18


def test_a_file_cut_short_on_its_way_is_refused(memory, own_cache, monkeypatch):
    system = fsspec.filesystem("memory")
    real = type(system).get_file

    def cut(self, rpath, lpath, **kwargs):
        real(self, rpath, lpath, **kwargs)
        os.truncate(lpath, 5)

    monkeypatch.setattr(type(system), "get_file", cut)
    with pytest.raises(InputError, match="was cut short"):
        fetch(memory)
    assert not list((own_cache / "remote").rglob("*.png"))


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, own_cache):
    import zipfile

    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../escaped.txt", "evil")
        archive.writestr("good.txt", "good")
    with pytest.raises(InputError, match="leads out of its folder"):
        fetch(f"zip::{tmp_path}/evil.zip")
    fsspec.filesystem("memory").put(str(tmp_path / "evil.zip"), "/evil.zip")
    assert content(fetch("memory://evil.zip")) == {"good.txt": b"good"}
    assert not list(tmp_path.rglob("escaped.txt"))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("memory://nothing/here", "there is nothing there"),
        ("htps://host/data", "no kind of URL is named 'htps'; did you mean 'https'"),
        ("http://127.0.0.1:9/data", "there is nothing there .Cannot connect"),
        ("https://me:secret@host/data", r"https://\*\*\*@host/data: a password in a URL would be kept"),
    ],
)
def test_what_cannot_be_fetched_is_said(url, told):
    with pytest.raises(InputError, match=told) as caught:
        open_source(folder_choice(url))
    assert "secret" not in str(caught.value)


def test_a_library_that_is_missing_is_named(monkeypatch):
    def missing(*_):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(InputError, match="s3://bucket/data: Install s3fs to access S3"):
        fetch("s3://bucket/data")


def test_a_disk_too_full_is_said_before_anything_is_copied(memory, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(InputError, match=r"no room for a copy here .*HARNESS_CACHE"):
        fetch(memory)


def test_one_file_that_is_no_archive_is_refused(web, tmp_path):
    (tmp_path / "readme.txt").write_text("text")
    with pytest.raises(InputError, match="one file, and no archive"):
        fetch(f"{web[0]}/readme.txt")


def test_paths_are_no_urls():
    assert not any(is_url(text) for text in ("data/camvid", "/data", "~/data", "C:/data", None, 3))
    assert is_url("s3://bucket")
