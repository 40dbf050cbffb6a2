"""`run.py serve`: the web server in this process, the worker and the TLS front beside it."""

from __future__ import annotations

import argparse
import gc
import http.client
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from wms import lan, tls
from wms.commands._children import Child, Supervisor
from wms.commands._say import qr, say, words
from wms.settings import Settings

if TYPE_CHECKING:
    from wms.flows.people import Badge

help = "start the web server, the worker (printing, night jobs) and HTTPS for phones"

CONNECTIONS = 1000  # waitress stops at 100 open sockets by default, which sleeping phones fill
LOOK_AT_NETWORK_S = 30
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-worker", action="store_true", help="web only; workers run elsewhere (run.py worker)")
    parser.add_argument("--no-migrate", action="store_true", help="leave the tables as they are")
    parser.add_argument("--no-qr", action="store_true", help="print addresses without their QR codes")


def run(args: argparse.Namespace, settings: Settings) -> int:
    return serve(settings, worker=not args.no_worker, migrate=not args.no_migrate, with_qr=not args.no_qr)


def serve(
    settings: Settings,
    *,
    worker: bool = True,
    migrate: bool = True,
    with_qr: bool = True,
    welcome: Callable[[Settings], None] | None = None,
) -> int:
    """Serve until asked to stop (Ctrl-C, SIGTERM); 0 when it was asked, 1 when it could not start.

    `welcome` is called once, when everything answers.
    """
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _leave)
    front = tls.front(settings)
    busy = _busy_ports(settings, front)
    if busy:
        for sentence in busy:
            print(sentence, file=sys.stderr)
        return 1
    if front.caddy:
        settings = replace(settings, behind_tls=True)
    if migrate:
        from wms import db, first_start

        db.migrate(settings)
        if admin := first_start.prepare(settings):
            welcome = partial(_first_badge, admin)
    _raise_file_limit()
    all_cpus = hold_on_one_core()
    return _run(settings, front, all_cpus, worker, with_qr, welcome)


def _run(
    settings: Settings,
    front: tls.Front,
    all_cpus: list[int],
    worker: bool,
    with_qr: bool,
    welcome: Callable[[Settings], None] | None,
) -> int:
    from waitress.server import create_server

    import wms

    app = wms.create_app(settings)
    # What is alive now lives as long as the service: the collector need not walk it at every scan.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    server = create_server(app, **waitress_options(settings, behind_caddy=bool(front.caddy)))
    children = []
    if worker:
        children.append(Child("worker", [sys.executable, "-m", "wms.commands", "worker"], _child_environment(settings)))
    if front.caddy:
        try:
            path = tls.write(settings, front.caddy, front.hosts)
        except tls.TlsError as error:
            server.close()
            print(words(f"Caddy refuses its settings: {error}", f"Caddy 不接受配置：{error}"), file=sys.stderr)
            return 1
        children.append(
            Child(
                "caddy",
                tls.command(front.caddy, path),
                tls.environment(settings),
                output=tls.folder(settings) / "start.log",
                ready=lambda: _answers("127.0.0.1", settings.inner_port),
            )
        )
    supervisor = Supervisor(children, all_cpus, _tell_of_fall)
    ended = threading.Event()
    herald = threading.Thread(
        target=_herald,
        args=(settings, front, supervisor, ended, with_qr, welcome),
        name="herald",
        daemon=True,
    )
    try:
        supervisor.start()
        herald.start()
        server.run()  # returns on KeyboardInterrupt and SystemExit, its threads at rest
    except (KeyboardInterrupt, SystemExit):
        pass
    finally:
        for name in ("SIGTERM", "SIGHUP", "SIGINT"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)  # one request to stop is enough
        ended.set()
        supervisor.stop()
        server.close()
    say("Stopped.", "已停止。")
    return 0


def _first_badge(admin: Badge, _settings: Settings) -> None:
    """The empty database has one admin now; the badge's code is shown this once and kept nowhere."""
    print(f"\n  {admin.name}    {admin.code}    PIN {admin.pin}")
    print(qr(admin.code))
    say(
        "This is the first admin's badge. Print it or write it down: it is not shown again.",
        "这是第一位管理员的工牌。请打印或记下：以后不再显示。",
    )


