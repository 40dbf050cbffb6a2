"""`run.py nightly`: catch up, push what is outstanding, read back, prove the books, print the statement (R37, R46)."""

from __future__ import annotations

import argparse
import sys

from wms.commands._say import say, words
from wms.settings import Settings

help = "catch up with every shop, push what is outstanding, read back what they have, prove the books, print it all"

COLUMNS = ("shipped", "acknowledged", "pending", "sending", "retry", "conflict", "dead")
VERDICTS = ("alike", "different", "unknown", "waiting")
STEPS = {
    "pull": ("reading the shops", "拉取各店铺订单"),
    "push": ("telling what was shipped", "回传发货"),
    "stock": ("telling what may be sold", "同步库存"),
    "read_back": ("reading back", "回读核对"),
    "books": ("proving the books", "核对账目"),
    "tidy": ("tidying", "清理"),
    "tell": ("sending the statement", "发送结果"),
    "wait": ("waiting for a lease until", "等待占用释放"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-tidy", action="store_true", help="keep old scan answers and empty balances")


def run(args: argparse.Namespace, settings: Settings) -> int:
    from wms.db import open_database
    from wms.jobs import night, sync

    database = open_database(settings)
    try:
        total = sync.outstanding(database)
        say(f"outstanding: {total}", f"待回传：{total}")
        try:
            nights = night.run(database, settings, tidy=not args.no_tidy, say=show)
        except night.BusyElsewhere as busy:
            print(busy, file=sys.stderr)
            return 1
        right = True
        for done in nights:
            for line in done.push_lines:
                print(f"  {line}")
            for line in done.unread:
                print(f"  {line}")
            told = ", ".join(f"{state} {n}" for state, n in sorted(done.pushed.items()))
            say(f"pushed: {told or 'nothing'}", f"已回传：{told or '无'}")
            right = right and done.run.right
        print(f"{'shop':<16}" + "".join(f"{c:>14}" for c in COLUMNS))
        for shop, counts in sync.reconcile(database):
            print(f"{shop:<16}" + "".join(f"{counts.get(c, 0):>14}" for c in COLUMNS))
        for done in nights:
            read_back = ", ".join(f"{one} {done.verdicts.get(one, 0)}" for one in VERDICTS if done.verdicts.get(one))
            say(f"read back: {read_back or 'nothing'}", f"回读核对：{read_back or '无'}")
            for rule, text in done.faults:
                print(f"{rule}  {text}")
            if done.faults:
                say(f"the books have {len(done.faults)} faults", f"账目有 {len(done.faults)} 处不符")
            else:
                say("the books are right", "账目正确")
            if not args.no_tidy:
                print("tidied: " + ", ".join(f"{what} {n}" for what, n in done.tidied.items()))
        if not right:
            say("look at /desk/night: it says what needs a person", "请看 /desk/night：列出了需要人工处理的内容")
        return 0 if right else 1
    finally:
        database.close()


def show(step: str, what: str, done: int, of: int) -> None:
    """Progress on the console: each step as it begins, then every fiftieth of what it does."""
    english, chinese = STEPS[step]
    if not done and not of:
        print(f"  {words(english, chinese)} {what}".rstrip(), file=sys.stderr, flush=True)
    elif step == "pull" or done % 50 == 0:
        print(f"  {words(english, chinese)} {what} {done} / {of or '?'}", file=sys.stderr, flush=True)
