"""Hostile files: each ends in a clear reason, within its limits, and the next file is fine."""

import asyncio
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from app.infra.sandbox import ROOT
from app.ingestion.parse import CHILD, ParseError, ParseLimits, parse_pdf

FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGE = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
    b"/Resources << /Font << /F 5 0 R >> >> >>"
)
TREE = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
QUICK = ParseLimits(timeout_s=20, memory_bytes=256 << 20)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), entries, data)


def build(*objects: bytes, trailer: bytes = b"", startxref: int | None = None) -> bytes:
    """Return a PDF with a right cross-reference table, unless told where to put a wrong one."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    xref = len(out) if startxref is None else startxref
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer << /Size %d /Root 1 0 R %s >>\n" % (len(objects) + 1, trailer)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % xref)


def text_pdf(content: bytes = b"BT /F 12 Tf 72 700 Td (All is well) Tj ET") -> bytes:
    return build(CATALOG, TREE, PAGE, stream(content), FONT)


def flate_bomb() -> bytes:
    packer = zlib.compressobj(9)
    block = b" " * (1 << 20)
    once = b"".join(packer.compress(block) for _ in range(600)) + packer.flush()
    bomb = stream(zlib.compress(once, 9), b"/Filter [/FlateDecode /FlateDecode]")
    return build(CATALOG, TREE, PAGE, bomb, FONT)


def pages_pdf(count: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % (n + 3) for n in range(count))
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>"
    return build(
        CATALOG, b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count), *[page] * count
    )


ENCRYPTION = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >> /ID [<%s> <%s>]" % (
    b"ab" * 32, b"cd" * 32, b"01" * 16, b"01" * 16,
)  # fmt: skip

FILES = {
    "encrypted": (
        build(CATALOG, TREE, PAGE, stream(b"BT ET"), FONT, trailer=ENCRYPTION),
        {"encrypted"},
    ),
    "zero page": (build(CATALOG, b"<< /Type /Pages /Kids [] /Count 0 >>"), {"no_pages", "no_text"}),
    "2,001 pages": (pages_pdf(2001), {"too_many_pages"}),
    "a lying page count": (
        build(CATALOG, b"<< /Type /Pages /Kids [3 0 R] /Count 2000000000 >>", PAGE),
        {"too_many_pages", "no_text", "damaged"},
    ),
    "page tree loop": (
        build(CATALOG, b"<< /Type /Pages /Kids [2 0 R 3 0 R] /Count 9 /Parent 2 0 R >>",
              b"<< /Type /Pages /Kids [2 0 R] /Count 9 >>"),
        {"damaged", "no_pages", "no_text"},
    ),
    "truncated": (text_pdf()[:90], {"damaged", "no_pages"}),
    "garbage behind the header": (b"%PDF-1.7\n" + bytes(range(256)) * 50, {"damaged"}),
    "HTML named .pdf": (b"<!doctype html><title>x</title>", {"not_a_pdf"}),
    "empty": (b"", {"not_a_pdf"}),
    "no text": (build(CATALOG, TREE, PAGE, stream(b"0 0 9 9 re f"), FONT), {"no_text"}),
    "flate bomb": (flate_bomb(), {"memory", "no_text", "damaged", "timeout"}),
}  # fmt: skip


async def reason(data: bytes, limits: ParseLimits = QUICK, child: Sequence[str] = CHILD) -> str:
    with pytest.raises(ParseError) as caught:
        await parse_pdf(data, limits=limits, child=child)
    return caught.value.reason


def script(folder: Path, body: str) -> tuple[str]:
    path = folder / "child.py"
    path.write_text(f"import os, signal, struct, sys, time\n{body}\n")
    return (str(path),)


@pytest.mark.parametrize("name", FILES)
async def test_a_hostile_file_ends_in_a_reason_and_the_next_is_fine(name: str) -> None:
    data, reasons = FILES[name]
    begin = time.monotonic()
    assert await reason(data) in reasons
    assert time.monotonic() - begin < 20
    assert (await parse_pdf(text_pdf())).pages[0].text == "All is well"


async def test_a_wrong_cross_reference_is_repaired() -> None:
    data = build(
        CATALOG, TREE, PAGE, stream(b"BT /F 9 Tf 9 9 Td (ok) Tj ET"), FONT, startxref=10**8
    )
    assert (await parse_pdf(data)).pages[0].text == "ok"


async def test_a_text_bomb_meets_the_text_limit() -> None:
    line = b"(" + b"a" * 999 + b") Tj "
    bomb = stream(zlib.compress(b"BT /F 1 Tf " + line * 300 + b"ET"), b"/Filter /FlateDecode")
    data = build(CATALOG, TREE, PAGE, bomb, FONT)
    assert len(data) < 20_000
    assert await reason(data, ParseLimits(max_text_bytes=100_000)) == "too_large_text"


async def test_memory_is_limited() -> None:
    """A limit too small even for the document's characters, not for the interpreter."""
    line = b"(" + b"a " * 500 + b") Tj "
    bomb = stream(zlib.compress(b"BT /F 1 Tf " + line * 2000 + b"ET"), b"/Filter /FlateDecode")
    data = build(CATALOG, TREE, PAGE, bomb, FONT)
    assert await reason(data, ParseLimits(memory_bytes=100 << 20)) == "memory"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
        ("os.abort()", "crashed"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "crashed"),
        ("sys.exit(1)", "crashed"),
        ("pass", "crashed"),
        ("sys.stdout.buffer.write(b'E' + struct.pack('<I', 4) + b'lies')", "crashed"),
        ("sys.stdout.buffer.write(b'P' + struct.pack('<I', 4) + b'tiny')", "crashed"),
        ("sys.stdout.buffer.write(b'P' + struct.pack('<I', 2**32 - 1))", "crashed"),
        (
            "sys.stdout.buffer.write(b'P' + struct.pack('<I6fBII', 41, 1,1,0,0,1,1,0, 9, 2**31)"
            " + b'123456789')",
            "crashed",
        ),
    ],
)
async def test_a_child_that_crashes_or_lies(tmp_path: Path, body: str, expected: str) -> None:
    assert await reason(text_pdf(), QUICK, script(tmp_path, body)) == expected


