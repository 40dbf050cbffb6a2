"""A real agent beside a real server and a printer's double: labels = jobs, or a person is asked; never twice (R35)."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.browser.server import ROOT, Product, Program
from tests.factories import Rows
from tests.printers import cups
from tests.printers.fake_printer import FakePrinter, Mode
from wms import labels, tls
from wms.flows import agents, printing, warehouse
from wms.jobs import station_agent
from wms.models import Location, LocationKind, PrintAttempt, Printer, PrintJob

pytestmark = pytest.mark.slow

KILLED = ROOT / "tests" / "commands" / "agent_killed.py"


class House:
    """The product's web server and, for each test, an agent with a printer of its own."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.rows = Rows(product.database, product.settings.secret_key)
        self._made = 0
        with product.database.transaction(self.rows.actor()) as session:
            for number in range(12):
                warehouse.add_location(session, f"B-01-{number:02d}-1", LocationKind.STORAGE, number, "B")

    def bench(self, home: Path, address: str, trusted: bool = False) -> Bench:
        self._made += 1
        code = f"PACK{self._made}"
        with self.product.database.transaction(self.rows.actor()) as session:
            _, token = agents.add(session, code, "", None)
            printer = printing.save_printer(
                session,
                None,
                code=f"P{self._made}",
                name="",
                uri=f"agent://{code}/{address}",
                dpi=203,
                width_mm=100,
                height_mm=150,
                trusted=trusted,
            )
        return Bench(self, home, token, printer.id)


class Bench:
    """A packing PC: its agent's home folder and token, and what is printed there."""

    def __init__(self, house: House, home: Path, token: str, printer_id: int) -> None:
        self.house, self.token, self.printer_id = house, token, printer_id
        self.running: list[Program] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WMS_")},
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "WMS_HOME": str(home),
            "WMS_SKIP_VENDOR": "1",
            "WMS_AGENT_TOKEN": token,
            "WMS_AGENT_SERVER": house.product.address,
        }
        self.journal = home / "agent" / "journal.jsonl"

    def start(self, *arguments: str) -> Program:
        program = Program(["agent", *arguments], self.environment)
        self.running.append(program)
        return program

    def start_to_fall(self, moment: str, nth: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, str(KILLED), moment, str(nth), "agent"],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def queue(self, count: int, first: int = 0) -> list[int]:
        with self.house.product.database.transaction(self.house.rows.actor()) as session:
            places = session.execute(select(Location).where(Location.code.like("B-01-%")).order_by(Location.code))
            each = list(places.scalars())
            printer = session.get_one(Printer, (self.house.rows.warehouse_id, self.printer_id))
            once = f"{self.printer_id}:"
            return [
                labels.queue_location(session, each[number], printer, once=f"{once}{number}").id
                for number in range(first, first + count)
            ]

    def states(self) -> list[str]:
        with self.house.product.database.reading() as session:
            found = session.execute(
                select(PrintJob).where(PrintJob.printer_id == self.printer_id).order_by(PrintJob.id)
            ).scalars()
            return [f"{job.state.value} {job.reason}".strip() for job in found]

    def attempts(self) -> list[str]:
        with self.house.product.database.reading() as session:
            found = session.execute(
                select(PrintAttempt.result)
                .join(PrintJob, PrintJob.id == PrintAttempt.job_id)
                .where(PrintJob.printer_id == self.printer_id)
                .order_by(PrintAttempt.id)
            ).scalars()
            return list(found)

    def until_told(self, program: Program, job_id: int) -> None:
        """Until the agent says the end of a job; its last report goes out before it stops."""
        program.wait_for(f"Job {job_id} at")
        program.stop()
        assert "Traceback" not in program.text, program.text


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, template_database: Path) -> Iterator[House]:
    product = Product(tmp_path_factory.mktemp("server"), template_database)
    try:
        made = House(product)
        product.start()
        yield made
    finally:
        product.stop()


@pytest.fixture
def printer() -> Iterator[FakePrinter]:
    with FakePrinter() as machine:
        yield machine


@pytest.fixture
def bench(house: House, printer: FakePrinter, tmp_path: Path) -> Iterator[Bench]:
    made = house.bench(tmp_path, f"tcp/127.0.0.1:{printer.port}")
    yield made
    for program in made.running:
        program.stop()


