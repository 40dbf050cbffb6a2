"""Which column of a shop's export means what, and what its words mean. Data; a shop may bring its own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from wms.connectors import OrderState
from wms.errors import N_

Refund = Literal["none", "asked", "done"]

SERVICE_SKUS = frozenset(
    {
        "POST",
        "M",
        "D",
        "DOT",
        "C2",
        "B",
        "S",
        "BANK_CHARGES",
        "AMAZONFEE",
        "CRUK",
        "PADS",
        "ADJUST",
        "ADJUST2",
    }
)
SERVICE_PREFIXES = ("GIFT_", "VOUCHER_")
# Shops in China sell the difference of a price or of the postage as if it were an item.
SERVICE_NAMES = (
    "补差价",
    "差价链接",
    "差价专拍",
    "补邮费",
    "邮费链接",
    "邮费专拍",
    "邮费补差",
    "运费专拍",
    "补运费",
)

States = tuple[tuple[OrderState, str], ...]
"""A state and the parts of a shop's word (no spaces, no punctuation) that tell it; the first that fits."""

JD_STATES: States = (
    ("cancelled", "删除 取消 关闭 canceled"),
    ("refunding", "锁定 locked 退款"),
    ("other", "等待付款 未付款 暂停 pause"),
    ("paid", "等待出库 待出库 等待发货 待发货 waitsellerstockout"),
    ("shipped", "确认收货 等待收货 待收货 waitgoodsreceiveconfirm 已出库 已发货 已签收 完成 finished"),
)
TMALL_STATES: States = (
    ("cancelled", "关闭 取消 tradeclosed"),
    ("other", "等待买家付款 waitbuyerpay"),
    ("paid", "等待卖家发货 买家已付款 部分发货 待发货 waitsellersendgoods sellerconsignedpart"),
    ("shipped", "已发货 等待买家确认 待收货 交易成功 waitbuyerconfirmgoods tradefinished tradebuyersigned"),
)
PLAIN_STATES: States = (
    ("refunding", "partiallyrefunded partlyrefunded partialrefund"),
    ("cancelled", "cancel closed void refunded"),
    ("refunding", "refund"),
    ("other", "unpaid pending awaitingpayment onhold"),
    ("paid", "unshipped unfulfilled partlyshipped partiallyshipped paymentsettled paid processing ready"),
    ("shipped", "shipped fulfilled complete delivered"),
    *JD_STATES,
    *TMALL_STATES,
)
REFUNDS: tuple[tuple[Refund, str], ...] = (
    ("none", "没有申请 未申请 无退款 无售后 norefund 退款关闭 售后关闭 撤销 closed"),
    ("done", "退款成功 退款完成 已退款 success refunded"),
    ("asked", "退款 售后 退货 waitseller asked refund"),
)
NO_REFUND = frozenset({"", "无", "-", "--", "/", "none", "no", "否", "0"})


@dataclass(frozen=True, slots=True)
class Rules:
    """What a seller wants done with the odd rows."""

    absurd_qty: int = 10_000
    """A line of more pieces than this is read, and its order held."""
    service_skus: frozenset[str] = SERVICE_SKUS
    service_prefixes: tuple[str, ...] = SERVICE_PREFIXES
    service_names: tuple[str, ...] = SERVICE_NAMES
    cancel_prefixes: tuple[str, ...] = ()
    """An order number that begins so takes goods back."""
    states: States = PLAIN_STATES
    refunds: tuple[tuple[Refund, str], ...] = REFUNDS

    def is_service(self, sku: str, name: str) -> bool:
        code = sku.upper().replace(" ", "_")
        return (
            code in self.service_skus
            or code.startswith(self.service_prefixes)
            or any(words in name for words in self.service_names)
        )

    def state_of(self, word: str) -> OrderState | None:
        """The state a shop's word stands for, None for a word nobody knows."""
        plain = re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", word).casefold())
        if not plain:
            return "paid"
        return next((state for state, parts in self.states if any(part in plain for part in parts.split())), None)

    def refund_of(self, word: str) -> Refund | None:
        """Whether money was asked back, None for a word nobody knows."""
        text = unicodedata.normalize("NFKC", word).casefold().strip()
        if text in NO_REFUND:
            return "none"
        plain = re.sub(r"[\W_]+", "", text)
        return next((what for what, parts in self.refunds if any(part in plain for part in parts.split())), None)


