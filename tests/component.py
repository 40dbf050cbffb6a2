"""A platform's print component as a real WebSocket server: it enforces its protocol and counts the labels on paper.

Shapes are those that published clients of the real programs send and read (docs/platform-waybills.md); what no source
tells, such as the answer to a task id sent twice, is this file's guess and is kept out of what the tests rely on:
whoever sends one gets no label and a breach on record.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any, Literal

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

Mode = Literal["ok", "paper_out", "refuses", "silent", "prints_silently", "dies", "slow", "twice"]
SLOW_S = 1.2
PAPER_OUT = "打印机缺纸"


class FakeComponent:
    """One component of one PC. ``labels`` is the paper: what came out, in order. ``breaches`` must stay empty."""

    def __init__(self, provider: str, printer: str = "KM-202 (NEW)") -> None:
        self.provider, self.printer = provider, printer
        self.mode: Mode = "ok"
        self.labels: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self.breaches: list[str] = []
        self.tasks: dict[str, str] = {}
        self.commands: list[str] = []
        self._changed = threading.Condition()
        self._server: Server | None = None
        self._connections: set[ServerConnection] = set()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def address(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> FakeComponent:
        self._server = serve(self._attend, "127.0.0.1", self.port)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        """As if its program were ended: every line is cut."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
        for connection in list(self._connections):
            connection.socket.close()

    def wait_for(self, what: Any, within_s: float = 15.0) -> bool:
        """Until a condition on this component holds."""
        with self._changed:
            return bool(self._changed.wait_for(what, within_s))

    def wait_for_labels(self, count: int, within_s: float = 15.0) -> bool:
        return self.wait_for(lambda: len(self.labels) >= count, within_s)

    def _attend(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        try:
            for text in connection:
                assert isinstance(text, str)
                self._answer(connection, text)
        except (ConnectionClosed, OSError):
            pass
        finally:
            self._connections.discard(connection)

    def _answer(self, connection: ServerConnection, text: str) -> None:
        said = json.loads(text)
        with self._changed:
            self.commands.append(str(said.get("command" if self.provider == "wechat" else "cmd")))
            self._changed.notify_all()
        if self.provider == "wechat":
            self._wechat(connection, said)
        else:
            self._cainiao(connection, said, text)

    def _breach(self, words: str) -> str:
        with self._changed:
            self.breaches.append(words)
            self._changed.notify_all()
        return words

    def _comes_out(self, task: str, label: dict[str, Any], raw: str) -> None:
        with self._changed:
            self.labels.append(label)
            self.raw.append(raw)
            self.tasks[task] = "success"
            self._changed.notify_all()

    # Cainiao and Pinduoduo

    def _cainiao(self, connection: ServerConnection, said: dict[str, Any], text: str) -> None:
        head = {"cmd": said.get("cmd"), "requestID": said.get("requestID")}

        def send(**more: Any) -> None:
            connection.send(json.dumps({**head, **more}, ensure_ascii=False))

        if not isinstance(said.get("requestID"), str) or not said["requestID"] or said.get("version") != "1.0":
            send(status="failed", msg=self._breach(f"no requestID or version: {text[:80]}"))
        elif said["cmd"] == "getPrinters":
            send(defaultPrinter="Fax", printers=[{"name": "Fax"}, {"name": self.printer}])
        elif said["cmd"] == "getTaskStatus":
            asked = said["taskID"]
            if not isinstance(asked, list):
                send(status="failed", msg=self._breach("taskID is a list"))
                return
            known = [(task, self.tasks[task]) for task in asked if task in self.tasks]
            send(
                printStatus=[
                    {"taskID": task, "detailStatus": [{"documentID": "1", "status": status, "printer": self.printer}]}
                    for task, status in known
                ]
            )
        elif said["cmd"] == "print":
            self._print(connection, send, said["task"], text)
        else:
            send(status="failed", msg=self._breach(f"unknown cmd {said.get('cmd')}"))

    def _print(self, connection: ServerConnection, send: Any, task: dict[str, Any], text: str) -> None:
        documents, task_id = task.get("documents") or [], str(task.get("taskID") or "")
        if len(documents) != 1 or not task_id or task.get("preview") is not False:
            send(status="failed", msg=self._breach(f"{len(documents)} documents in task {task_id}"))
            return
        if task_id in self.tasks:
            send(taskID=task_id, status="failed", msg=self._breach(f"task {task_id} came twice"))
            return
        document = documents[0]
        contents = document.get("contents")
        sealed = isinstance(contents, list) and all(each.get("encryptedData") or each.get("data") for each in contents)
        if not document.get("documentID") or not sealed:
            send(status="failed", msg=self._breach("a document has documentID and contents"))
            return
        if self.mode == "refuses" or task.get("printer") != self.printer:
            send(taskID=task_id, status="failed", msg="无效的打印机")
            return
        with self._changed:
            self.tasks[task_id] = "pending"
        send(taskID=task_id, status="success")
        if self.mode == "silent":
            return
        if self.mode == "slow":
            time.sleep(SLOW_S)
        if self.provider == "cainiao":
            self._notify(connection, task_id, document, "rendered", "success")
        if self.mode == "paper_out":
            with self._changed:
                self.tasks[task_id] = "failed"
            self._notify(connection, task_id, document, "failed", "failed", PAPER_OUT)
            return
        self._comes_out(task_id, document, text)
        if self.mode == "dies":
            self.tasks.clear()
            threading.Thread(target=self.stop, daemon=True).start()
            return
        for _ in range({"prints_silently": 0, "twice": 2}.get(self.mode, 1)):
            self._notify(connection, task_id, document, "printed", "success")

    def _notify(
        self,
        connection: ServerConnection,
        task: str,
        document: dict[str, Any],
        task_status: str,
        status: str,
        words: str = "",
    ) -> None:
        said = {
            "cmd": "notifyPrintResult" if self.provider == "cainiao" else "PrintResultNotify",
            "printer": self.printer,
            "taskID": task,
            "taskStatus": task_status,
            "printStatus": [
                {"documentID": document["documentID"], "status": status, "msg": words, "detail": words or "ok"}
            ],
        }
        if self.provider == "cainiao":
            said["requestID"] = "not the request's own"
        try:
            connection.send(json.dumps(said, ensure_ascii=False))
        except ConnectionClosed:
            pass  # the page is gone; the paper comes all the same

    # WeChat

    def _wechat(self, connection: ServerConnection, said: dict[str, Any]) -> None:
        head = {"command": said.get("command"), "requestID": said.get("requestID")}

        def send(**more: Any) -> None:
            connection.send(json.dumps({**head, **more}, ensure_ascii=False))

        if not isinstance(said.get("requestID"), str) or not said["requestID"]:
            self._breach("no requestID")
        elif said["command"] == "getPrinterList":
            send(printerList=[{"name": self.printer, "displayName": self.printer, "status": 3}])
        elif said["command"] == "print":
            tasks = said.get("taskList") or []
            counted = [task for task in tasks if task.get("printNum") == {"curNum": 1, "sumNum": 1}]
            if said.get("version") != "2.0" or len(tasks) != 1 or counted != tasks:
                self._breach(f"version {said.get('version')}, {len(tasks)} tasks")
                return
            self._wechat_print(said, tasks[0], send)
        else:
            self._breach(f"unknown command {said.get('command')}")

    def _wechat_print(self, said: dict[str, Any], task: dict[str, Any], send: Any) -> None:
        task_id = str(task.get("taskID") or "")

        def end(success: bool, words: str = "") -> None:
            send(results=[{"taskID": task_id, "success": success, "failureReason": words}])

        if task_id in self.tasks or not task.get("printInfo"):
            end(False, self._breach(f"task {task_id} came twice, or empty"))
        elif self.mode == "refuses" or said.get("printer") != self.printer:
            end(False, "无效的打印机")
        elif self.mode == "paper_out":
            self.tasks[task_id] = "failed"
            end(False, PAPER_OUT)
        elif self.mode == "silent":
            self.tasks[task_id] = "pending"
        else:
            if self.mode == "slow":
                time.sleep(SLOW_S)
            self._comes_out(task_id, task, str(task["printInfo"]))
            if self.mode == "dies":
                self.tasks.clear()
                threading.Thread(target=self.stop, daemon=True).start()
                return
            for _ in range({"prints_silently": 0, "twice": 2}.get(self.mode, 1)):
                end(True)
