"""`run.py agent`: stands beside a USB printer (or in another network) and prints what the server has for it.

It needs no database and no open port; docs/agent.md says how to set it up.
"""

from __future__ import annotations

import argparse
import logging
import signal
import ssl
import sys
import time
from pathlib import Path
from types import FrameType

from wms.commands._say import say, words
from wms.settings import Settings

help = "print for the server on this machine: a USB printer's queue, or printers of this network"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", help="the service, https://192.168.1.10:8443 (WMS_AGENT_SERVER)")
    parser.add_argument("--token", help="the agent's token from the desk; better in WMS_AGENT_TOKEN")
    parser.add_argument("--ca", help="file with the root certificate of the server (WMS_AGENT_CA)")
    parser.add_argument("--ca-sha256", help="the root's SHA-256; it is then fetched itself (WMS_AGENT_CA_SHA256)")
    parser.add_argument("--queues", action="store_true", help="list the queues of this machine and stop")


def run(args: argparse.Namespace, settings: Settings) -> int:
    from wms.jobs import station_agent

    if args.queues:
        return _list_queues()
    address, token = args.server or settings.agent_server, args.token or settings.agent_token
    if not address or not token:
        say(
            "Say --server and --token, or set WMS_AGENT_SERVER and WMS_AGENT_TOKEN; the desk makes them, at printing.",
            "请指定 --server 和 --token，或设置 WMS_AGENT_SERVER、WMS_AGENT_TOKEN。可在管理台“打印”页生成。",
        )
        return 2
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    folder = settings.home / "agent"
    try:
        journal = station_agent.Journal(folder / "journal.jsonl")
        believed = _trusted(address, args.ca or settings.agent_ca, args.ca_sha256 or settings.agent_ca_sha256, folder)
    except station_agent.BadServer as error:
        print(words(f"Cannot start: {error}.", f"无法启动：{error.chinese}。"), file=sys.stderr)
        return 2
    server = station_agent.Server(address, token, believed)
    agent = station_agent.Agent(server, journal, settings.printer_networks, say)

    def leave(_number: int, _frame: FrameType | None) -> None:
        agent.stop()  # what is being printed is finished and written down first

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    try:
        agent.run()
    finally:
        server.close()
        journal.close()
    say("Stopped.", "已停止。")
    return 0


def _trusted(address: str, ca: str, ca_sha256: str, folder: Path) -> ssl.SSLContext | bool:
    """The roots to believe; waits for a server that is not up yet."""
    from wms.jobs import station_agent

    said = False
    while True:
        try:
            return station_agent.trust(address, ca, ca_sha256, folder)
        except station_agent.Unreachable as error:
            if not said:
                said = True
                say(f"{address} does not answer ({error}). Waiting.", f"{address} 无应答（{error}），等待中。")
            time.sleep(5)


def _list_queues() -> int:
    from wms.jobs import station_agent

    found = station_agent.local_queues()
    for queue in found:
        print(f"{queue['name']}    {queue['address']}    {queue['state'] or words('ready', '就绪')}")
    if not found:
        say(
            "No queue here. On Linux: apt-get install cups cups-bsd, then lpadmin -p NAME -E -v URI.",
            "本机没有打印队列。Linux：apt-get install cups cups-bsd，然后 lpadmin -p 名称 -E -v 地址。",
        )
    return 0 if found else 1
