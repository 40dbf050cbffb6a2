// What Cainiao's and Pinduoduo's print components understand and say. Sources and doubts: docs/platform-waybills.md.
"use strict";

(() => {
  const VERSION = "1.0";
  const NOTICES = new Set(["notifyPrintResult", "PrintResultNotify", "notifyDocResult", "notifyTaskResult"]);
  const question = (cmd, requestID, more = {}) => JSON.stringify({ cmd, requestID, version: VERSION, ...more });

  // The platform's text goes in as it came: parsed and written anew, a number longer than 53 bits would change.
  function print(requestID, task, printer) {
    const mark = `@${requestID}@`;
    const documents = [{ documentID: task.number, contents: mark }];
    const whole = question("print", requestID, { task: { taskID: task.id, preview: false, printer, documents } });
    const sealed = task.document.trim();
    return whole.replace(`"${mark}"`, () => (sealed.startsWith("[") ? sealed : `[${sealed}]`));
  }

  const words = (...said) => said.find((each) => typeof each === "string" && each.trim()) || "";

  // One document a task, so its document decides; the task's own word does when none is named.
  function ofDocuments(task, documents, taskStatus, message) {
    const one = Array.isArray(documents) ? documents[0] : null;
    const said = words(one?.msg, one?.detail, message.msg);
    const status = one?.status || { printed: "success", failed: "failed" }[taskStatus] || "";
    if (status === "failed" || status === "canceled" || taskStatus === "failed") return { task, state: "failed", words: said };
    if (status === "success") return { task, state: "printed", words: "" };
    return { task, state: "pending", words: said };
  }

  function ofNotice(message) {
    if (message.cmd === "notifyTaskResult") return null; // taken in, no more
    if (message.cmd === "notifyDocResult") {
      const task = String(message.taskId ?? message.taskID ?? "");
      if (Number(message.code) !== 0) return { task, state: "failed", words: words(message.detail, message.msg) };
      return { task, state: message.status === "printed" ? "printed" : "pending", words: "" };
    }
    const task = String(message.taskID ?? "");
    if (message.taskStatus === "rendered") return { task, state: "pending", words: "" };
    return ofDocuments(task, message.printStatus, message.taskStatus, message);
  }

  const dialect = {
    requestOf: (message) => String(message.requestID ?? ""),
    isAnswer: (message) => !NOTICES.has(message.cmd), // a notice may carry the print request's id
    printers: (requestID) => question("getPrinters", requestID),
    printersIn: (message) => (message.printers || []).map(({ name }) => name),
    print,

    // Taken in is not printed: a notice follows.
    printed(message, task) {
      if (message.status === "failed") return { task: task.id, state: "failed", words: words(message.msg) };
      return { task: task.id, state: "pending", words: "" };
    },

    status: (requestID, id) => question("getTaskStatus", requestID, { taskID: [id] }),

    statusIn(message, id) {
      const found = (message.printStatus || []).find((each) => String(each.taskID) === id);
      return found ? ofDocuments(id, found.detailStatus, found.taskStatus, message) : { task: id, state: "unknown", words: "" };
    },

    heard: (message) => (NOTICES.has(message.cmd) ? ofNotice(message) : null),
  };

  // Pinduoduo: the same shapes; its notice is called PrintResultNotify and carries no request id.
  wms.station.dialects = { cainiao: dialect, pinduoduo: dialect };
})();
