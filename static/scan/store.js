// What must outlive a reload and an empty battery: IndexedDB, and memory where a browser refuses it.
"use strict";

(() => {
  const NAME = "wms";
  const VERSION = 1;
  const ROOMS = ["outbox", "aside", "carried", "cards"];

  let opening = null;

  function open() {
    opening ||= new Promise((resolve) => {
      let request;
      try {
        request = indexedDB.open(NAME, VERSION);
      } catch {
        resolve(null); // storage is off on this device: what memory holds is all there is
        return;
      }
      request.onupgradeneeded = () => {
        for (const room of ROOMS) request.result.createObjectStore(room, { keyPath: "key" });
      };
      request.onsuccess = () => {
        const db = request.result;
        db.onversionchange = () => db.close(); // a newer version of the service opens it in another tab
        resolve(db);
      };
      request.onerror = request.onblocked = () => resolve(null);
    });
    return opening;
  }

  // All of it or nothing. True when it is on the disk, false when there is none.
  async function write(changes) {
    const db = await open();
    if (!db) return false;
    try {
      return await new Promise((resolve, reject) => {
        // strict: "it waits on the phone" must be true after a power cut as well.
        const transaction = db.transaction([...new Set(changes.map(({ room }) => room))], "readwrite", { durability: "strict" });
        for (const { room, value, key } of changes) {
          if (value === undefined) transaction.objectStore(room).delete(key);
          else transaction.objectStore(room).put(value);
        }
        transaction.oncomplete = () => resolve(true);
        transaction.onerror = transaction.onabort = () => reject(transaction.error);
      });
    } catch {
      return false; // full or forbidden: it still goes out from memory, only a reload would lose it
    }
  }

  // Everything in a room whose key begins so, in the order of keys.
  async function list(room, prefix) {
    const db = await open();
    if (!db) return [];
    try {
      return await new Promise((resolve, reject) => {
        const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
        const request = db.transaction(room).objectStore(room).getAll(range);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    } catch {
      return [];
    }
  }

  wms.store = {
    list,
    write,
    put: (room, value) => write([{ room, value }]),
    remove: (room, key) => write([{ room, key }]),
  };
})();
