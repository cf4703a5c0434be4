"""Downloads: nothing unasked, resumed where they stopped, in place only when their digest is right."""

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cifar_tree
import pytest

from wiseft_nb import Benchmark, WiseftError, load_benchmark
from wiseft_nb.benchmarks.cifar import cifar
from wiseft_nb.benchmarks.cifar import parts as cifar_parts
from wiseft_nb.benchmarks.download import download_parts, fetch
from wiseft_nb.benchmarks.parts import Part, Source

CONTENT = bytes(range(256)) * 5000


class Host:
    """A small web server on this machine: what it has, what it is asked for, how it misbehaves."""

    def __init__(self):
        self.files, self.asked, self.breaks_after, self.resumes = {"/data.npy": CONTENT}, [], None, True
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                host.asked.append(self.headers.get("Range"))
                if self.path not in host.files:
                    return self.send_error(404)
                content = host.files[self.path]
                start = int((self.headers.get("Range") or "bytes=0-")[6:-1]) if host.resumes else 0
                if start and start >= len(content):
                    return self.send_error(416)
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                self.wfile.write(content[start:][: host.breaks_after])

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def source(self, path, to=None, unpack=None, digest=None):
        content = self.files.get(path, b"")
        digest = digest or f"sha256:{hashlib.sha256(content).hexdigest()}"
        return Source(self.url + path, to or path[1:], len(content), digest, unpack)


