// Draws labels for the tests: one JSON question a line in, one JSON answer a line out.
import { createInterface } from "node:readline";

// An uncaught error would print a line of nine million characters.
process.on("uncaughtException", (error) => {
  process.stderr.write(`${String(error?.message ?? error).slice(0, 300)}\n`);
  process.exit(1);
});

const { ready } = await import("zpl-renderer-js");
const { api } = await ready;

for await (const line of createInterface({ input: process.stdin })) {
  const { zpl, widthMm, heightMm, dpmm } = JSON.parse(line);
  let answer;
  try {
    answer = { pictures: await api.zplToBase64MultipleAsync(zpl, widthMm, heightMm, dpmm) };
  } catch (error) {
    answer = { error: String(error?.message ?? error).slice(0, 300) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
