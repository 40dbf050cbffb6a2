// What WeChat shop's print component understands and says: one answer to each command, and no way to ask again later.
// https://developers.weixin.qq.com/doc/store/API/ewaybill/print_order.html and …/get_printer_list.html
"use strict";

(() => {
  wms.station.dialects.wechat = {
    requestOf: (message) => String(message.requestID ?? message.requestId ?? ""), // one published client reads requestId
    isAnswer: () => true,
    printers: (requestID) => JSON.stringify({ command: "getPrinterList", requestID }),
    printersIn: (message) => (message.printerList || []).flatMap(({ name, displayName }) => [name, displayName]),

    print: (requestID, task, printer) => JSON.stringify({
      command: "print",
      version: "2.0",
      requestID,
      printer,
      taskList: [{ taskID: task.id, printInfo: task.document, printNum: { curNum: 1, sumNum: 1 } }],
    }),

    printed(message, task) {
      const one = (message.results || []).find(({ taskID }) => String(taskID) === task.id);
      if (!one) return { task: task.id, state: "pending", words: "" };
      return { task: task.id, state: one.success ? "printed" : "failed", words: one.failureReason || "" };
    },

    status: null,
    statusIn: null,

    // An answer that comes after we stopped waiting for it.
    heard(message) {
      const one = message.command === "print" && (message.results || [])[0];
      return one ? { task: String(one.taskID), state: one.success ? "printed" : "failed", words: one.failureReason || "" } : null;
    },
  };
})();