@pytest.fixture
def host(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    host = Host()
    yield host
    host.server.shutdown()
    host.server.server_close()


def left(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def part_of(*sources, files):
    return Part("some", tuple(files), 1, "https://example.org", "MIT", sources)


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_file_is_fetched_whole(host, tmp_path, kind):
    source = host.source("/data.npy", "deep/data.npy", digest=f"{kind}:{hashlib.new(kind, CONTENT).hexdigest()}")
    assert fetch(source, tmp_path, progress=False).read_bytes() == CONTENT and left(tmp_path) == ["deep/data.npy"]
    fetch(source, tmp_path, progress=False)
    assert len(host.asked) == 1, "what is there already is not fetched again"


def test_an_interrupted_download_goes_on_where_it_stopped(host, tmp_path):
    host.breaks_after = 300_000
    for k in range(1, 5):
        with pytest.raises(WiseftError, match="call again to go on"):
            fetch(host.source("/data.npy"), tmp_path, progress=False)
        assert left(tmp_path) == ["data.npy.part"] and (tmp_path / "data.npy.part").stat().st_size == k * 300_000
    fetch(host.source("/data.npy"), tmp_path, progress=False)
    assert (tmp_path / "data.npy").read_bytes() == CONTENT and left(tmp_path) == ["data.npy"]
    assert host.asked == [None] + [f"bytes={k * 300_000}-" for k in range(1, 5)]


def test_a_host_that_cannot_resume_sends_it_anew(host, tmp_path):
    (tmp_path / "data.npy.part").write_bytes(CONTENT[:1000])
    host.resumes = False
    fetch(host.source("/data.npy"), tmp_path, progress=False)
    assert (tmp_path / "data.npy").read_bytes() == CONTENT


def test_a_download_that_was_complete_but_not_moved_is_used(host, tmp_path):
    (tmp_path / "data.npy.part").write_bytes(CONTENT)
    fetch(host.source("/data.npy"), tmp_path, progress=False)
    assert left(tmp_path) == ["data.npy"]


def test_a_wrong_digest_is_refused_and_deleted(host, tmp_path):
    """Also where it is the beginning, of an earlier call, that is wrong; the next call then starts anew."""
    (tmp_path / "data.npy.part").write_bytes(b"x" * 1000)
    with pytest.raises(WiseftError, match="does not have the digest"):
        fetch(host.source("/data.npy"), tmp_path, progress=False)
    assert not left(tmp_path)
    fetch(host.source("/data.npy"), tmp_path, progress=False)
    assert left(tmp_path) == ["data.npy"]


def test_what_was_there_stays_where_a_download_fails(host, tmp_path):
    (tmp_path / "data.npy").write_bytes(b"mine")
    with pytest.raises(WiseftError, match="does not have the digest"):
        fetch(host.source("/data.npy", digest="md5:" + 32 * "0"), tmp_path, progress=False)
    assert (tmp_path / "data.npy").read_bytes() == b"mine"


@pytest.mark.parametrize("url", ["{}/none.npy", "http://127.0.0.1:9/data.npy", "http://", "nonsense"])
def test_what_cannot_be_reached_is_one_sentence_with_a_way_out(host, tmp_path, url):
    source = Source(url.format(host.url), "data.npy", 10, "md5:0")
    with pytest.raises(WiseftError, match=r"could not be fetched .* put it at .*data\.npy") as error:
        fetch(source, tmp_path, progress=False)
    assert "\n" not in str(error.value) and not left(tmp_path)


def test_a_bar_shows_progress(host, tmp_path, capsys):
    fetch(host.source("/data.npy"), tmp_path)
    shown = capsys.readouterr()
    assert "data.npy" in shown.err and "1.28M" in shown.err and not shown.out


def tar_of(files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return content.getvalue()


def zip_of(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_an_archive_is_unpacked_and_deleted_and_other_files_stay(host, tmp_path, pack):
    host.files["/set.archive"] = pack({"set/a.bin": b"a", "set/sub/b.bin": b"b"})
    (tmp_path / "set").mkdir()
    (tmp_path / "set/mine").write_bytes(b"mine")
    part = part_of(host.source("/set.archive", unpack=""), files=["set/a.bin", "set/sub/b.bin"])
    download_parts([part], tmp_path, progress=False)
    assert left(tmp_path) == ["set/a.bin", "set/mine", "set/sub/b.bin"] and not part.absent(tmp_path)
    download_parts([part], tmp_path, progress=False)
    assert len(host.asked) == 1, "a part that is on disk is not fetched"


def test_an_archive_that_points_outside_is_refused(host, tmp_path):
    host.files["/set.tar"] = tar_of({"set/a.bin": b"a", "../outside": b"x"})
    part = part_of(host.source("/set.tar", unpack="in"), files=["in/set/a.bin"])
    with pytest.raises(WiseftError, match="cannot be unpacked"):
        download_parts([part], tmp_path, progress=False)
    assert left(tmp_path) == ["set.tar"] and part.absent(tmp_path)


@pytest.mark.parametrize("name", ["../outside", "/outside", "C:/outside", "set\\..\\..\\outside"])
def test_a_zip_that_points_outside_is_refused(host, tmp_path, name):
    """Python's zipfile would put it inside under another name; who packed that means no good."""
    host.files["/set.zip"] = zip_of({"set/a.bin": b"a", name: b"x"})
    part = part_of(host.source("/set.zip", unpack="in"), files=["in/set/a.bin"])
    with pytest.raises(WiseftError, match="points outside"):
        download_parts([part], tmp_path, progress=False)
    assert left(tmp_path) == ["set.zip"]


def test_what_is_there_already_stays_when_an_archive_is_unpacked(host, tmp_path):
    host.files["/set.tar"] = tar_of({"set/a.bin": b"theirs", "set/b.bin": b"b"})
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.bin").write_bytes(b"mine")
    download_parts([part_of(host.source("/set.tar", unpack=""), files=["set/b.bin"])], tmp_path, progress=False)
    assert (tmp_path / "set/a.bin").read_bytes() == b"mine" and (tmp_path / "set/b.bin").exists()


def test_a_truncated_archive_is_refused_and_nothing_half_unpacked(host, tmp_path):
    host.files["/set.tar"] = tar_of({f"set/{i}.bin": bytes(100_000) for i in range(3)})[:200]
    part = part_of(host.source("/set.tar", unpack=""), files=["set/2.bin"])
    with pytest.raises(WiseftError, match="cannot be unpacked"):
        download_parts([part], tmp_path, progress=False)
    assert left(tmp_path) == ["set.tar"]


@pytest.mark.filterwarnings("ignore:not on disk")
def test_a_benchmark_downloads_what_is_missing_and_is_read_again(host, tmp_path, monkeypatch):
    """CIFAR-10 from an archive in its official format, on a host of this machine."""
    made, root = tmp_path / "made", tmp_path / "root"
    cifar_tree.write_python_version(made)
    inside = {path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    host.files["/cifar.tar.gz"] = tar_of(inside)
    source = host.source("/cifar.tar.gz", unpack="")
    monkeypatch.setattr(cifar, "CIFAR10", Part("cifar10", cifar_parts.CIFAR10.files, 1, "page", "free", (source,)))
    benchmark = load_benchmark("cifar10", root=root, shifts=[], complete=False)
    assert not host.asked, "nothing is fetched before it is asked for"
    assert "cifar10" in set(benchmark.missing().part)
    again = benchmark.download(["cifar10"], progress=False)
    assert isinstance(again, Benchmark) and len(again.reference) == 20 and "cifar10" not in set(again.missing().part)


@pytest.mark.filterwarnings("ignore:not on disk")
def test_an_unknown_part_and_one_for_people_alone_are_refused(tmp_path):
    benchmark = load_benchmark("cifar10", root=tmp_path, shifts=[])
    with pytest.raises(WiseftError, match="unknown part 'cifar11'"):
        benchmark.download(["cifar11"])
    object.__setattr__(benchmark, "parts", (part_of(files=["some/file"]),))
    with pytest.raises(WiseftError, match="fetch it by hand from https://example.org"):
        benchmark.download(["some"])