def waitress_options(settings: Settings, *, behind_caddy: bool) -> dict[str, Any]:
    """How waitress listens: on the inner port for Caddy alone, or openly on the http port without it."""
    options: dict[str, Any] = {
        "host": "127.0.0.1" if behind_caddy else settings.host,
        "port": settings.inner_port if behind_caddy else settings.http_port,
        "threads": settings.threads,
        "connection_limit": CONNECTIONS,
        "channel_timeout": 30,
        "asyncore_use_poll": True,  # select() knows no socket above number 1023
        "max_request_body_size": settings.upload_bytes + 1024 * 1024,
        "ident": None,
    }
    if behind_caddy:
        options |= {
            "trusted_proxy": "127.0.0.1",
            "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"},
            "clear_untrusted_proxy_headers": True,
        }
    return options


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _busy_ports(settings: Settings, front: tls.Front) -> list[str]:
    wanted = {"WMS_HTTP_PORT": (settings.host, settings.http_port)}
    if front.caddy:
        wanted |= {
            "WMS_HTTPS_PORT": (settings.host, settings.https_port),
            "WMS_INNER_PORT": ("127.0.0.1", settings.inner_port),
        }
    return [
        words(
            f"Port {port} cannot be opened (taken, or not allowed). Stop what uses it, or set {name}.",
            f"端口 {port} 无法打开（被占用或无权限）。请停掉占用它的程序，或设置 {name}。",
        )
        for name, (host, port) in wanted.items()
        if not lan.port_is_free(host, port)
    ]


def hold_on_one_core() -> list[int]:
    """Hold this process on one core; returns the cores it might use otherwise, for its children.

    sqlite3 lets go of Python's lock at every statement, psycopg at every wait. With threads on two cores the
    handovers cost more than the work: 8 threads, 10 phones, 142 scans/s free against 501 held. Whoever needs
    more starts more processes, on PostgreSQL.
    """
    if not hasattr(os, "sched_getaffinity"):
        return []
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) > 1:
        # Before any thread is made: threads inherit it. The last core, as interrupts like the first.
        os.sched_setaffinity(0, {allowed[-1]})
    return allowed


def _raise_file_limit() -> None:
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * CONNECTIONS
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))


def _child_environment(settings: Settings) -> dict[str, str]:
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "WMS_HOME": str(settings.home)}


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


def _tell_of_fall(child: Child, code: int, pause_s: float) -> None:
    print(
        words(
            f"{child.name} ended (code {code}); starting it again in {pause_s:g} s.",
            f"{child.name} 已退出（代码 {code}），{pause_s:g} 秒后重新启动。",
        ),
        file=sys.stderr,
        flush=True,
    )
    if child.output and child.output.is_file():
        for line in child.output.read_text("utf-8", "replace").splitlines()[-3:]:
            print(f"  {line}", file=sys.stderr, flush=True)


def _herald(
    settings: Settings,
    front: tls.Front,
    supervisor: Supervisor,
    ended: threading.Event,
    with_qr: bool,
    welcome: Callable[[Settings], None] | None,
) -> None:
    """Say the addresses when they answer; later watch for a new one (a PC in a warehouse is on DHCP)."""
    near = "127.0.0.1" if settings.host in EVERYWHERE else settings.host
    web = ("127.0.0.1", settings.inner_port) if front.caddy else (near, settings.http_port)
    while not _answers(*web) or (front.caddy and not tls.answers(settings, "localhost")):
        if ended.wait(0.1):
            return
    announce(settings, front, with_qr)
    if welcome:
        welcome(settings)
    known = front.hosts
    while front.caddy and not ended.wait(LOOK_AT_NETWORK_S):
        now = tuple(tls.hosts(settings))
        if now != known:
            known = now
            try:
                tls.write(settings, front.caddy, now)
            except tls.TlsError as error:
                print(error, file=sys.stderr, flush=True)
                continue
            supervisor.restart("caddy")
            say("The address of this machine has changed.", "本机地址已改变。")
            announce(settings, replace(front, hosts=now), with_qr)


def announce(settings: Settings, front: tls.Front, with_qr: bool = True) -> None:
    """Print where to go: with Caddy the set-up page first, for it makes a phone trust the other address."""
    print()
    if front.caddy:
        first = tls.http_address(settings, path="/setup")
        say(f"Phones, once each:   {first}", f"每部手机先打开一次： {first}")
        say(
            f"Then, every day:     {tls.https_address(settings)}",
            f"以后每天使用：       {tls.https_address(settings)}",
        )
        others = [name for name in front.hosts[1:] if name not in ("127.0.0.1", "localhost")]
        if others:
            also = " ".join(tls.https_address(settings, name) for name in others)
            say(f"Also:                {also}", f"也可以用：           {also}")
    else:
        first = tls.http_address(settings)
        say(f"Open: {first}", f"打开：{first}")
        reason = words(
            front.reason,
            {
                tls.SWITCHED_OFF: "HTTPS 已由设置 WMS_TLS=off 关闭。",
                tls.NO_CADDY: "本机没有安装提供 HTTPS 的程序 Caddy。",
            }.get(front.reason, front.reason),
        )
        say(
            f"No HTTPS, so no live camera; scanners and photos work. {reason}",
            f"没有 HTTPS，手机不能用实时摄像头；扫码枪和拍照可用。{reason}",
        )
    if with_qr:
        print(qr(first), flush=True)
    say("Stop with Ctrl-C.", "按 Ctrl-C 停止。")
