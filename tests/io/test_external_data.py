"""The data files beside a model: which may be opened, what is read of them, and how files are written."""

import builtins
import errno
import gc
import hashlib
import itertools
import os
import signal
import socket
import stat

import numpy as np
import pytest

from fastconv import external_data, onnx_json
from fastconv.errors import ModelError
from fastconv.external_data import ALIGNMENT, DataReader, DataWriter, open_data_file, write_model
from fastconv.graph import Graph, Node, Value
from fastconv.ops.binary import Add
from fastconv.ops.matmul import MatMul


@pytest.fixture
def folder(tmp_path):
    """A model's folder with data files, and a secret beside it."""
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "w.bin").write_bytes(bytes(range(200)))
    (folder / "sub" / "v.bin").write_bytes(b"sub")
    return folder


def open_files():
    return len(os.listdir("/proc/self/fd"))


def read(folder, nbytes=None, follow_links=False, **entries):
    with DataReader(folder, follow_links) as reader:
        return reader.read({"location": "w.bin", **entries}, nbytes)


BAD_LOCATIONS = [
    "../secret", "../../etc/passwd", "sub/../../secret", "junk/../../secret", "#/../../secret", "sub/../w.bin", "/etc/hostname",
    "//host/x", "./w.bin", "w.bin/", "sub//v.bin", "sub/./v.bin", "", ".", "..", "/", "\\", "..\\secret", "sub\\v.bin", "C:x",
    "c:\\x", "w.bin\0", "w.bin\0.txt", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("location", BAD_LOCATIONS, ids=ascii)
@pytest.mark.parametrize("follow_links", [False, True])
def test_locations_that_are_no_plain_paths(folder, location, follow_links):
    with pytest.raises(ModelError, match="is not a plain path below the model's folder"):
        open_data_file(folder, location, follow_links)
    with pytest.raises(ModelError, match="is not a plain path"):
        DataWriter(location).add(np.zeros(1, np.uint8))


@pytest.mark.parametrize(
    "location", ["%2e%2e/secret", "absent", "..w", "w.bin/x", "sub", "x" * 300, "~/secret", "$HOME", "w*", "ü"]
)
def test_locations_that_are_no_files(folder, location):
    before = open_files()
    for follow_links in (False, True):
        with pytest.raises(ModelError, match="external data"):
            open_data_file(folder, location, follow_links)
    assert open_files() == before, "nothing stays open"


@pytest.mark.parametrize("location", ["w.bin", "sub/v.bin", "..dots", "with space", "ü", "ab:c"])
def test_locations_that_are_fine(folder, location):
    (folder / location).write_bytes(b"data")
    os.close(open_data_file(folder, location))


def test_links_are_refused_unless_they_are_meant(folder):
    """In a Hugging Face cache every file is a link into ../../blobs; the message says how to load it."""
    (folder / "link.bin").symlink_to("../secret")
    (folder / "inside.bin").symlink_to("w.bin")
    (folder / "dir").symlink_to("sub")
    (folder / "loop").symlink_to("loop")
    for location in ("link.bin", "inside.bin", "dir/v.bin", "loop"):
        with pytest.raises(ModelError, match=r"symbolic link.*load\(\.\.\., external_dir=.*, follow_links=True\)"):
            open_data_file(folder, location)
    for location in ("link.bin", "inside.bin", "dir/v.bin"):
        os.close(open_data_file(folder, location, follow_links=True))
    with pytest.raises(ModelError, match="loop"):
        open_data_file(folder, "loop", follow_links=True)


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "other").symlink_to("model")
    os.close(open_data_file(tmp_path / "other", "w.bin"))


def test_a_model_without_a_folder_has_no_data_files():
    with pytest.raises(ModelError, match="external_dir="):
        open_data_file(None, "w.bin")
    with pytest.raises(ModelError, match="No such file"):
        open_data_file("/nonexistent", "w.bin")


def test_only_regular_files_are_opened(folder, monkeypatch):
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("socket")
        before = open_files()
        for location in ("pipe", "socket", "sub"):
            with pytest.raises(ModelError, match=f"external data '{location}'"):
                open_data_file(folder, location)
        assert open_files() == before


def test_ranges(folder):
    assert read(folder).tolist() == list(range(200))
    assert read(folder, offset="5", length="3").tolist() == [5, 6, 7]
    assert read(folder, nbytes=3, offset="197").tolist() == [197, 198, 199]
    assert read(folder, nbytes=2, length="2").tolist() == [0, 1]
    assert read(folder, nbytes=0, offset="200").size == 0
    assert read(folder, offset="200").size == 0


