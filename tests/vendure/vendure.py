"""A real Vendure shop from npm for tests: installed on demand, empty at start, gone at the end."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent
INSTALL_S = 900
START_S = 180

Lines = Sequence[tuple[str, int]]

CREATE_PRODUCT = "mutation($input: CreateProductInput!) { createProduct(input: $input) { id } }"
CREATE_VARIANTS = "mutation($input: [CreateProductVariantInput!]!) { createProductVariants(input: $input) { id sku } }"
ADD = """
mutation($id: ID!, $qty: Int!) {
  addItemToOrder(productVariantId: $id, quantity: $qty) {
    __typename ... on Order { id code } ... on ErrorResult { message }
  }
}"""
CUSTOMER = """
mutation($input: CreateCustomerInput!) {
  setCustomerForOrder(input: $input) { __typename ... on ErrorResult { message } }
}"""
ADDRESS = """
mutation($input: CreateAddressInput!) {
  setOrderShippingAddress(input: $input) { __typename ... on ErrorResult { message } }
}"""
METHODS = "{ eligibleShippingMethods { id } }"
METHOD = """
mutation($id: [ID!]!) {
  setOrderShippingMethod(shippingMethodId: $id) { __typename ... on ErrorResult { message } }
}"""
ARRANGE = """
mutation {
  transitionOrderToState(state: "ArrangingPayment") { __typename ... on ErrorResult { message } }
}"""
PAY = """
mutation {
  addPaymentToOrder(input: { method: "dummy", metadata: {} }) {
    __typename ... on Order { state code } ... on ErrorResult { message }
  }
}"""
ORDER = """
query($code: String!) {
  orders(options: { filter: { code: { eq: $code } } }) {
    items {
      id code state updatedAt orderPlacedAt
      lines { id quantity productVariant { sku } }
      fulfillments { id state method trackingCode lines { orderLineId quantity } }
    }
  }
}"""
CANCEL = """
mutation($input: CancelOrderInput!) {
  cancelOrder(input: $input) { __typename ... on ErrorResult { message } }
}"""
STOCK = """
query($sku: String!) {
  productVariants(options: { filter: { sku: { eq: $sku } } }) {
    items { stockLevels { stockOnHand stockAllocated } }
  }
}"""
FULFIL = """
mutation($input: FulfillOrderInput!) {
  addFulfillmentToOrder(input: $input) {
    __typename ... on Fulfillment { id } ... on ErrorResult { errorCode message }
  }
}"""


class NoShopHereError(Exception):
    """Vendure cannot run on this machine; the text says why."""


@dataclass
class Shop:
    """A running shop. ``url`` is its admin API, ``token`` opens it."""

    base: str
    password: str
    token: str = ""
    codes: list[str] = field(default_factory=list)
    """Order codes in the sequence of ``orders``."""
    variants: dict[str, str] = field(default_factory=dict)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60, trust_env=False))

    username = "superadmin"

    @property
    def url(self) -> str:
        return f"{self.base}/admin-api"

    @property
    def settings(self) -> dict[str, str]:
        """What ``connector_for("vendure", …)`` wants."""
        return {"url": self.url, "username": self.username, "password": self.password}

    def admin(self, query: str, **variables: Any) -> dict[str, Any]:
        return self._call(self.url, query, variables, {"Authorization": f"Bearer {self.token}"})[0]

    def sign_in(self) -> None:
        query = (
            "mutation($u: String!, $p: String!)"
            " { login(username: $u, password: $p) { __typename ... on ErrorResult { message } } }"
        )
        _, self.token = self._call(self.url, query, {"u": self.username, "p": self.password}, {})

    def add_sku(self, sku: str, name: str, stock: int, price_minor: int = 1000) -> None:
        words = [{"languageCode": "en", "name": name, "slug": f"p-{len(self.variants)}", "description": ""}]
        product = self.admin(CREATE_PRODUCT, input={"translations": words, "enabled": True})["createProduct"]
        variant = {
            "productId": product["id"],
            "sku": sku,
            "price": price_minor,
            "stockOnHand": stock,
            "trackInventory": "TRUE",
            "translations": [{"languageCode": "en", "name": name}],
        }
        made = self.admin(CREATE_VARIANTS, input=[variant])["createProductVariants"]
        self.variants[sku] = made[0]["id"]

    def place_order(self, lines: Lines, address: Mapping[str, str] | None = None) -> str:
        """A buyer's order, paid; its code."""
        url = f"{self.base}/shop-api"
        headers: dict[str, str] = {}

        def buyer(query: str, **variables: Any) -> dict[str, Any]:
            data, token = self._call(url, query, variables, headers)
            if token:
                headers["Authorization"] = f"Bearer {token}"
            for result in data.values():
                if isinstance(result, dict) and "message" in result:
                    raise AssertionError(f"the shop refuses the buyer: {result['message']}")
            return data

        for sku, qty in lines:
            buyer(ADD, id=self.variants[sku], qty=qty)
        email = f"buyer-{secrets.token_hex(4)}@example.com"
        buyer(CUSTOMER, input={"firstName": "Test", "lastName": "Buyer", "emailAddress": email})
        home = {
            "fullName": "Test Buyer",
            "streetLine1": "1 Test Street",
            "city": "London",
            "postalCode": "N1 1AA",
            "countryCode": "GB",
            "phoneNumber": "020 7946 0000",
        }
        buyer(ADDRESS, input={**home, **(address or {})})
        methods = buyer(METHODS)["eligibleShippingMethods"]
        buyer(METHOD, id=[methods[0]["id"]])
        buyer(ARRANGE)
        paid = buyer(PAY)["addPaymentToOrder"]
        assert paid["state"] == "PaymentSettled", paid
        code: str = paid["code"]
        self.codes.append(code)
        return code

    def order(self, code: str) -> dict[str, Any]:
        found: dict[str, Any] = self.admin(ORDER, code=code)["orders"]["items"][0]
        return found

    def cancel(self, code: str, lines: Iterable[tuple[str, int]] | None = None) -> None:
        """Cancel the order, or pieces of it by SKU."""
        order = self.order(code)
        request: dict[str, Any] = {"orderId": order["id"], "reason": "test"}
        if lines is not None:
            ids = {line["productVariant"]["sku"]: line["id"] for line in order["lines"]}
            request["lines"] = [{"orderLineId": ids[sku], "quantity": qty} for sku, qty in lines]
        result = self.admin(CANCEL, input=request)["cancelOrder"]
        assert result["__typename"] == "Order", result

    def fulfil_by_hand(self, code: str, tracking: str, lines: Lines | None = None) -> str:
        """A fulfilment made by somebody in the shop's own pages; still Pending. Its id."""
        order = self.order(code)
        wanted = dict(lines) if lines is not None else None
        chosen = [
            {"orderLineId": line["id"], "quantity": line["quantity"] if wanted is None else wanted[sku]}
            for line in order["lines"]
            if wanted is None or (sku := line["productVariant"]["sku"]) in wanted
        ]
        arguments = [{"name": "method", "value": "by hand"}, {"name": "trackingCode", "value": tracking}]
        handler = {"code": "manual-fulfillment", "arguments": arguments}
        result = self.admin(FULFIL, input={"lines": chosen, "handler": handler})["addFulfillmentToOrder"]
        assert result["__typename"] == "Fulfillment", result
        made: str = result["id"]
        return made

    def stock(self, sku: str) -> tuple[int, int]:
        """(on hand, allocated) as the shop keeps them."""
        levels = self.admin(STOCK, sku=sku)["productVariants"]["items"][0]["stockLevels"]
        return sum(one["stockOnHand"] for one in levels), sum(one["stockAllocated"] for one in levels)

    def _call(
        self, url: str, query: str, variables: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[dict[str, Any], str]:
        answer = self.client.post(url, json={"query": query, "variables": variables}, headers=headers)
        body = answer.json()
        assert not body.get("errors"), body["errors"]
        return body["data"], answer.headers.get("vendure-auth-token", "")


def install() -> None:
    """node_modules as the lock file says; once, whoever asks first. NoShopHereError when it cannot be."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        raise NoShopHereError("npm and node are not on this machine")
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    mark = HERE / "node_modules" / ".wms-installed"
    with (HERE / ".install.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.exists() and mark.read_text() == wanted:
            return
        done = subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund", "--no-progress"],
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=False,
        )
        if done.returncode:
            raise NoShopHereError(f"npm ci failed: {done.stderr.strip()[-1500:]}")
        mark.write_text(wanted)


@contextlib.contextmanager
def real_vendure(skus: Mapping[str, tuple[str, int]] | None = None, orders: Sequence[Lines] = ()) -> Iterator[Shop]:
    """A shop with these SKUs, sku → (name, stock), and these paid orders of (sku, qty) lines."""
    install()
    with tempfile.TemporaryDirectory(prefix="vendure-") as folder:
        shop, server = _start(Path(folder))
        try:
            shop.sign_in()
            for sku, (name, stock) in (skus or {}).items():
                shop.add_sku(sku, name, stock)
            for lines in orders:
                shop.place_order(lines)
            yield shop
        finally:
            shop.client.close()
            _stop(server)


def _start(folder: Path) -> tuple[Shop, subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shop = Shop(f"http://127.0.0.1:{port}", secrets.token_hex(8))
    log = folder / "server.log"
    with log.open("w") as errors:
        server = subprocess.Popen(
            ["node", "server.mjs"],
            cwd=HERE,
            env={
                **os.environ,
                "PORT": str(port),
                "DATABASE": str(folder / "shop.sqlite"),
                "PASSWORD": shop.password,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    watch = threading.Timer(START_S, server.kill)
    watch.start()
    try:
        assert server.stdout is not None
        for line in server.stdout:
            with contextlib.suppress(ValueError):
                if json.loads(line).get("ready"):
                    return shop, server
        raise AssertionError(f"the shop did not start: {log.read_text()[-2000:]}")
    finally:
        watch.cancel()


def _stop(server: subprocess.Popen[str]) -> None:
    server.terminate()
    try:
        server.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.communicate()
