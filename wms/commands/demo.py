"""`run.py demo`: a demonstration warehouse beside the real one, its badges printed, then served."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

from wms import tls
from wms.commands import serve
from wms.commands._say import qr, say
from wms.settings import ROOT, Settings

help = "start with a demonstration warehouse: goods, orders, people and their badges"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-qr", action="store_true", help="print addresses and badges without QR codes")
    parser.add_argument(
        "--prepare-only", action="store_true", help="make the warehouse, print the badges, do not serve"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    settings = apart(settings)
    from wms import db, demo

    say(f"The demonstration warehouse is kept in {settings.home}", f"演示仓库的数据保存在 {settings.home}")
    db.migrate(settings)
    badges = demo.prepare(settings)

    def show_badges(where: Settings) -> None:
        print()
        for badge in badges:
            print(f"  {badge.name} · {badge.role}    {badge.badge_code}    PIN {badge.pin}")
            if not args.no_qr:
                print(qr(badge.badge_code))
        front = tls.front(where)
        page = (tls.https_address(where) if front.caddy else tls.http_address(where)) + "badges"
        say(f"Scan a badge to sign in. To print them: {page}", f"扫描工牌即可登录。打印工牌：{page}")

    if args.prepare_only:
        show_badges(settings)
        return 0
    return serve.serve(settings, migrate=False, with_qr=not args.no_qr, welcome=show_badges)


def apart(settings: Settings) -> Settings:
    """Settings of a home of its own, unless one was named: trial goods must never mix with real ones."""
    if "WMS_DATABASE_URL" in os.environ or settings.home != ROOT / "var":
        return settings
    home = settings.home / "demo"
    os.environ["WMS_HOME"] = str(home)  # for the worker, too
    return replace(settings, home=home, database_url=f"sqlite:///{home / 'wms.db'}")