@pytest.fixture
def queue_bench(house: House, printer: FakePrinter, tmp_path: Path) -> Iterator[Bench]:
    """The same through a queue of the real CUPS, which an admin trusts."""
    if lacking := cups.missing():
        pytest.skip(f"NO CUPS ({', '.join(lacking)}): apt-get install cups cups-client cups-bsd; queues were not tried")
    with cups.running() as daemon:
        daemon.queue("ZD421", printer.port)
        made = house.bench(tmp_path, "os/ZD421", trusted=True)
        made.environment |= {name: daemon.environment[name] for name in ("PATH", "CUPS_SERVER")}
        yield made
        for program in made.running:
            program.stop()


def test_it_prints_what_the_server_has_in_order_and_says_so(bench: Bench, printer: FakePrinter) -> None:
    ids = bench.queue(5)
    program = bench.start()
    bench.until_told(program, ids[-1])
    assert bench.states() == ["printed"] * 5
    assert len(printer.labels) == 5
    assert f"Connected to {bench.house.product.address} as PACK" in program.text
    assert bench.token not in program.text and bench.token not in bench.journal.read_text()
    told = [json.loads(line) for line in bench.journal.read_text().splitlines()]
    assert [(each["what"], each["job"]) for each in told if each["what"] == "started"] == [
        ("started", str(job_id)) for job_id in ids
    ]


FALLS = {
    # moment: (labels after the restart, what the second of three jobs ends as)
    "before started": (3, "printed"),
    "after started": (2, "unknown agent_stopped"),
    "after the bytes": (3, "unknown agent_stopped"),
    "after ended": (3, "printed"),
    "after report": (3, "printed"),
}


def fall(bench: Bench, printer: FakePrinter, moment: str) -> None:
    came_out, end = FALLS[moment]
    ids = bench.queue(3)
    assert bench.start_to_fall(moment, 2).wait(60) == -9
    bench.until_told(bench.start(), ids[-1])
    assert bench.states() == ["printed", end, "printed"]
    assert printer.wait_for_labels(came_out) and len(printer.labels) == came_out
    assert bench.attempts() == ["printed", end.split()[0], "printed"], "each attempt is written down once"
    if end == "printed":
        return
    # A person looks at the printer and answers; then there are as many labels as jobs.
    with bench.house.product.database.transaction(bench.house.rows.actor()) as session:
        printing.came_out(session, bench.house.rows.warehouse_id, ids[1], yes=came_out == 3)
    last = bench.queue(1, first=3)
    bench.until_told(bench.start(), last[0])
    assert bench.states() == ["printed", "printed seen_by_hand" if came_out == 3 else "printed", "printed", "printed"]
    assert len(printer.labels) == 4


@pytest.mark.parametrize("moment", FALLS)
def test_killed_at_any_moment_labels_are_jobs_or_a_person_is_asked(
    bench: Bench, printer: FakePrinter, moment: str
) -> None:
    fall(bench, printer, moment)


@pytest.mark.parametrize("moment", ["before started", "after started", "after the bytes", "after ended"])
def test_the_same_through_a_queue_of_cups(queue_bench: Bench, printer: FakePrinter, moment: str) -> None:
    fall(queue_bench, printer, moment)


def test_killed_again_and_again_no_label_comes_twice_and_none_is_lost_without_a_word(
    bench: Bench, printer: FakePrinter
) -> None:
    """Signal 9 from outside, each time as soon as one more label is out: whatever it was doing then."""
    ids = bench.queue(12)
    for killed in range(1, 6):
        program = bench.start()
        assert printer.wait_for_labels(2 * killed, 30), program.text
        program.process.kill()
        program.process.wait()
    bench.until_told(bench.start(), ids[-1])
    ends = bench.states()
    assert set(ends) <= {"printed", "unknown agent_stopped"}, ends
    assert len(set(printer.labels)) == len(printer.labels), "one came twice"
    assert ends.count("printed") <= len(printer.labels), "one is lost without a word"