@dataclass(frozen=True, slots=True)
class Mapping:
    """``columns``: field → header names, best first; of several present the first filled one counts."""

    name: str
    title: str
    zone: str
    """The clock the export writes its times in."""
    currency: str
    columns: Dict[str, str]
    required: tuple[str, ...] = ("order_no", "sku", "qty")
    rules: Rules = field(default_factory=Rules)
    date_formats: tuple[str, ...] = ()
    """Besides year-month-day, which is always read."""


_CHINESE_DATES = ("%Y年%m月%d日 %H:%M:%S", "%Y年%m月%d日 %H:%M", "%Y年%m月%d日")

MAPPINGS: dict[str, Mapping] = {
    "online-retail": Mapping(
        name="online-retail",
        title=N_("Online Retail invoices"),
        zone="Europe/London",
        currency="GBP",
        columns={
            "order_no": "InvoiceNo Invoice",
            "sku": "StockCode",
            "item_name": "Description",
            "qty": "Quantity",
            "ordered_at": "InvoiceDate",
            "price": "UnitPrice Price",
            "customer": "CustomerID",
            "country": "Country",
        },
        required=("order_no", "sku", "qty", "ordered_at", "customer"),
        rules=Rules(cancel_prefixes=("C",)),
        # The file as first published has the month before the day.
        date_formats=("%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%y %H:%M"),
    ),
    "jd": Mapping(
        name="jd",
        title=N_("JD orders"),
        zone="Asia/Shanghai",
        currency="CNY",
        columns={
            "order_no": "订单号 订单编号",
            # 商品ID is JD's own number and never a SKU of ours; the seller's code is one of these.
            "sku": "商家SKUID 商家SKU 商家SKU编码 货号 商家编码 外部SKU",
            "item_name": "商品名称 商品标题",
            "qty": "订购数量 购买数量 商品数量 数量",
            "price": "京东价 商品单价 单价",
            "ordered_at": "下单时间 订单创建时间",
            "paid_at": "付款确认时间 付款时间 支付时间",
            "updated_at": "订单修改时间 更新时间",
            "status": "订单状态",
            "refund": "退款状态 售后状态",
            "customer": "下单帐号 下单账号 用户账号",
            "name": "客户姓名 收货人姓名 收货人 收件人",
            "phone": "联系电话 收货人手机 收货人电话 手机 联系手机",
            "province": "省 省份 收货省",
            "city": "市 城市 收货市",
            "district": "区县 区 县 收货区县",
            "town": "乡镇 街道 收货乡镇",
            "address": "客户地址 收货地址 详细地址",
            "postcode": "邮编",
            "oaid": "OAID",
            "buyer_note": "订单备注 买家留言 客户备注",
            "seller_memo": "商家备注 卖家备注",
            "carrier": "物流公司 快递公司 承运商",
            "ship_by": "应发货时间 最晚发货时间 承诺发货时间",
        },
        rules=Rules(states=JD_STATES),
        date_formats=_CHINESE_DATES,
    ),
    "tmall": Mapping(
        name="tmall",
        title=N_("Tmall and Taobao orders"),
        zone="Asia/Shanghai",
        currency="CNY",
        columns={
            # The newer list of items calls the order 主订单编号; the older one 订单编号.
            "order_no": "主订单编号 主订单号 订单编号 订单号",
            "sub_order_no": "子订单编号 子订单号",
            "sku": "外部系统编号 商家编码 SKU商家编码 规格商家编码 商家SKU编码",
            "item_name": "标题 宝贝标题 商品标题 商品名称",
            "qty": "购买数量 宝贝数量 商品数量 数量",
            "price": "价格 商品价格 宝贝单价 单价",
            "ordered_at": "订单创建时间 创建时间 下单时间",
            "paid_at": "订单付款时间 付款时间 支付时间",
            "updated_at": "修改时间 更新时间",
            "status": "订单状态 交易状态",
            "refund": "退款状态 售后状态",
            "customer": "买家会员名 买家昵称",
            "name": "收货人姓名 收货人 收件人",
            "phone": "联系手机 收货人手机 手机 联系电话",
            "province": "省 省份 收货省份",
            "city": "市 城市 收货城市",
            "district": "区 区县 收货区县",
            "town": "街道 乡镇",
            # What the seller changed by hand goes before what the buyer gave.
            "address": "修改后的收货地址 收货地址 详细地址",
            "postcode": "邮编 邮政编码",
            "oaid": "OAID",
            "buyer_note": "买家留言",
            "seller_memo": "卖家备注 商家备注 订单备注 备注",
            "carrier": "物流公司 快递公司",
            "ship_by": "应发货时间 最晚发货时间 承诺发货时间 发货截止时间",
        },
        rules=Rules(states=TMALL_STATES),
        date_formats=_CHINESE_DATES,
    ),
    "plain": Mapping(
        name="plain",
        title=N_("Plain columns"),
        zone="UTC",
        currency="",
        columns={
            "order_no": "order_no shop_order_no order_id order_number order",
            "sub_order_no": "line_ref line_id sub_order_no",
            "sku": "sku item_sku item_code",
            "item_name": "item_name title description product_name",
            "qty": "qty quantity",
            "price": "price unit_price",
            "currency": "currency",
            "ordered_at": "ordered_at order_date created_at",
            "paid_at": "paid_at",
            "updated_at": "updated_at",
            "status": "state status order_status",
            "refund": "refund refund_state refund_status",
            "customer": "customer customer_id buyer",
            "name": "recipient_name recipient ship_to_name name",
            "phone": "phone recipient_phone mobile",
            "province": "province region",
            "city": "city",
            "district": "district",
            "town": "town",
            "address": "address street address_line",
            "country": "country country_code",
            "postcode": "postcode postal_code zip",
            "oaid": "oaid",
            "buyer_note": "buyer_note note",
            "seller_memo": "seller_memo memo",
            "carrier": "carrier carrier_hint",
            "ship_by": "ship_by",
        },
    ),
}