@pytest.mark.parametrize(
    "nbytes, entries",
    [
        (None, {"length": "201"}),
        (None, {"offset": "201"}),
        (None, {"offset": "199", "length": "2"}),
        (1, {"offset": "200"}),
        (201, {}),
        (1 << 62, {}),
        (None, {"offset": str((1 << 63) - 1), "length": str((1 << 63) - 1)}),
        (5, {"length": "4"}),
        (4, {"length": "5"}),
    ],
)
def test_ranges_outside_the_file_take_no_memory(folder, monkeypatch, nbytes, entries):
    monkeypatch.setattr(np, "empty", None)
    with pytest.raises(ModelError, match=r"external data 'w\.bin'"):
        read(folder, nbytes, **entries)


def test_location_is_needed(folder):
    with DataReader(folder) as reader, pytest.raises(ModelError, match="has no location"):
        reader.read({"offset": "0"})


def test_other_keys_are_ignored(folder):
    assert read(folder, __class__="x", directory="/", follow_links="1", basepath="/etc").size == 200


def test_checksum(folder):
    good = hashlib.sha1(bytes(range(200))).hexdigest()
    assert read(folder, checksum=good, offset="7").size == 193
    assert read(folder, checksum=good.upper()).size == 200
    for bad in (hashlib.sha1(b"").hexdigest(), "", "x" * 10_000):
        with pytest.raises(ModelError, match=f"checksum {good}, the model says") as e:
            read(folder, checksum=bad)
        assert len(str(e.value)) < 300


def test_one_open_for_a_file_of_many_tensors(folder, monkeypatch):
    opened = []
    monkeypatch.setattr(external_data, "open_data_file", lambda *args: opened.append(args[1]) or open_data_file(*args))
    gc.collect()  # it closes files that earlier tests have left open
    before = open_files()
    with DataReader(folder) as reader:
        for i in range(50):
            assert reader.read({"location": "w.bin", "offset": str(i)}, 2).tolist() == [i, i + 1]
        reader.read({"location": "sub/v.bin"})
        reader.read({"location": "w.bin"})
        assert open_files() == before + 1, "models may keep each tensor in a file of its own"
    assert opened == ["w.bin", "sub/v.bin", "w.bin"]
    assert open_files() == before


def test_a_reader_that_failed_can_go_on(folder):
    with DataReader(folder) as reader:
        reader.read({"location": "w.bin"})
        with pytest.raises(ModelError):
            reader.read({"location": "absent"})
        assert reader.read({"location": "w.bin"}).size == 200


def test_a_file_that_shrinks_while_it_is_read(folder, monkeypatch):
    preadv = os.preadv

    def shrink_first(file, buffers, offset):
        os.truncate(folder / "w.bin", 10)
        return preadv(file, buffers, offset)

    monkeypatch.setattr(os, "preadv", shrink_first)
    with pytest.raises(ModelError, match="shrank"):
        read(folder, nbytes=200)


def test_reads_in_pieces(folder, monkeypatch):
    monkeypatch.setattr(external_data, "_LARGEST_READ", 7)
    assert read(folder, offset="3").tolist() == list(range(3, 200))


def test_what_was_read_is_no_map_of_the_file(folder):
    data = read(folder)
    (folder / "w.bin").write_bytes(b"\xff" * 200)
    assert data.tolist() == list(range(200))


# Writing -----------------------------------------------------------------------------------------------------------------


def writer(*blocks, location="m.json.data"):
    data = DataWriter(location)
    return data, [data.add(np.frombuffer(b, np.uint8)) for b in blocks]


def test_data_is_aligned(tmp_path):
    blocks = [b"a" * 100, b"", b"b" * 64, b"c"]
    data, entries = writer(*blocks)
    write_model(tmp_path / "m.json", b"{}", data)
    assert [int(e["offset"]) for e in entries] == [0, 128, 128, 192]
    assert all(int(e["offset"]) % ALIGNMENT == 0 for e in entries)
    assert (tmp_path / "m.json.data").read_bytes() == b"a" * 100 + bytes(28) + b"b" * 64 + b"c"
    with DataReader(tmp_path) as reader:
        assert [reader.read(e).tobytes() for e in entries] == blocks


