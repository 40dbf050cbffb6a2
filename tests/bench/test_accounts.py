"""The accounts of the chaos bench: right when all is right, and each kind of fault is found and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from wms.bench.accounts import Book, Moved, Saved, Told, check
from wms.bench.link import Heard


@dataclass
class Run:
    """A small run that went well: a tote, three picks (one by a replay), one refusal, one undo, a probe."""

    told: list[Told]
    probes: list[Told]
    heard: list[Heard]
    book: Book

    def faults(self) -> list[str]:
        return check(self.told, self.probes, self.heard, self.book)


def told(scan_id: str, kind: str, reason: str = "", pieces: int = 0, status: int = 200) -> Told:
    return Told(
        scan_id,
        "phone-1",
        kind,
        "7",
        f"content of {scan_id}",
        1,
        status,
        f"<p>{scan_id}</p>",
        "",
        False,
        reason,
        pieces,
    )


@pytest.fixture
def run() -> Run:
    scans = [
        told("tote", "tote"),
        told("one", "item", "pick", 1),
        told("two", "rest", "pick", 2),
        told("bad", "wrong", status=422),
        told("back", "undo", "undo", 2),
    ]
    scans[1].replay, scans[1].tries = True, 2
    probe = replace(scans[1], kind="item again", content="other", status=422, replay=False)
    probe.text = "<p>This scan was already sent with another content. Scan again.</p>"
    heard = [Heard(s.scan_id, s.content, s.status, s.text, s.go, False) for s in scans]
    heard.append(replace(heard[1], replay=True))
    heard.append(Heard("one", "other", 422, probe.text, "", False))
    book = Book(
        {s.scan_id: Saved(s.status, s.text, s.go, s.device) for s in scans},
        [
            Moved("one", "phone-1", "7", "pick", 1),
            Moved("two", "phone-1", "7", "pick", 1),  # one scan may take from two promises
            Moved("two", "phone-1", "7", "pick", 1),
            Moved("back", "phone-1", "7", "undo", 2),
        ],
        {"tote"},
    )
    return Run(scans, [probe], heard, book)


def test_a_run_that_went_well_has_no_fault(run: Run) -> None:
    assert run.faults() == []


def unanswered(run: Run) -> None:
    run.told[1].status = 0


def not_kept(run: Run) -> None:
    del run.book.saved["two"]


def kept_with_another_status(run: Run) -> None:
    run.book.saved["bad"] = replace(run.book.saved["bad"], status=200)


def kept_in_other_words(run: Run) -> None:
    run.book.saved["one"] = replace(run.book.saved["one"], text="<p>another</p>")


def kept_with_another_way_on(run: Run) -> None:
    run.book.saved["one"] = replace(run.book.saved["one"], go="/home")


def kept_for_another_device(run: Run) -> None:
    run.book.saved["one"] = replace(run.book.saved["one"], device="phone-2")


def kept_though_nobody_made_it(run: Run) -> None:
    run.book.saved["ghost"] = run.book.saved["one"]


def counted_twice(run: Run) -> None:
    run.book.moves.append(run.book.moves[0])


def lost(run: Run) -> None:
    del run.book.moves[0]


def one_piece_of_two(run: Run) -> None:
    del run.book.moves[2]


def moved_by_a_refused_scan(run: Run) -> None:
    run.book.moves.append(Moved("bad", "phone-1", "7", "pick", 1))


def moved_by_nobodys_scan(run: Run) -> None:
    run.book.moves.append(Moved("ghost", "phone-1", "7", "pick", 1))


def moved_for_another_reason(run: Run) -> None:
    run.book.moves[0] = replace(run.book.moves[0], reason="relocate")


def booked_on_another_device(run: Run) -> None:
    run.book.moves[0] = replace(run.book.moves[0], device="phone-2")


def booked_on_another_order(run: Run) -> None:
    run.book.moves[0] = replace(run.book.moves[0], task="8")


def journalled_by_nobodys_scan(run: Run) -> None:
    run.book.journal.add("ghost")


def copies_answered_differently(run: Run) -> None:
    run.heard[5] = replace(run.heard[5], text="<p>two pieces</p>")


def done_twice_without_a_mark(run: Run) -> None:
    run.heard[5] = replace(run.heard[5], replay=False)


def heard_from_nobody(run: Run) -> None:
    run.heard.append(replace(run.heard[0], scan_id="ghost"))


def another_content_taken(run: Run) -> None:
    run.probes[0].status = 200


def another_content_replayed(run: Run) -> None:
    run.heard[6] = replace(run.heard[6], status=200, replay=True)


def the_same_id_made_twice(run: Run) -> None:
    run.told.append(run.told[0])


@pytest.mark.parametrize(
    ("tamper", "named", "words"),
    [
        (unanswered, "one", "no answer after 2 tries"),
        (not_kept, "two", "the server kept nothing"),
        (kept_with_another_status, "bad", "status on the device is '422', kept is '200'"),
        (kept_in_other_words, "one", "text on the device"),
        (kept_with_another_way_on, "one", "X-Go on the device is '', kept is '/home'"),
        (kept_for_another_device, "one", "kept as a scan of device phone-2"),
        (kept_though_nobody_made_it, "ghost", "no device made it"),
        (counted_twice, "one", "its answer says {'pick': 1} moved, the ledger {'pick': 2}"),
        (lost, "one", "its answer says {'pick': 1} moved, the ledger {}"),
        (one_piece_of_two, "two", "its answer says {'pick': 2} moved, the ledger {'pick': 1}"),
        (moved_by_a_refused_scan, "bad", "its answer says nothing moved, the ledger {'pick': 1}"),
        (moved_by_nobodys_scan, "ghost", "moved 1 pieces (pick), no device made it"),
        (moved_for_another_reason, "one", "the ledger {'relocate': 1}"),
        (booked_on_another_device, "device phone-2", "0 pieces confirmed, 1 in the ledger"),
        (booked_on_another_order, "task 8", "0 pieces confirmed, 1 in the ledger"),
        (journalled_by_nobodys_scan, "ghost", "stands in the journal, no device made it"),
        (copies_answered_differently, "one", "one copy was answered 200, another 200, or in other words"),
        (done_twice_without_a_mark, "one", "2 copies were answered without Idempotent-Replay"),
        (heard_from_nobody, "ghost", "went over the link, no device made it"),
        (another_content_taken, "one", "the same id with another content was answered 200, not 422"),
        (another_content_replayed, "one", "a copy with another content was answered 200, not 422"),
        (the_same_id_made_twice, "tote", "was made twice"),
    ],
)
def test_a_tampered_book_is_found_and_names_the_scan(
    run: Run, tamper: Callable[[Run], None], named: str, words: str
) -> None:
    tamper(run)
    assert any(named in fault and words in fault for fault in run.faults()), run.faults()


def test_several_faults_are_all_told(run: Run) -> None:
    lost(run)
    not_kept(run)
    another_content_taken(run)
    faults = "\n".join(run.faults())
    assert "scan one" in faults
    assert "scan two" in faults
    assert "not 422" in faults
