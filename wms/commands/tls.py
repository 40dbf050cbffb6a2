"""`run.py tls`: make or renew the certificates, show the root's fingerprint and how long it holds."""

from __future__ import annotations

import argparse
import sys

from wms import tls
from wms.commands._say import say, words
from wms.settings import Settings

help = "make or renew the HTTPS certificates; show the root's fingerprint and expiry"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--renew", action="store_true", help="a new root: every phone must install it anew")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, settings: Settings) -> int:
    front = tls.front(settings)
    if front.caddy is None:
        say(f"No HTTPS here: {front.reason}", f"这里没有 HTTPS：{front.reason}")
        return 1
    if args.renew and tls.root(settings):
        if not args.yes and not _agreed():
            return 1
        tls.forget_root(settings)
    try:
        tls.write(settings, front.caddy, front.hosts)
    except tls.TlsError as error:
        print(error, file=sys.stderr)
        return 1
    root = tls.root(settings)
    if root is None:
        say("Caddy made no root certificate.", "Caddy 没有生成根证书。")
        return 1
    days = root.days_left()
    say(f"Root certificate   {root.path}", f"根证书       {root.path}")
    say(f"SHA-256            {root.fingerprint}", f"SHA-256 指纹 {root.fingerprint}")
    say(
        f"Holds until        {root.expires:%Y-%m-%d} ({days} days)",
        f"有效期至     {root.expires:%Y-%m-%d}（{days} 天）",
    )
    say(f"For                {', '.join(front.hosts)}", f"适用于       {', '.join(front.hosts)}")
    say(
        "The certificates under it renew themselves while `serve` runs.",
        "其下的证书在 serve 运行时自动续期。",
    )
    if days < tls.WARN_DAYS:
        say(
            "Renew it soon: run.py tls --renew, then /setup on every phone.",
            "请尽快更新：run.py tls --renew，然后每部手机重新打开 /setup。",
        )
    return 0


def _agreed() -> bool:
    if not sys.stdin.isatty():
        say("Say --yes: every phone must install the new root.", "请加 --yes：每部手机都要重新安装根证书。")
        return False
    question = words(
        "Every phone must install the new root. Go on? [y/N] ", "每部手机都要重新安装根证书，继续吗？[y/N] "
    )
    return input(question).strip().lower() in ("y", "yes", "是")