@pytest.mark.parametrize("moment", ["lease lost", "report lost", "answer lost"])
def test_a_message_lost_on_the_way_costs_neither_a_label_nor_a_question(
    bench: Bench, printer: FakePrinter, moment: str
) -> None:
    bench.queue(3)
    process = bench.start_to_fall(moment, 2)
    try:
        assert printer.wait_for_labels(3, 30)
        wait_until(lambda: bench.states() == ["printed"] * 3)
    finally:
        process.terminate()
        process.wait(20)
    assert len(printer.labels) == 3
    assert bench.attempts() == ["printed"] * 3


def wait_until(right: Callable[[], bool], within_s: float = 30.0) -> None:
    """What another process writes to the database tells nobody here."""
    ends = time.monotonic() + within_s
    while not right():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_printer_that_is_off_waits_without_a_question_and_without_a_byte(bench: Bench, printer: FakePrinter) -> None:
    printer.mode = Mode.REFUSE
    ids = bench.queue(1)
    program = bench.start()
    program.wait_for(f"Job {ids[0]} at tcp://127.0.0.1:{printer.port}: waiting offline")
    assert "started" not in bench.journal.read_text()
    printer.mode = Mode.OK
    program.wait_for(f"Job {ids[0]} at tcp://127.0.0.1:{printer.port}: printed")
    program.stop()
    assert bench.states() == ["printed"] and len(printer.labels) == 1
    assert bench.attempts()[-1] == "printed"


def test_paper_that_ends_with_the_job_inside_holds_it_and_its_bytes_go_once(bench: Bench, printer: FakePrinter) -> None:
    printer.mode = Mode.PAPER_OUT_DURING
    ids = bench.queue(1)
    program = bench.start()
    at = f"Job {ids[0]} at tcp://127.0.0.1:{printer.port}:"
    program.wait_for(f"{at} held paper_out")
    assert bench.journal.read_text().count('"started"') == 1
    printer.mode = Mode.OK
    program.wait_for(f"{at} printed")
    program.stop()
    assert bench.states() == ["printed"]
    assert len(printer.labels) == 1 and len(printer.jobs) == 1


def test_it_outlives_the_server_and_goes_on(bench: Bench, printer: FakePrinter) -> None:
    program = bench.start()
    program.wait_for("Connected to")
    web = bench.house.product.web
    assert web is not None
    web.stop()
    program.wait_for("does not answer")
    ids = bench.queue(1)
    bench.house.product.start()
    bench.until_told(program, ids[0])
    assert bench.states() == ["printed"] and len(printer.labels) == 1


def test_a_revoked_agent_says_so_and_prints_nothing(bench: Bench, printer: FakePrinter) -> None:
    with bench.house.product.database.transaction(bench.house.rows.actor()) as session:
        for agent in agents.every(session, bench.house.rows.warehouse_id):
            if agents.of_token(bench.house.product.database, bench.token).id == agent.id:  # type: ignore[union-attr]
                agents.revoke(session, agent.id)
    bench.queue(1)
    program = bench.start()
    program.wait_for("does not accept this agent")
    assert bench.states() == ["queued"] and printer.labels == []


def test_it_speaks_the_language_of_its_terminal(bench: Bench) -> None:
    bench.environment |= {"LANG": "zh_CN.UTF-8", "LC_ALL": "zh_CN.UTF-8", "PYTHONUTF8": "1"}
    ids = bench.queue(1)
    program = bench.start()
    program.wait_for("已连接")
    program.wait_for(f"任务 {ids[0]}")
    program.stop()
    assert "已打印" in program.text and "已停止" in program.text


def test_two_agents_never_share_a_folder(bench: Bench) -> None:
    first = bench.start()
    first.wait_for("Connected to")
    second = bench.start()
    second.wait_for("another agent runs with this folder already")
    assert second.process.wait(10) == 2


def test_an_agent_does_not_reach_out_of_its_networks(house: House, printer: FakePrinter, tmp_path: Path) -> None:
    bench = house.bench(tmp_path, f"tcp/127.0.0.1:{printer.port}")
    bench.environment["WMS_PRINTER_NETWORKS"] = "10.0.0.0/8"
    ids = bench.queue(1)
    program = bench.start()
    bench.until_told(program, ids[0])
    assert bench.states() == ["failed bad_address"] and printer.connections == 0