_UNIT = re.compile(r"[(\[【].*?[)\]】]")


def _plain(header: str) -> str:
    return re.sub(r"[\s_\-*:/.\"']+", "", unicodedata.normalize("NFKC", header).casefold())


def columns_of(headers: Sequence[str], mapping: Mapping) -> dict[str, list[int]]:
    """Field → positions of its columns, the best name first."""
    index: dict[str, list[tuple[str, int]]] = {}
    for meaning, aliases in mapping.columns.items():
        for rank, alias in enumerate(aliases.split()):
            index.setdefault(_plain(alias), []).append((meaning, rank))
    found: dict[str, list[tuple[int, int]]] = {}
    for position, header in enumerate(headers):
        whole = _plain(header)
        # 价格(元) is also 价格.
        for meaning, rank in index.get(whole) or index.get(_UNIT.sub("", whole)) or ():
            found.setdefault(meaning, []).append((rank, position))
    return {meaning: [position for _, position in sorted(ranked)] for meaning, ranked in found.items()}


def fit(headers: Sequence[str]) -> tuple[str | None, int]:
    """The mapping that knows most of these names and finds all it needs, and how many it knows."""
    best: tuple[str | None, int] = (None, 0)
    for mapping in MAPPINGS.values():
        found = columns_of(headers, mapping)
        if all(name in found for name in mapping.required):
            known = len({position for positions in found.values() for position in positions})
            if known > best[1]:
                best = (mapping.name, known)
    return best


def recognise(headers: Sequence[str]) -> str | None:
    """The name of the mapping these headers belong to, or None."""
    return fit(headers)[0]


def missing(headers: Sequence[str], mapping: Mapping) -> tuple[str, ...]:
    """The usual header names of what the mapping cannot do without and did not find."""
    found = columns_of(headers, mapping)
    return tuple(mapping.columns[name].split()[0] for name in mapping.required if name not in found)