def test_without_data_there_is_no_data_file(tmp_path):
    write_model(tmp_path / "m.json", b"{}", DataWriter("m.json.data"))
    assert os.listdir(tmp_path) == ["m.json"]


def test_files_have_ordinary_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        write_model(tmp_path / "m.json", b"{}", writer(b"x")[0])
    finally:
        os.umask(before)
    assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()} == {0o640}


def test_links_are_replaced_not_followed(tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    for name in ("m.json", "m.json.data"):
        (tmp_path / name).symlink_to("precious")
    write_model(tmp_path / "m.json", b"{}", writer(b"x")[0])
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert (tmp_path / "m.json").read_bytes() == b"{}"
    assert not any(p.is_symlink() for p in tmp_path.iterdir())


def test_nothing_is_half_written(tmp_path, monkeypatch):
    write_model(tmp_path / "m.json", b"old", writer(b"old data")[0])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    class Full(DataWriter):
        def write(self, file):
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    full = Full("m.json.data")
    full.add(np.zeros(9, np.uint8))
    with pytest.raises(OSError, match=r"No space left.*m\.json\.data"):
        write_model(tmp_path / "m.json", b"new", full)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_model(tmp_path / "m.json", b"new", DataWriter("m.json.data"))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def killed_before(step, save):
    """Whether a child that runs `save` is killed before its `step`-th change of a file."""
    pid = os.fork()
    if pid:
        return os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    left = itertools.count(step, -1)

    def deadly(function):
        def act(*args, **more):
            if not next(left):
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **more)

        return act

    for name in ("replace", "unlink"):
        setattr(os, name, deadly(getattr(os, name)))
    builtins.open = deadly(open)
    try:
        save()
    finally:
        os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("before", [None, 1, 400_000])
def test_death_at_any_step_leaves_the_old_model_or_the_new_one(tmp_path, before):
    def graph(size, fill):
        x = Value("x", (1, size), np.dtype(np.float32))
        y = Value("y", (1, size), np.dtype(np.float32))
        return Graph([x], [y], [Node(Add(), [x, Value("w", constant=np.full((1, size), fill, np.float32))], [y])])

    path, size = tmp_path / "m.json", 400_000  # more than stays in the JSON
    if before:
        onnx_json.write(graph(before, 1), path)
    seen = set()
    for step in itertools.count():
        killed = killed_before(step, lambda: onnx_json.write(graph(size, 2), path))
        if path.exists():
            [w] = [v for v in onnx_json.read(path).nodes[0].inputs if v.constant is not None]
            values = np.asarray(w.constant)
            seen.add((values.size, float(values[0, 0])))
            assert (values == values[0, 0]).all()
        else:
            seen.add(None)
        if not killed:
            break
    assert seen == {(before, 1.0) if before else None, (size, 2.0)}
    names = sorted(os.listdir(tmp_path))
    assert [n for n in names if not n.endswith(".tmp")] == ["m.json", next(n for n in names if n.endswith(".data"))]


def test_a_model_replaces_the_one_whose_weights_it_reads(tmp_path):
    w = np.random.default_rng(0).standard_normal((700, 700), np.float32)
    x, y = (Value(name, (1, 700), np.dtype(np.float32)) for name in "xy")
    path = tmp_path / "m.json"
    onnx_json.write(Graph([x], [y], [Node(MatMul(), [x, Value("w", constant=w)], [y])]), path)
    assert sorted(os.listdir(tmp_path)) == ["m.json", "m.json.data"]
    for names in (["m.json", "m.json.1.data"], ["m.json", "m.json.data"]):
        onnx_json.write(onnx_json.read(path), path)
        assert sorted(os.listdir(tmp_path)) == sorted(names)
    np.testing.assert_array_equal(np.asarray(onnx_json.read(path).nodes[0].inputs[1].constant), w)


def test_places_where_no_file_can_be(tmp_path):
    (tmp_path / "m.json").mkdir()
    (tmp_path / "n.json.data").mkdir()
    for name, data in (("m.json", writer(b"x")[0]), ("n.json", writer(b"x", location="n.json.data")[0])):
        with pytest.raises(IsADirectoryError):
            write_model(tmp_path / name, b"{}", data)
    with pytest.raises(FileNotFoundError):
        write_model(tmp_path / "absent" / "m.json", b"{}", writer(b"x")[0])
    assert sorted(os.listdir(tmp_path)) == ["m.json", "n.json.data"]
