"""Files that have their name only once they are whole (what sinks do with them: test_sinks.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.configs.files import (
    append_line,
    atomic_folder,
    atomic_write,
    file_hash,
    locked,
    make_folder,
    path_for,
    reading,
    reveal,
    write_json,
    writing,
)
from retrace.configs.reading import read_json, read_npz


def test_a_path_for_several_is_that_of_one_by_its_name() -> None:
    assert path_for("door", "gt", "gt/{name}/{name}.txt") == "gt/door/door.txt"
    assert path_for("{sequence}", "gt", "gt/{name}.txt") == "gt/{sequence}.txt"  # a folder may be called so
    assert path_for("door", "gt", "gt.txt") == "gt.txt"
    with pytest.raises(InputError, match=r"`gt` \{sequence\}\.txt: write \{name\} instead of \{sequence\}"):
        path_for("door", "gt", "{sequence}.txt")


def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match=r"pipe: cannot be written \(is a device or a pipe, no file\)"):
        write_json(pipe, {})
    (tmp_path / "grown").write_text("x")
    with pytest.raises(InputError, match="a device or a pipe"):
        reveal(tmp_path / "grown", pipe)
    assert pipe.is_fifo()


def test_interrupted_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before")

    def write_half() -> None:
        with atomic_write(path) as file:
            file.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "said"),
    [(OSError(28, "No space left on device"), "No space left on device"), (ValueError(), "ValueError")],
)
def test_what_is_refused_becomes_one_line(error: Exception, said: str) -> None:
    with pytest.raises(InputError) as caught, writing(Path("a.txt"), ValueError):
        raise error
    remedy = "make room there, or choose" if "space" in said else "choose"
    assert str(caught.value) == f"a.txt: cannot be written ({said}); {remedy} another output folder"


@pytest.mark.parametrize(
    ("error", "inside", "said"),
    [
        (OSError(5, "Input/output error", "a/b"), False, "a: cannot be read (Input/output error); try again"),
        (
            OSError(5, "Input/output error", "a/b"),
            True,
            "a/b: cannot be read (Input/output error); try again",
        ),
        (OSError(), True, "a: cannot be read (OSError); try again"),
        (ValueError("embedded null byte"), False, "a: cannot be read (embedded null byte); try again"),
        (InputError("said already"), False, "said already"),
    ],
)
def test_what_cannot_be_read_becomes_one_line(error: Exception, inside: bool, said: str) -> None:
    with pytest.raises(InputError) as caught, reading("a", "try again", ValueError, inside):
        raise error
    assert str(caught.value) == said


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"`out` x: cannot be made a folder \(Not a directory\)"):
        make_folder(tmp_path / "file" / "deeper", "`out` x")
    make_folder(tmp_path / "new" / "deeper")
    assert (tmp_path / "new" / "deeper").is_dir()


def test_what_nobody_named_a_refusal_goes_through() -> None:
    with pytest.raises(ValueError, match="ours"), writing(Path("a.txt")):
        raise ValueError("ours")


def test_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("sync"), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append(f"name {Path(b).name}"), replace(a, b)))
    with atomic_write(tmp_path / "a") as file:
        file.write("text")
    (tmp_path / "b.partial").write_text("grown")
    reveal(tmp_path / "b.partial", tmp_path / "b")
    assert done == ["sync", "name a", "sync", "name b"]
    assert (tmp_path / "a").read_text() + (tmp_path / "b").read_text() == "textgrown"


def test_json_there_and_back(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, "\u00e9"], "b": {}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    write_json(tmp_path / "b.json", [1])
    assert read_json(tmp_path / "b.json", list) == [1]


def test_json_keeps_no_password(tmp_path: Path) -> None:
    told = {
        "stream": "rtsp://me:secret@cam.example:554/1",
        "in": ["opened http://u:p%40w@host/x and https://papers.example/forum?id=3"],
        "mail": "a@b.example",
        "path": "https://site.example/@user/post",
    }
    write_json(tmp_path / "a.json", told)
    assert read_json(tmp_path / "a.json") == {
        "stream": "rtsp://cam.example:554/1",
        "in": ["opened http://host/x and https://papers.example/forum?id=3"],
        "mail": "a@b.example",
        "path": "https://site.example/@user/post",
    }


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (None, dict, "a.json: no such file"),
        (b"{", dict, "a.json: not readable as JSON: JSONDecodeError: Expecting"),
        (b"\xff\xfe", dict, "a.json: not readable as JSON: UnicodeDecodeError: 'utf-8' codec"),
        (b"[1]", dict, "a.json: expected JSON with an object, got list"),
        (b"{}", list, "a.json: expected JSON with a list, got dict"),
        (b"[" * 100_000, list, "a.json: not readable as JSON: RecursionError: maximum recursion"),
    ],
)
def test_json_that_is_none(tmp_path: Path, content: bytes | None, kind: Any, message: str) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_json(tmp_path / "a.json", kind)
    assert message in str(caught.value)


def test_two_who_write_the_same_file_at_once_grow_one_each(tmp_path: Path) -> None:
    """As two runs that fill one cache: the last to finish is what lies there, whole."""
    path = tmp_path / "a"
    with atomic_write(path, shared=True) as first, atomic_write(path, shared=True) as second:
        first.write("first, which ends last")
        second.write("second")
        assert len(list(tmp_path.glob("a.*.partial"))) == 2
        assert not path.exists()
    assert path.read_text() == "first, which ends last"
    assert os.listdir(tmp_path) == ["a"]


def test_arrays_of_a_file_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3), y=np.zeros((2, 2)), z=np.array([None], object))
    found, names = read_npz(path, "test", ("x", "absent"), 10**6)
    assert [*found] == ["x"]
    assert found["x"].tolist() == [0, 1, 2]
    assert names == ["x", "y", "z"]
    np.save(tmp_path / "b.npz.npy", np.arange(3))
    (tmp_path / "b.npz.npy").rename(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes(path.read_bytes()[:100])
    for name, wanted, most, said in (
        ("none.npz", "x", 10**6, "no such test file"),
        (".", "x", 10**6, "is a folder, not a test file"),
        ("a.npz", "z", 10**6, "not readable as an .npz file of plain arrays: ValueError: Object arrays"),
        ("a.npz", "x", 10, "more than 10 bytes when unpacked"),
        ("b.npz", "x", 10**6, "no zip archive"),
        ("c.npz", "x", 10**6, "not readable as an .npz"),
    ):
        with pytest.raises(InputError, match=said):
            read_npz(tmp_path / name, "test", wanted, most)


def test_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")  # the example of FIPS 180-2
    assert file_hash(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_lock_is_held_once_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.lock"
    with locked(path, "does this"):
        with (
            pytest.raises(
                InputError, match=rf"process {os.getpid()} on .* does this; wait for it, or choose"
            ),
            locked(path, "does that"),
        ):
            pytest.fail("held twice")
        with locked(tmp_path / "b.lock", "does something else"):
            pass
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), locked(path, "fails"):
        raise ZeroDivisionError
    with locked(path, "does it again"):
        assert path.exists()


def test_a_dead_processs_lock_is_free(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    code = (
        "import os, sys, pathlib; from retrace.configs.files import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), 'dies'): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[2])
    assert done.returncode == -9
    assert "dies" in path.read_text()
    with locked(path, "goes on"):
        assert "goes on" in path.read_text()
        assert "dies" not in path.read_text()
    assert not path.exists()


def test_a_lock_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), locked(tmp_path / "file" / "a.lock", "x"):
        pytest.fail("held")


def test_a_folder_is_there_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "made"
    with suppress(KeyError), atomic_folder(place) as growing:
        (growing / "a").write_text("half")
        raise KeyError
    assert [*tmp_path.iterdir()] == []
    for text in ("first", "second"):  # the second takes the place of the first
        with atomic_folder(place, replace=True) as growing:
            (growing / text).write_text(text)
            assert not (place / text).exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "second"]
    # somebody's folder, who did not ask for it to go
    with pytest.raises(InputError, match="choose another"), atomic_folder(place):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "second"]
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(place)
    for taken in ("file", "link"):
        with pytest.raises(InputError, match="move it away"), atomic_folder(tmp_path / taken, replace=True):
            pass
    with pytest.raises(InputError, match="choose another"), atomic_folder(tmp_path / "file" / "made"):
        pass
    assert (place / "second").read_text() == "second"


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b"new\n"), (b"one\n", b"one\nnew\n"), (b"one\ntw", b"one\nnew\n"), (b"on", b"new\n")],
)
def test_a_line_that_broke_off_goes_when_the_next_comes(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "lines"
    path.write_bytes(before)
    with open(path, "ab+") as file:
        append_line(file, "new")
    assert path.read_bytes() == after