@pytest.mark.parametrize(
    "body",
    ["os.kill(os.getpid(), signal.SIGSTOP)", "time.sleep(60)",
     "if os.fork() == 0: time.sleep(60)\ntime.sleep(60)"],
    ids=["stopped", "asleep", "with a child of its own"],
)  # fmt: skip
async def test_a_child_that_hangs_is_killed_at_the_deadline(tmp_path: Path, body: str) -> None:
    begin = time.monotonic()
    child = script(tmp_path, body)
    assert await reason(text_pdf(), ParseLimits(timeout_s=0.5), child) == "timeout"
    assert time.monotonic() - begin < 5
    await nobody_runs(child)


def runs(child: tuple[str]) -> bool:
    return any(child[0] in (p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]))


async def nobody_runs(child: tuple[str]) -> None:
    for _ in range(50):
        if not runs(child):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the child, or a child of it, is still running")


async def test_a_child_that_never_stops_writing_is_cut_off(tmp_path: Path) -> None:
    child = script(tmp_path, "while True: os.write(1, bytes(65536))")
    assert await reason(text_pdf(), ParseLimits(max_text_bytes=100_000), child) == "too_large_text"
    await nobody_runs(child)


async def test_cancelling_kills_the_child(tmp_path: Path) -> None:
    started = tmp_path / "started"
    child = script(tmp_path, f"open({str(started)!r}, 'w').close()\ntime.sleep(60)")
    task = asyncio.create_task(parse_pdf(text_pdf(), child=child))
    while not started.exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    begin = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begin < 2
    await nobody_runs(child)


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel for a signal")
async def test_the_child_dies_with_its_worker(tmp_path: Path) -> None:
    """``kill -9`` of the worker leaves no parser running, although nobody is left to kill it."""
    child = script(
        tmp_path,
        f"""
sys.path.append({ROOT!r})
from app.ingestion import pdf_child
pdf_child.frames = lambda *_: (time.sleep(60) for _ in range(1))
open({str(tmp_path / "started")!r}, "w").close()
pdf_child.main(*sys.argv[1:])
""",
    )
    worker = tmp_path / "worker.py"
    worker.write_text(
        f"import asyncio, sys\nsys.path.append({ROOT!r})\n"
        "from app.ingestion.parse import parse_pdf\n"
        f"asyncio.run(parse_pdf({text_pdf()!r}, child={child!r}))\n"
    )
    process = subprocess.Popen([sys.executable, str(worker)])  # noqa: ASYNC220 - to be killed
    while not (tmp_path / "started").exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    assert runs(child)
    process.kill()
    process.wait()
    await nobody_runs(child)


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    crash = script(tmp_path, "os.abort()")
    await reason(text_pdf(), QUICK, crash)
    me = psutil.Process()
    before = me.num_fds()
    for _ in range(10):
        await parse_pdf(text_pdf())
        await reason(text_pdf(), QUICK, crash)
    await asyncio.sleep(0)
    assert me.num_fds() <= before + 1
    assert not [p for p in me.children() if p.status() == psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
        ("os.abort()", "crashed"),
        ("while True: pass", "timeout"),
        ("raise OSError", "crashed"),
        ("bytearray(1 << 30)", "memory"),
        ("os.kill(os.getpid(), signal.SIGSTOP)", "timeout"),
    ],
)
async def test_the_real_child_when_pdfium_misbehaves(
    tmp_path: Path, body: str, expected: str
) -> None:
    """The real process, its limits and its fork; only PDFium is replaced, by what ``body`` does."""
    child = script(
        tmp_path,
        f"""
sys.path.append({ROOT!r})
from app.ingestion import pdf_child
def frames(*_):
    {body}
    yield b"Z", b""
pdf_child.frames = frames
pdf_child.main(*sys.argv[1:])
""",
    )
    limits = ParseLimits(timeout_s=1.5, memory_bytes=256 << 20)
    assert await reason(text_pdf(), limits, child) == expected
    await nobody_runs(child)


def test_the_child_is_started_without_environment_or_site() -> None:
    """``-S`` and ``-I`` keep site-packages, ``.pth`` files and the user's folder out of it."""
    assert not {"site", "numpy", "typing", "json"} & set(imported_by_child())


def imported_by_child() -> list[str]:
    code = (
        f"import sys; sys.path.append({ROOT!r}); import app.ingestion.pdf_child;print(*sys.modules)"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    return done.stdout.split()
