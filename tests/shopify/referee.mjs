// Shopify's own library answers questions, one JSON line each: is this webhook genuine, what does this query give?
import { createInterface } from "node:readline";
import "@shopify/shopify-api/adapters/node";
import { ApiVersion, LogSeverity, shopifyApi } from "@shopify/shopify-api";
import { createAdminApiClient } from "@shopify/admin-api-client";

async function webhook({ secret, body, signature }) {
  const shopify = shopifyApi({
    apiKey: "key",
    apiSecretKey: secret,
    scopes: [],
    hostName: "warehouse.test",
    apiVersion: Object.values(ApiVersion).at(-1),
    isEmbeddedApp: false,
    logger: { level: LogSeverity.Error, log: () => {} },
  });
  const headers = {
    "X-Shopify-Hmac-Sha256": signature,
    "X-Shopify-Topic": "orders/updated",
    "X-Shopify-Shop-Domain": "shop.myshopify.com",
    "X-Shopify-API-Version": "2026-10",
    "X-Shopify-Webhook-Id": "1",
  };
  return shopify.webhooks.validate({
    rawBody: Buffer.from(body, "base64").toString("utf8"),
    rawRequest: { method: "POST", url: "/", headers },
    rawResponse: {},
  });
}

async function graphql({ address, token, version, query, variables }) {
  const client = createAdminApiClient({
    storeDomain: "shop.myshopify.com",
    apiVersion: version,
    accessToken: token,
    // Only the host is changed: path, headers and body are the library's.
    customFetchApi: (url, options) => fetch(new URL(new URL(url).pathname, address), options),
    logger: () => {},
  });
  const { data, errors, extensions } = await client.request(query, { variables });
  return { data, errors, extensions };
}

const does = { webhook, graphql };
for await (const line of createInterface({ input: process.stdin })) {
  const { what, ...question } = JSON.parse(line);
  try {
    console.log(JSON.stringify(await does[what](question)));
  } catch (error) {
    console.log(JSON.stringify({ broke: String(error) }));
  }
}