def test_a_token_never_goes_over_plain_http_to_another_machine(tmp_path: Path) -> None:
    with pytest.raises(station_agent.BadServer, match="https"):
        station_agent.trust("http://192.168.1.10:8080", "", "", tmp_path)


def test_the_servers_own_root_is_fetched_and_believed_only_by_its_fingerprint(
    tmp_path: Path, template_database: Path, printer: FakePrinter
) -> None:
    if tls.find_caddy() is None:
        pytest.skip("NO CADDY for this machine")
    (tmp_path / "server").mkdir()
    (tmp_path / "agent").mkdir()
    product = Product(tmp_path / "server", template_database)
    product.environment["WMS_TLS"] = "auto"
    try:
        house = House(product)
        bench = house.bench(tmp_path / "agent", f"tcp/127.0.0.1:{printer.port}")
        product.start()
        root = tls.root(product.settings)
        assert root is not None
        bench.environment["WMS_AGENT_SERVER"] = f"https://127.0.0.1:{product.settings.https_port}"
        ids = bench.queue(1)
        wrong = bench.start("--ca-sha256", "00" * 32)
        wrong.wait_for("another fingerprint")
        assert wrong.process.wait(20) == 2
        untrusting = bench.start()
        untrusting.wait_for("does not answer")
        untrusting.stop()
        assert "CERTIFICATE_VERIFY_FAILED" in untrusting.text
        assert bench.states() == ["queued"]
        bench.until_told(bench.start("--ca-sha256", root.fingerprint), ids[0])
        assert bench.states() == ["printed"] and len(printer.labels) == 1
    finally:
        product.stop()


# -- the journal


def test_a_line_cut_by_a_power_cut_is_dropped_and_the_rest_stands(tmp_path: Path) -> None:
    path = tmp_path / "agent" / "journal.jsonl"
    journal = station_agent.Journal(path)
    journal.started(("1", 1), "a")
    journal.ended(("1", 1), station_agent.End("printed", sha256="a"))
    journal.started(("2", 1), "b")
    known = journal.id
    journal.close()
    path.write_bytes(path.read_bytes() + b'{"what":"ended","job":"2","att')
    again = station_agent.Journal(path)
    assert again.id == known
    assert again.without_end() == [("2", 1)]
    assert [key for key, _ in again.untold()] == [("1", 1)]
    again.started(("3", 1), "c")
    again.close()
    last = station_agent.Journal(path)
    assert last.has_begun(("3", 1)), "what is written after a cut line is whole"
    last.close()


def test_half_a_line_of_a_full_disk_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "agent" / "journal.jsonl"
    journal = station_agent.Journal(path)

    class Full:
        def __init__(self, file: io.FileIO) -> None:
            self.file = file

        def write(self, line: bytes) -> int:
            return self.file.write(line[:20])

        def fileno(self) -> int:
            return self.file.fileno()

    with monkeypatch.context() as patched:
        patched.setattr(journal, "_file", Full(journal._file))
        with pytest.raises(OSError, match="full"):
            journal.started(("1", 1), "a")
    assert not journal.has_begun(("1", 1))
    journal.started(("2", 1), "b")
    journal.close()
    again = station_agent.Journal(path)
    assert again.without_end() == [("2", 1)]
    again.close()


def test_a_long_journal_keeps_what_the_server_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(station_agent, "KEEP_ENTRIES", 3)
    path = tmp_path / "agent" / "journal.jsonl"
    journal = station_agent.Journal(path)
    for number in range(10):
        key = (str(number), 1)
        journal.started(key, "a")
        if number != 0:
            journal.ended(key, station_agent.End("printed", sha256="a"))
        if number > 1:
            journal.told(key)
    known = journal.id
    journal.close()
    again = station_agent.Journal(path)
    assert again.id == known
    assert again.without_end() == [("0", 1)] and [key for key, _ in again.untold()] == [("1", 1)]
    assert not again.has_begun(("4", 1)) and again.has_begun(("9", 1))
    again.close()


def test_a_folder_copied_to_another_machine_is_another_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "agent" / "journal.jsonl"
    journal = station_agent.Journal(path)
    known = journal.id
    journal.close()
    monkeypatch.setattr("platform.node", lambda: "the-other-pc")
    copy = station_agent.Journal(path)
    assert copy.id and copy.id != known
    copy.close()
