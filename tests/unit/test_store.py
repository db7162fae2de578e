"""The store: what is kept, what makes room, and what happens when the disk does not do as it should."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from c2cotel.host.records import LARGEST, MOST_LOGS, MOST_SPANS, Record, dumps, pack, summary, unpack, whole
from c2cotel.host.store import Store
from c2cotel.host.tables import HistoryRow
from tests.apps.storing import a_large_record, a_record, outcome, program

SIZE = 8 * 1024 * 1024
SMALLEST = 2 * 1024 * 1024
ENTRY = [
    "id",
    "trace_id",
    "state",
    "kept",
    "method",
    "path",
    "route",
    "status",
    "start",
    "duration_ms",
    "queue_ms",
    "host",
    "pid",
    "error",
    "sql",
    "redis",
    "http",
    "render_ms",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path, SIZE)
    yield store
    store.close()


def bytes_in(folder: Path) -> int:
    size = 0
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # SQLite removes its journals while it is looked at
            size += file.stat().st_size
    return size


def ids(page: tuple[list[dict[str, Any]], str | None]) -> list[int]:
    return [int(entry["id"].removeprefix("request-")) for entry in page[0]]


# ---- records


def test_a_packed_record_comes_back_whole() -> None:
    record = a_record(
        1,
        kept=("failed", "slow"),
        error={"type": "ValueError", "message": "bad", "stack": "Traceback"},
        spans=[{"span_id": "1", "attributes": {"db.query.text": "SELECT 1"}}],
        logs=[{"ms": 1.5, "level": "INFO", "logger": "a", "message": "b", "buffered": True}],
        attributes={"ä": ["ö", 1, None]},
    )
    assert unpack(pack(record)) == record


def test_an_entry_has_the_keys_of_the_contract() -> None:
    error = {"type": "ValueError", "message": "bad", "stack": "Traceback"}
    entry = summary(a_record(1, start=1_700_000_000.98765, error=error))
    assert list(entry) == ENTRY
    assert entry["start"] == "2023-11-14T22:13:20.987Z"
    assert entry["error"] == {"type": "ValueError", "message": "bad"}
    assert entry["sql"] == {"n": 0, "ms": 0.0}
    assert summary(a_record(1))["error"] is None


def test_a_whole_record_adds_what_the_page_needs() -> None:
    entry = whole(a_record(1, error={"type": "A", "message": "b", "stack": "c"}))
    added = {"thread", "query", "versions", "spans", "logs", "dropped", "stacks", "attributes", "reason"}
    assert set(entry) == {*ENTRY, *added}
    assert entry["error"]["stack"] == "c"
    assert entry["dropped"] == {"spans": 0, "logs": 0}


def test_a_record_takes_what_json_does_not() -> None:
    attributes = {"big": 2**70, "bad": "\ud800", "set": {1}, "object": object, "nan": float("nan"), "bytes": b"\xff"}
    record = unpack(pack(a_record(1, path="/\udcff", attributes={**attributes, 7: "seven"})))
    assert record.path == "/?"
    assert record.attributes["big"] == str(2**70)
    assert record.attributes["set"] == [1]
    assert record.attributes["7"] == "seven"


def test_too_many_spans_and_logs_are_counted() -> None:
    record = unpack(pack(a_record(1, spans=[{"n": 1}] * 1500, logs=[{"n": 1}] * 501, dropped={"spans": 2, "logs": 0})))
    assert (len(record.spans), len(record.logs)) == (MOST_SPANS, MOST_LOGS)
    assert record.dropped == {"spans": 502, "logs": 1}


def test_logs_make_room_before_spans() -> None:
    spans = [{"text": os.urandom(500).hex()} for _ in range(100)]
    logs = [{"text": os.urandom(1000).hex()} for _ in range(400)]
    data = pack(a_record(1, spans=spans, logs=logs))
    record = unpack(data)
    assert LARGEST * 0.8 < len(data) <= LARGEST
    assert len(record.spans) == 100
    assert 100 < len(record.logs) < 300
    assert record.logs == logs[: len(record.logs)]
    assert record.dropped == {"spans": 0, "logs": 400 - len(record.logs)}


def test_spans_make_room_when_logs_do_not_suffice() -> None:
    spans = [{"text": os.urandom(1000).hex()} for _ in range(500)]
    data = pack(a_record(1, spans=spans, logs=[{"message": "a"}] * 10))
    record = unpack(data)
    assert LARGEST * 0.8 < len(data) <= LARGEST
    assert record.dropped == {"spans": 500 - len(record.spans), "logs": 10}


def test_long_texts_are_cut_at_last() -> None:
    data = pack(a_record(1, path="/short", attributes={"long": os.urandom(2_000_000).hex(), "short": "a"}))
    record = unpack(data)
    assert len(data) <= LARGEST
    assert record.attributes["short"] == "a"
    assert record.attributes["long"].endswith("…")
    assert record.dropped == {"spans": 0, "logs": 0, "texts": 1}
    assert record.kept == ("failed",)


def test_countless_short_texts_fit_as_well() -> None:
    data = pack(a_record(1, attributes={os.urandom(20).hex(): os.urandom(20).hex() for _ in range(20_000)}))
    assert len(data) <= LARGEST
    assert unpack(data).path == "/things/1"


def test_a_damaged_record_is_a_value_error() -> None:
    for data in (b"", b"nonsense", pack(a_record(1))[:-9]):
        with pytest.raises(ValueError, match="no packed record"):
            unpack(data)


# ---- look-ups


def test_requests_are_listed_newest_first(store: Store) -> None:
    store.write([a_record(number) for number in (3, 1, 2)])
    store.write([a_record(0)])
    entries, cursor = store.find()
    assert entries == [json.loads(json.dumps(summary(a_record(number)))) for number in (3, 2, 1, 0)]
    assert cursor is None


def test_every_filter_narrows_the_list(store: Store) -> None:
    store.write([a_record(0, kept=("slow", "debug"), status=200), a_record(1, route="other"), a_record(2, status=404)])
    assert ids(store.find(state="debug")) == [0]
    assert ids(store.find(state="failed")) == [2, 1]
    assert ids(store.find(state="running")) == ids(store.find(state="nonsense")) == []
    assert ids(store.find(route="other")) == [1]
    assert ids(store.find(status=404)) == [2]
    assert ids(store.find(status=5)) == [1]
    assert ids(store.find(min_ms=1.5)) == [2]
    assert ids(store.find(since=1_700_000_001.0)) == [2, 1]
    assert ids(store.find(until=1_700_000_001.0)) == [1, 0]
    assert ids(store.find(since=1_700_000_001.0, until=1_700_000_001.5, state="failed", route="other")) == [1]
    assert ids(store.find(limit=2)) == [2, 1]


def test_a_search_finds_ids_paths_and_errors(store: Store) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    store.write(
        [
            a_record(0, trace_id=trace),
            a_record(1, path="/100%_sure"),
            a_record(2, error={"type": "KeyError", "message": "'missing thing'", "stack": ""}),
            a_record(3, trace_id=""),
        ]
    )
    for text in (
        trace,
        "4bf92f35",
        "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
        trace.upper(),
        "request-000000",
        f" {trace} ",
    ):
        assert ids(store.find(q=text)) == [0], text
    assert ids(store.find(q="0%_S")) == [1]
    assert ids(store.find(q="keyerror: 'missing")) == [2]
    for text in ("4bf92f3", "1000000", "%", "_", "\\", "---", "\ud800", "x" * 100_000):
        assert ids(store.find(q=text)) == ([1] if text in {"%", "_"} else []), text


def test_pages_follow_each_other_while_others_write(store: Store) -> None:
    store.write([a_record(number, start=1_700_000_000.0 + number // 10) for number in range(500)])
    stop = threading.Event()

    def go_on() -> None:
        number = 1000
        while not stop.is_set():
            store.write([a_record(number)])
            number += 1

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        seen, cursor = [], None
        while True:
            entries, cursor = store.find(limit=7, cursor=cursor)
            seen += [entry["id"] for entry in entries]
            if cursor is None:
                break
    finally:
        stop.set()
        thread.join()
    assert len(seen) == len(set(seen))
    assert {f"request-{number:06}" for number in range(500)} <= set(seen)


@pytest.mark.parametrize("cursor", ["", "x", "1", "-", "1-x", "9" * 50 + "-1"])
def test_a_cursor_that_is_none_starts_anew(store: Store, cursor: str) -> None:
    store.write([a_record(1)])
    assert ids(store.find(cursor=cursor)) == [1]


def test_a_record_is_there_by_each_of_its_ids(store: Store) -> None:
    first = a_record(1, id="8a6e0804-2bd0-4672-b79d-d97027f9071a", start=1.0)
    second = a_record(2, id=first.id, trace_id=first.trace_id, start=2.0)
    store.write([first, second, a_record(3, trace_id=""), a_record(4, id="")])
    assert store.get(first.id) == store.get(first.id.replace("-", "")) == store.get(first.trace_id) == [second, first]
    assert store.get(first.id[:-1]) == store.get("") == store.get("nobody") == []


def test_a_later_record_of_an_attempt_replaces_it(store: Store) -> None:
    store.write([a_record(1, kept=("stalled",), state="running", status=None)])
    store.write([a_record(1, kept=("stalled", "slow"))])
    assert [record.kept for record in store.get("request-000001")] == [("stalled", "slow")]
    assert len(store.find()[0]) == 1


def test_reading_begins_no_file(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(path, SIZE)
    assert store.find() == ([], None)
    assert store.get("a") == []
    assert store.history(10, 0) == []
    assert not list(path.parent.iterdir())
    assert not caplog.records


def test_only_its_user_reads_the_file(store: Store, path: Path) -> None:
    store.write([a_record(1)])
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


# ---- what makes room


def test_the_last_20_of_a_route_are_kept(store: Store) -> None:
    for number in range(0, 60, 2):
        store.write([a_record(number, kept=("recent",)), a_record(number + 1, kept=("recent",), method="POST")])
    store.write([a_record(number, kept=("recent",), route="other") for number in range(100, 130)])
    assert ids(store.find()) == [*range(129, 109, -1), *range(59, 19, -1)]


def test_quick_requests_make_no_room_for_themselves(path: Path) -> None:
    store = Store(path, SMALLEST)
    store.write([a_large_record(number, 20_000) for number in range(100)])
    failed = ids(store.find(state="failed"))
    for number in range(1000, 1200):
        store.write([a_large_record(number, 20_000, kept=("recent",), route=f"route{number % 50}")])
    assert 10 < len(failed) < 100
    assert ids(store.find(state="failed")) == failed
    assert len(store.find(state="recent")[0]) < 10
    assert store.lost == 0
    store.close()


def test_a_busy_route_leaves_a_rare_one_its_records(path: Path) -> None:
    store = Store(path, SMALLEST)
    store.write([a_large_record(number, 10_000, route="rare") for number in range(10)])
    for number in range(100, 400):
        store.write([a_large_record(number, 10_000, route="busy")])
    store.write([a_large_record(number, 10_000, route="rare") for number in range(10, 12)])
    assert ids(store.find(route="rare")) == list(range(11, -1, -1))
    busy = ids(store.find(route="busy"))
    assert busy == list(range(399, 399 - len(busy), -1))
    store.close()


def test_a_flood_of_four_processes_stays_within_the_size(tmp_path: Path) -> None:
    size = 4 * 1024 * 1024
    processes = [program("flood", tmp_path, size, number * 1000, 90) for number in range(4)]
    largest = 0
    while any(process.poll() is None for process in processes):
        largest = max(largest, bytes_in(tmp_path))
        time.sleep(0.002)
    for process in processes:
        outcome(process)
    assert 0 < largest <= size * 1.25
    store = Store(tmp_path / "store.sqlite", size)
    assert len({entry["route"] for entry in store.find()[0]}) == 7
    store.close()


def test_a_reader_that_does_not_end_bounds_the_log_too(path: Path) -> None:
    store = Store(path, SMALLEST)
    store.write([a_record(1)])
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM requests").fetchone()
    for number in range(20):
        store.write([a_large_record(number, 100_000)])
        if store.lost:
            break
    assert store.lost == 1
    assert bytes_in(path.parent) <= SMALLEST * 1.25
    reader.close()
    store.write([a_record(100)])
    assert store.lost == 1
    assert store.get("request-000100")
    store.close()


def test_a_smaller_size_shrinks_the_file(path: Path) -> None:
    store = Store(path, SIZE)
    store.write([a_large_record(number, 30_000) for number in range(100)])
    store.close()
    before = bytes_in(path.parent)
    store = Store(path, SIZE // 4)
    for number in range(100, 103):
        store.write([a_record(number)])
    store.close()
    assert bytes_in(path.parent) <= SIZE // 4 < before


def test_a_clock_that_goes_back_loses_nothing(store: Store) -> None:
    store.write([a_record(number, kept=("recent",), start=9000.0 + number) for number in range(20)])
    store.write([a_record(number, kept=("recent",), start=100.0 + number) for number in range(20, 35)])
    assert ids(store.find()) == [19, 18, 17, 16, 15, *range(34, 19, -1)]


# ---- many processes


def test_four_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    processes = [program("write", tmp_path, SIZE, number * 1000, 100) for number in range(4)]
    assert [outcome(process) for process in processes] == [(["0"], [])] * 4
    store = Store(tmp_path / "store.sqlite", SIZE)
    assert sorted(ids(store.find(limit=1000))) == [number * 1000 + each for number in range(4) for each in range(100)]
    store.close()


def test_a_killed_process_loses_nothing_that_it_wrote(tmp_path: Path) -> None:
    with program("write_and_wait", tmp_path, SIZE, 50) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        process.kill()
    store = Store(tmp_path / "store.sqlite", SIZE)
    store.write([a_record(100)])
    assert len(store.find()[0]) == 51
    store.close()


def test_forked_children_write_beside_their_parent(tmp_path: Path) -> None:
    assert outcome(program("fork", tmp_path, SIZE)) == (["0 0 14"], [])


def test_a_fork_while_a_thread_writes_loses_nothing(tmp_path: Path) -> None:
    assert outcome(program("fork_while_writing", tmp_path, SIZE)) == (["0 0 20"], [])


# ---- trouble


def messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.mark.parametrize("damage", ["nonsense", "hole"])
def test_a_damaged_file_is_set_aside_once(path: Path, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    if damage == "hole":
        store = Store(path, SIZE)
        store.write([a_record(number) for number in range(200)])
        store.close()
    data = path.read_bytes() if damage == "hole" else b""
    path.write_bytes(data[:4096] + b"nonsense" * max(1000, len(data) // 8))
    Path(f"{path}.damaged-7").touch()
    store = Store(path, SIZE)
    store.write([a_record(1000)])
    store.write([a_record(1001)])
    assert ids(store.find()) == [1001, 1000]
    assert store.lost == 0
    assert [file.name for file in path.parent.glob("*damaged*")] == ["store.sqlite.damaged-8"]
    (line,) = messages(caplog, logging.WARNING)
    assert str(path) in line
    assert "damaged-8" in line
    store.close()


def test_a_file_of_another_version_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = sqlite3.connect(path)
    other.executescript("CREATE TABLE requests(a); PRAGMA user_version=99")
    other.close()
    store = Store(path, SIZE)
    assert store.find() == ([], None)
    store.write([a_record(1)])
    assert ids(store.find()) == [1]
    (line,) = messages(caplog, logging.WARNING)
    assert "its version is 99, not 1" in line
    store.close()


def test_one_process_sets_a_damaged_file_aside_for_all(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"nonsense" * 1000)
    processes = [program("write", tmp_path, SIZE, number * 1000, 20) for number in range(4)]
    logged = [outcome(process) for process in processes]
    assert [lines for lines, _ in logged] == [["0"]] * 4
    assert sum(len(warnings) for _, warnings in logged) == 1
    store = Store(tmp_path / "store.sqlite", SIZE)
    assert len(store.find()[0]) == 80
    store.close()


def test_a_folder_that_vanishes_costs_records_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = tmp_path / "folder"
    folder.mkdir()
    store = Store(folder / "store.sqlite", SIZE)
    store.write([a_record(1)])
    shutil.rmtree(folder)
    store.write([a_record(2), a_record(3)])
    store.write([a_record(4)])
    assert store.find() == ([], None)
    assert store.lost == 3
    assert len(messages(caplog, logging.WARNING)) == 1
    folder.mkdir()
    store.write([a_record(5)])
    assert ids(store.find()) == [5]
    (line,) = messages(caplog, logging.INFO)
    assert line.endswith("works again; 3 records were lost meanwhile")
    store.close()


def test_a_full_disk_costs_records_only(tmp_path: Path) -> None:
    (lost, kept), (warning, info) = outcome(program("write_until_full", tmp_path, SIZE, 1_000_000))
    assert 0 < int(lost) < 200
    assert kept == "1"
    assert warning.startswith("WARNING The store of requests ")
    assert f"; {lost} records were lost meanwhile" in info


def test_a_small_file_system_that_is_full_costs_records_only(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=2m tmpfs "$0" && head -c 1000000 /dev/zero > "$0/ballast" && exec "$@"'
    inside: tuple[str, ...] = ("unshare", "-rm", "sh", "-c", mount, str(tmp_path))
    limit = 0
    if not shutil.which("unshare") or subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        inside, limit = (), 500_000  # nothing can be mounted here: the largest file is the next best
    (lost, kept), (warning, info) = outcome(program("write_until_full", tmp_path, SIZE, limit, before=inside))
    assert 0 < int(lost) <= 200
    assert kept == "1"
    assert warning.startswith("WARNING The store of requests ")
    assert f"; {lost} records were lost meanwhile" in info


def test_a_folder_without_right_to_write_costs_records_only(tmp_path: Path) -> None:
    lines, warnings = outcome(program("write_without_right", tmp_path, SIZE))
    assert lines == ["3 ([], None) -1"]
    assert len(warnings) == 2
    assert "The store of requests" in warnings[0]
    assert "Requests in progress" in warnings[1]


def test_a_record_that_cannot_be_packed_is_left_out(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    store.write([a_record(1), a_record(2, attributes=endless), a_record(3, start=float("nan"))])
    assert ids(store.find()) == [1, 3]
    assert store.lost == 1
    assert len(messages(caplog, logging.ERROR)) == 1


def test_times_and_numbers_beyond_all_bounds_are_taken(store: Store) -> None:
    far = [float("inf"), -float("inf"), 1e300, -1e300, 0.0, -1.0]
    store.write([a_record(number, start=start) for number, start in enumerate(far)])
    assert len(store.find(since=-1e300, until=1e300)[0]) == len(far)
    assert all(isinstance(record, Record) for number in range(len(far)) for record in store.get(f"request-{number:06}"))
    assert store.lost == 0


# ---- history


def test_history_is_kept_as_long_as_asked(store: Store) -> None:
    now = int(time.time())
    rows = [HistoryRow(10, now - age, process, "all", b"x%d" % age) for age in (30, 20, 10) for process in ("a", "b")]
    store.put_history([*rows, HistoryRow(10, now - 4000, "a", "all", b"old")], keep=3600)
    store.put_history([HistoryRow(60, now, "a", "route", b"minute"), HistoryRow(10, now + 9999, "a", "all", b"")], 3600)
    assert store.history(10, 0) == rows
    assert store.history(10, now - 20, now - 10, process="b") == [rows[3]]
    assert store.history(60, 0, key="route") == [HistoryRow(60, now, "a", "route", b"minute")]
    assert store.history(60, 0, key="all") == []
    store.put_history([rows[0]._replace(data=b"new")], keep=3600)
    assert store.history(10, 0)[0].data == b"new"


def test_history_leaves_most_of_the_room_to_requests(path: Path) -> None:
    store = Store(path, SMALLEST)
    store.write([a_large_record(number, 20_000) for number in range(10)])
    now = int(time.time())
    for age in range(1000, 0, -10):
        store.put_history([HistoryRow(10, now - age, "a", str(key), bytes(900)) for key in range(10)], keep=3600)
    assert len(store.find()[0]) == 10
    starts = [row.start for row in store.history(10, 0)]
    assert now - 10 in starts
    assert sum(len(row.data) for row in store.history(10, 0)) < 600_000
    assert bytes_in(path.parent) <= SMALLEST * 1.25
    store.close()


def test_a_record_stays_small_when_it_is_unpacked() -> None:
    logs = [{"ms": 1.0, "level": "INFO", "logger": "app", "message": "x" * 400_000, "buffered": False}] * 500
    record = unpack(pack(Record(id="1", logs=logs)))
    assert len(dumps(record.__dict__)) < 5 * 2**20
    assert len(record.logs) == 500
    assert record.dropped["texts"] > 0
