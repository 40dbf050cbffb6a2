// One call by a foreign Taobao client: a question in JSON on stdin, the answer or the refusal on stdout.
import client from 'node-taobao-topclient';

let text = '';
for await (const part of process.stdin) text += part;
const { url, appkey, appsecret, method, params } = JSON.parse(text);
const TopClient = client.default ?? client;
try {
  const answer = await new TopClient({ appkey, appsecret, REST_URL: url }).execute(method, params);
  console.log(JSON.stringify({ answer }));
} catch (refused) {
  console.log(JSON.stringify({ refused: refused?.data?.error_response ?? String(refused) }));
}
