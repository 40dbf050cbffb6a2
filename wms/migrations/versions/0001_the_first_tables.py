"""the first tables"""

import sqlalchemy as sa
from alembic import op

from wms.migrations.append_only import guard, unguard

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "carrier",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("label_size", sa.String(length=16), nullable=False),
        sa.Column("number_hint", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_carrier")),
        sa.UniqueConstraint("code", name=op.f("uq_carrier_code")),
    )
    op.create_table(
        "item",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("weight_g", sa.Integer(), nullable=False),
        sa.Column("lot_tracked", sa.Boolean(), nullable=False),
        sa.Column("allows_counting", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.CheckConstraint("sku <> ''", name=op.f("ck_item_sku")),
        sa.CheckConstraint("weight_g >= 0", name=op.f("ck_item_weight")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item")),
        sa.UniqueConstraint("sku", name=op.f("uq_item_sku")),
    )
    op.create_table(
        "warehouse",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("label_language", sa.String(length=8), nullable=False),
        sa.Column("sender_name", sa.String(length=80), nullable=False),
        sa.Column("sender_phone", sa.String(length=40), nullable=False),
        sa.Column("sender_region", sa.String(length=120), nullable=False),
        sa.Column("sender_address", sa.String(length=240), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_warehouse")),
        sa.UniqueConstraint("code", name=op.f("uq_warehouse_code")),
    )
    op.create_table(
        "barcode",
        sa.Column("code", sa.String(length=80), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.CheckConstraint("pieces >= 1", name=op.f("ck_barcode_pieces")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_barcode_item_id")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_barcode")),
    )
    with op.batch_alter_table("barcode", schema=None) as batch_op:
        batch_op.create_index("ix_barcode_item_id", ["item_id"], unique=False)

    op.create_table(
        "journal",
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=True),
        sa.Column("device_id", sa.String(length=40), nullable=True),
        sa.Column("scan_id", sa.String(length=64), nullable=True),
        sa.Column("document", sa.String(length=32), nullable=False),
        sa.Column("document_id", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.String(length=48), nullable=False),
        sa.Column("before", sa.String(length=200), nullable=False),
        sa.Column("after", sa.String(length=400), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("document <> ''", name=op.f("ck_journal_document_named")),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_journal_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_journal")),
    )
    with op.batch_alter_table("journal", schema=None) as batch_op:
        batch_op.create_index("ix_journal_document", ["warehouse_id", "document", "document_id"], unique=False)

    op.create_table(
        "location",
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("zone", sa.String(length=8), nullable=False),
        sa.Column("walk", sa.Integer(), nullable=False),
        sa.Column("fixed_item_id", sa.BigInteger(), nullable=True),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("code <> ''", name=op.f("ck_location_code")),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_location_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_location")),
        sa.UniqueConstraint("warehouse_id", "kind", "code", name=op.f("uq_location_warehouse_id_kind_code")),
    )
    with op.batch_alter_table("location", schema=None) as batch_op:
        batch_op.create_index("ix_location_walk", ["warehouse_id", "kind", "walk"], unique=False)

    op.create_table(
        "lot",
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("expiry", sa.Date(), nullable=True),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_lot_item_id")),
        sa.PrimaryKeyConstraint("item_id", "code", name=op.f("pk_lot")),
    )
    op.create_table(
        "manifest",
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("carrier_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("opened_at", sa.DateTime(), nullable=False),
        sa.Column("closed_at", sa.DateTime(), nullable=True),
        sa.Column("parcels", sa.Integer(), nullable=False),
        sa.Column("weight_g", sa.BigInteger(), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["carrier_id"], ["carrier.id"], name=op.f("fk_manifest_carrier_id")),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_manifest_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_manifest")),
        sa.UniqueConstraint("warehouse_id", "code", name=op.f("uq_manifest_warehouse_id_code")),
    )
    with op.batch_alter_table("manifest", schema=None) as batch_op:
        batch_op.create_index(
            "uq_manifest_one_open",
            ["warehouse_id", "carrier_id"],
            unique=True,
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        )

    op.create_table(
        "operator",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("role", sa.String(length=24), nullable=False),
        sa.Column("badge_hash", sa.String(length=64), nullable=False),
        sa.Column("pin_hash", sa.String(length=200), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("theme", sa.String(length=8), nullable=False),
        sa.Column("speech", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.DateTime(), nullable=True),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_operator_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_operator")),
        sa.UniqueConstraint("badge_hash", name=op.f("uq_operator_badge_hash")),
    )
    op.create_table(
        "printer",
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("uri", sa.String(length=200), nullable=False),
        sa.Column("dpi", sa.Integer(), nullable=False),
        sa.Column("width_mm", sa.Integer(), nullable=False),
        sa.Column("height_mm", sa.Integer(), nullable=False),
        sa.Column("answers", sa.Boolean(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=True),
        sa.Column("leased_until", sa.DateTime(), nullable=True),
        sa.Column("leased_by", sa.String(length=40), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_printer_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_printer")),
        sa.UniqueConstraint("warehouse_id", "code", name=op.f("uq_printer_warehouse_id_code")),
    )
    op.create_table(
        "receipt",
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("supplier", sa.String(length=120), nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("over_percent", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("done_at", sa.DateTime(), nullable=True),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_receipt_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_receipt")),
        sa.UniqueConstraint("warehouse_id", "code", name=op.f("uq_receipt_warehouse_id_code")),
    )
    op.create_table(
        "scan_request",
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("scan_id", sa.String(length=64), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("device_id", sa.BigInteger(), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("go", sa.String(length=200), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_scan_request_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "scan_id", name=op.f("pk_scan_request")),
    )
    with op.batch_alter_table("scan_request", schema=None) as batch_op:
        batch_op.create_index("ix_scan_request_at", ["at"], unique=False)

    op.create_table(
        "shop",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("connector", sa.String(length=24), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("carrier_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["carrier_id"], ["carrier.id"], name=op.f("fk_shop_carrier_id")),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_shop_warehouse_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shop")),
        sa.UniqueConstraint("code", name=op.f("uq_shop_code")),
    )
    op.create_table(
        "wave",
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("released_at", sa.DateTime(), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_wave_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_wave")),
        sa.UniqueConstraint("warehouse_id", "code", name=op.f("uq_wave_warehouse_id_code")),
    )
    op.create_table(
        "waybill_range",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("carrier_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("digits", sa.Integer(), nullable=False),
        sa.Column("next_no", sa.BigInteger(), nullable=False),
        sa.Column("last_no", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("digits BETWEEN 1 AND 18", name=op.f("ck_waybill_range_digits")),
        sa.CheckConstraint("next_no <= last_no + 1", name=op.f("ck_waybill_range_inside")),
        sa.ForeignKeyConstraint(["carrier_id"], ["carrier.id"], name=op.f("fk_waybill_range_carrier_id")),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_waybill_range_warehouse_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waybill_range")),
    )
    op.create_table(
        "balance",
        sa.Column("warehouse_id", sa.BigInteger(), nullable=False),
        sa.Column("location_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("lot", sa.String(length=40), nullable=False),
        sa.Column("container", sa.String(length=40), nullable=False),
        sa.Column("condition", sa.String(length=24), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("allocated", sa.BigInteger(), nullable=False),
        sa.Column("last_move_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("allocated >= 0 AND allocated <= on_hand", name=op.f("ck_balance_allocated")),
        sa.CheckConstraint("on_hand >= 0", name=op.f("ck_balance_on_hand")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_balance_item_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "location_id"],
            ["location.warehouse_id", "location.id"],
            name=op.f("fk_balance_warehouse_id_location_id"),
        ),
        sa.PrimaryKeyConstraint(
            "warehouse_id", "location_id", "item_id", "lot", "container", "condition", name=op.f("pk_balance")
        ),
    )
    with op.batch_alter_table("balance", schema=None) as batch_op:
        batch_op.create_index("ix_balance_item", ["warehouse_id", "item_id", "condition"], unique=False)

    op.create_table(
        "count",
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("location_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("why", sa.String(length=24), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=True),
        sa.Column("first_operator_id", sa.BigInteger(), nullable=True),
        sa.Column("at_place", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=True),
        sa.Column("done_at", sa.DateTime(), nullable=True),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "first_operator_id"],
            ["operator.warehouse_id", "operator.id"],
            name=op.f("fk_count_warehouse_id_first_operator_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "location_id"],
            ["location.warehouse_id", "location.id"],
            name=op.f("fk_count_warehouse_id_location_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "operator_id"],
            ["operator.warehouse_id", "operator.id"],
            name=op.f("fk_count_warehouse_id_operator_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_count_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_count")),
    )
    with op.batch_alter_table("count", schema=None) as batch_op:
        batch_op.create_index("ix_count_location", ["warehouse_id", "location_id", "state"], unique=False)
        batch_op.create_index("ix_count_state", ["warehouse_id", "state"], unique=False)

    op.create_table(
        "print_job",
        sa.Column("printer_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("document", sa.String(length=32), nullable=False),
        sa.Column("document_id", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("once", sa.String(length=96), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("copies", sa.Integer(), nullable=False),
        sa.Column("width_mm", sa.Integer(), nullable=False),
        sa.Column("height_mm", sa.Integer(), nullable=False),
        sa.Column("dpi", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("base_odometer", sa.BigInteger(), nullable=True),
        sa.Column("operator_id", sa.BigInteger(), nullable=True),
        sa.Column("station_id", sa.BigInteger(), nullable=True),
        sa.Column("reprint_of_id", sa.BigInteger(), nullable=True),
        sa.Column("reprint_no", sa.Integer(), nullable=False),
        sa.Column("reprint_reason", sa.String(length=120), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("next_at", sa.DateTime(), nullable=False),
        sa.Column("done_at", sa.DateTime(), nullable=True),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("copies BETWEEN 1 AND 500", name=op.f("ck_print_job_copies")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "printer_id"],
            ["printer.warehouse_id", "printer.id"],
            name=op.f("fk_print_job_warehouse_id_printer_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "reprint_of_id"],
            ["print_job.warehouse_id", "print_job.id"],
            name=op.f("fk_print_job_warehouse_id_reprint_of_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_print_job_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_print_job")),
        sa.UniqueConstraint("warehouse_id", "once", name=op.f("uq_print_job_warehouse_id_once")),
    )
    with op.batch_alter_table("print_job", schema=None) as batch_op:
        batch_op.create_index("ix_print_job_document", ["warehouse_id", "document", "document_id"], unique=False)
        batch_op.create_index("ix_print_job_queue", ["warehouse_id", "printer_id", "state", "id"], unique=False)

    op.create_table(
        "putaway_work",
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("lot", sa.String(length=40), nullable=False),
        sa.Column("condition", sa.String(length=24), nullable=False),
        sa.Column("from_id", sa.BigInteger(), nullable=True),
        sa.Column("from_container", sa.String(length=40), nullable=False),
        sa.Column("qty", sa.BigInteger(), nullable=False),
        sa.Column("suggested_id", sa.BigInteger(), nullable=True),
        sa.Column("asked_id", sa.BigInteger(), nullable=True),
        sa.Column("last_move_id", sa.BigInteger(), nullable=True),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_putaway_work_item_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "asked_id"],
            ["location.warehouse_id", "location.id"],
            name=op.f("fk_putaway_work_warehouse_id_asked_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "from_id"],
            ["location.warehouse_id", "location.id"],
            name=op.f("fk_putaway_work_warehouse_id_from_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "operator_id"],
            ["operator.warehouse_id", "operator.id"],
            name=op.f("fk_putaway_work_warehouse_id_operator_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "suggested_id"],
            ["location.warehouse_id", "location.id"],
            name=op.f("fk_putaway_work_warehouse_id_suggested_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_putaway_work_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_putaway_work")),
        sa.UniqueConstraint("warehouse_id", "operator_id", name=op.f("uq_putaway_work_warehouse_id_operator_id")),
    )
    op.create_table(
        "receipt_line",
        sa.Column("receipt_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("most IS NULL OR received <= most", name=op.f("ck_receipt_line_most")),
        sa.CheckConstraint("received >= 0", name=op.f("ck_receipt_line_received")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_receipt_line_item_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "receipt_id"],
            ["receipt.warehouse_id", "receipt.id"],
            name=op.f("fk_receipt_line_warehouse_id_receipt_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_receipt_line_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_receipt_line")),
        sa.UniqueConstraint(
            "warehouse_id",
            "receipt_id",
            "item_id",
            name=op.f("uq_receipt_line_warehouse_id_receipt_id_item_id"),
        ),
    )
    op.create_table(
        "receive_work",
        sa.Column("receipt_id", sa.BigInteger(), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("lot", sa.String(length=40), nullable=False),
        sa.Column("qty", sa.BigInteger(), nullable=False),
        sa.Column("last_move_id", sa.BigInteger(), nullable=True),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_receive_work_item_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "operator_id"],
            ["operator.warehouse_id", "operator.id"],
            name=op.f("fk_receive_work_warehouse_id_operator_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "receipt_id"],
            ["receipt.warehouse_id", "receipt.id"],
            name=op.f("fk_receive_work_warehouse_id_receipt_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_receive_work_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_receive_work")),
        sa.UniqueConstraint("warehouse_id", "operator_id", name=op.f("uq_receive_work_warehouse_id_operator_id")),
    )
    op.create_table(
        "sales_order",
        sa.Column("shop_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("shop_order_no", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("hold_reason", sa.String(length=200), nullable=False),
        sa.Column("hold_facts", sa.JSON(), nullable=False),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        sa.Column("wave_id", sa.BigInteger(), nullable=True),
        sa.Column("carrier_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("ordered_at", sa.DateTime(), nullable=True),
        sa.Column("ship_by", sa.DateTime(), nullable=True),
        sa.Column("taken_in_at", sa.DateTime(), nullable=False),
        sa.Column("shipped_at", sa.DateTime(), nullable=True),
        sa.Column("recipient", sa.JSON(), nullable=False),
        sa.Column("buyer_note", sa.Text(), nullable=False),
        sa.Column("seller_memo", sa.Text(), nullable=False),
        sa.Column("goods_sha256", sa.String(length=64), nullable=False),
        sa.Column("raw", sa.JSON(), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["carrier_id"], ["carrier.id"], name=op.f("fk_sales_order_carrier_id")),
        sa.ForeignKeyConstraint(["shop_id"], ["shop.id"], name=op.f("fk_sales_order_shop_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "wave_id"],
            ["wave.warehouse_id", "wave.id"],
            name=op.f("fk_sales_order_warehouse_id_wave_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_sales_order_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_sales_order")),
        sa.UniqueConstraint(
            "warehouse_id",
            "shop_id",
            "shop_order_no",
            name=op.f("uq_sales_order_warehouse_id_shop_id_shop_order_no"),
        ),
    )
    with op.batch_alter_table("sales_order", schema=None) as batch_op:
        batch_op.create_index("ix_sales_order_no", ["warehouse_id", "shop_order_no"], unique=False)
        batch_op.create_index("ix_sales_order_state", ["warehouse_id", "state", "ship_by"], unique=False)

    op.create_table(
        "station",
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("waybill_printer_id", sa.BigInteger(), nullable=True),
        sa.Column("label_printer_id", sa.BigInteger(), nullable=True),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "label_printer_id"],
            ["printer.warehouse_id", "printer.id"],
            name=op.f("fk_station_warehouse_id_label_printer_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "waybill_printer_id"],
            ["printer.warehouse_id", "printer.id"],
            name=op.f("fk_station_warehouse_id_waybill_printer_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_station_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_station")),
        sa.UniqueConstraint("warehouse_id", "code", name=op.f("uq_station_warehouse_id_code")),
    )
    op.create_table(
        "stock_move",
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("lot", sa.String(length=40), nullable=False),
        sa.Column("qty", sa.BigInteger(), nullable=False),
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("from_container", sa.String(length=40), nullable=False),
        sa.Column("from_condition", sa.String(length=24), nullable=False),
        sa.Column("to_id", sa.BigInteger(), nullable=False),
        sa.Column("to_container", sa.String(length=40), nullable=False),
        sa.Column("to_condition", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.String(length=24), nullable=False),
        sa.Column("cause", sa.String(length=64), nullable=False),
        sa.Column("reverses_id", sa.BigInteger(), nullable=True),
        sa.Column("operator_id", sa.BigInteger(), nullable=True),
        sa.Column("device_id", sa.String(length=40), nullable=True),
        sa.Column("scan_id", sa.String(length=64), nullable=True),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("cause <> ''", name=op.f("ck_stock_move_cause")),
        sa.CheckConstraint(
            "from_id <> to_id OR from_container <> to_container OR from_condition <> to_condition",
            name=op.f("ck_stock_move_two_ends"),
        ),
        sa.CheckConstraint("qty > 0", name=op.f("ck_stock_move_qty")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_stock_move_item_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "from_id"],
            ["location.warehouse_id", "location.id"],
            name=op.f("fk_stock_move_warehouse_id_from_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "reverses_id"],
            ["stock_move.warehouse_id", "stock_move.id"],
            name=op.f("fk_stock_move_warehouse_id_reverses_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "to_id"],
            ["location.warehouse_id", "location.id"],
            name=op.f("fk_stock_move_warehouse_id_to_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_stock_move_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_stock_move")),
        sa.UniqueConstraint("warehouse_id", "reverses_id", name=op.f("uq_stock_move_warehouse_id_reverses_id")),
    )
    with op.batch_alter_table("stock_move", schema=None) as batch_op:
        batch_op.create_index("ix_stock_move_cause", ["warehouse_id", "cause"], unique=False)
        batch_op.create_index("ix_stock_move_from", ["warehouse_id", "from_id", "id"], unique=False)
        batch_op.create_index("ix_stock_move_item", ["warehouse_id", "item_id", "id"], unique=False)
        batch_op.create_index("ix_stock_move_to", ["warehouse_id", "to_id", "id"], unique=False)

    op.create_table(
        "count_line",
        sa.Column("count_id", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("lot", sa.String(length=40), nullable=False),
        sa.Column("condition", sa.String(length=24), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("book", sa.BigInteger(), nullable=False),
        sa.Column("ledger_position", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("move_id", sa.BigInteger(), nullable=True),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("counted >= 0", name=op.f("ck_count_line_counted")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_count_line_item_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "count_id"],
            ["count.warehouse_id", "count.id"],
            name=op.f("fk_count_line_warehouse_id_count_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_count_line_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_count_line")),
        sa.UniqueConstraint(
            "warehouse_id",
            "count_id",
            "round",
            "item_id",
            "lot",
            "condition",
            name=op.f("uq_count_line_warehouse_id_count_id_round_item_id_lot_condition"),
        ),
    )
    op.create_table(
        "device",
        sa.Column("token", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("station_id", sa.BigInteger(), nullable=True),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "station_id"],
            ["station.warehouse_id", "station.id"],
            name=op.f("fk_device_warehouse_id_station_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_device_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_device")),
    )
    with op.batch_alter_table("device", schema=None) as batch_op:
        batch_op.create_index("ix_device_token", ["token"], unique=True)

    op.create_table(
        "order_line",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("line_ref", sa.String(length=96), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("qty", sa.BigInteger(), nullable=False),
        sa.Column("cancelled_qty", sa.BigInteger(), nullable=False),
        sa.Column("shipped_qty", sa.BigInteger(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("cancelled_qty >= 0 AND cancelled_qty <= qty", name=op.f("ck_order_line_cancelled")),
        sa.CheckConstraint("qty > 0", name=op.f("ck_order_line_qty")),
        sa.CheckConstraint(
            "shipped_qty >= 0 AND shipped_qty <= qty - cancelled_qty", name=op.f("ck_order_line_shipped")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_order_line_item_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "order_id"],
            ["sales_order.warehouse_id", "sales_order.id"],
            name=op.f("fk_order_line_warehouse_id_order_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_order_line_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_order_line")),
        sa.UniqueConstraint(
            "warehouse_id", "order_id", "line_ref", name=op.f("uq_order_line_warehouse_id_order_id_line_ref")
        ),
    )
    with op.batch_alter_table("order_line", schema=None) as batch_op:
        batch_op.create_index("ix_order_line_item", ["warehouse_id", "item_id"], unique=False)

    op.create_table(
        "parcel",
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("carrier_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("station_id", sa.BigInteger(), nullable=True),
        sa.Column("location_id", sa.BigInteger(), nullable=False),
        sa.Column("manifest_id", sa.BigInteger(), nullable=True),
        sa.Column("weight_g", sa.Integer(), nullable=True),
        sa.Column("opened_at", sa.DateTime(), nullable=False),
        sa.Column("labelled_at", sa.DateTime(), nullable=True),
        sa.Column("handed_over_at", sa.DateTime(), nullable=True),
        sa.Column("last_move_id", sa.BigInteger(), nullable=True),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("weight_g IS NULL OR weight_g > 0", name=op.f("ck_parcel_weight")),
        sa.ForeignKeyConstraint(["carrier_id"], ["carrier.id"], name=op.f("fk_parcel_carrier_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "location_id"],
            ["location.warehouse_id", "location.id"],
            name=op.f("fk_parcel_warehouse_id_location_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "manifest_id"],
            ["manifest.warehouse_id", "manifest.id"],
            name=op.f("fk_parcel_warehouse_id_manifest_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "operator_id"],
            ["operator.warehouse_id", "operator.id"],
            name=op.f("fk_parcel_warehouse_id_operator_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "order_id"],
            ["sales_order.warehouse_id", "sales_order.id"],
            name=op.f("fk_parcel_warehouse_id_order_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_parcel_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_parcel")),
        sa.UniqueConstraint("warehouse_id", "code", name=op.f("uq_parcel_warehouse_id_code")),
    )
    with op.batch_alter_table("parcel", schema=None) as batch_op:
        batch_op.create_index("ix_parcel_operator", ["warehouse_id", "operator_id", "state"], unique=False)
        batch_op.create_index("ix_parcel_order", ["warehouse_id", "order_id"], unique=False)
        batch_op.create_index("ix_parcel_state", ["warehouse_id", "state"], unique=False)
        batch_op.create_index(
            "uq_parcel_one_open",
            ["warehouse_id", "order_id"],
            unique=True,
            sqlite_where=sa.text("state IN ('open', 'verified')"),
            postgresql_where=sa.text("state IN ('open', 'verified')"),
        )

    op.create_table(
        "pick_task",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("wave_id", sa.BigInteger(), nullable=False),
        sa.Column("ship_by", sa.DateTime(), nullable=True),
        sa.Column("step", sa.String(length=24), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(), nullable=True),
        sa.Column("seen_at", sa.DateTime(), nullable=True),
        sa.Column("tote_id", sa.BigInteger(), nullable=True),
        sa.Column("location_id", sa.BigInteger(), nullable=True),
        sa.Column("last_move_id", sa.BigInteger(), nullable=True),
        sa.Column("done_at", sa.DateTime(), nullable=True),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "location_id"],
            ["location.warehouse_id", "location.id"],
            name=op.f("fk_pick_task_warehouse_id_location_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "operator_id"],
            ["operator.warehouse_id", "operator.id"],
            name=op.f("fk_pick_task_warehouse_id_operator_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "order_id"],
            ["sales_order.warehouse_id", "sales_order.id"],
            name=op.f("fk_pick_task_warehouse_id_order_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "tote_id"],
            ["location.warehouse_id", "location.id"],
            name=op.f("fk_pick_task_warehouse_id_tote_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "wave_id"],
            ["wave.warehouse_id", "wave.id"],
            name=op.f("fk_pick_task_warehouse_id_wave_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_pick_task_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_pick_task")),
    )
    with op.batch_alter_table("pick_task", schema=None) as batch_op:
        batch_op.create_index("ix_pick_task_operator", ["warehouse_id", "operator_id", "step"], unique=False)
        batch_op.create_index("ix_pick_task_order", ["warehouse_id", "order_id"], unique=False)
        batch_op.create_index("ix_pick_task_step", ["warehouse_id", "step", "ship_by"], unique=False)

    op.create_table(
        "print_attempt",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("printer_uri", sa.String(length=200), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("result", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("odometer_before", sa.BigInteger(), nullable=True),
        sa.Column("odometer_after", sa.BigInteger(), nullable=True),
        sa.Column("bytes_sent", sa.BigInteger(), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "job_id"],
            ["print_job.warehouse_id", "print_job.id"],
            name=op.f("fk_print_attempt_warehouse_id_job_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_print_attempt_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_print_attempt")),
    )
    with op.batch_alter_table("print_attempt", schema=None) as batch_op:
        batch_op.create_index("ix_print_attempt_job", ["warehouse_id", "job_id"], unique=False)

    op.create_table(
        "tote_use",
        sa.Column("warehouse_id", sa.BigInteger(), nullable=False),
        sa.Column("tote_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "order_id"],
            ["sales_order.warehouse_id", "sales_order.id"],
            name=op.f("fk_tote_use_warehouse_id_order_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "tote_id"],
            ["location.warehouse_id", "location.id"],
            name=op.f("fk_tote_use_warehouse_id_tote_id"),
        ),
        sa.PrimaryKeyConstraint("warehouse_id", "tote_id", name=op.f("pk_tote_use")),
    )
    with op.batch_alter_table("tote_use", schema=None) as batch_op:
        batch_op.create_index("ix_tote_use_order", ["warehouse_id", "order_id"], unique=False)

    op.create_table(
        "allocation",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("order_line_id", sa.BigInteger(), nullable=False),
        sa.Column("location_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("lot", sa.String(length=40), nullable=False),
        sa.Column("container", sa.String(length=40), nullable=False),
        sa.Column("qty", sa.Integer(), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("qty > 0", name=op.f("ck_allocation_qty")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_allocation_item_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "location_id"],
            ["location.warehouse_id", "location.id"],
            name=op.f("fk_allocation_warehouse_id_location_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "order_line_id"],
            ["order_line.warehouse_id", "order_line.id"],
            name=op.f("fk_allocation_warehouse_id_order_line_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_allocation_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_allocation")),
        sa.UniqueConstraint(
            "warehouse_id",
            "order_line_id",
            "location_id",
            "item_id",
            "lot",
            "container",
            name="uq_allocation_place",
        ),
    )
    with op.batch_alter_table("allocation", schema=None) as batch_op:
        batch_op.create_index("ix_allocation_balance", ["warehouse_id", "location_id", "item_id"], unique=False)
        batch_op.create_index("ix_allocation_order", ["warehouse_id", "order_id"], unique=False)

    op.create_table(
        "parcel_line",
        sa.Column("parcel_id", sa.BigInteger(), nullable=False),
        sa.Column("order_line_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("lot", sa.String(length=40), nullable=False),
        sa.Column("qty", sa.Integer(), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("qty >= 0", name=op.f("ck_parcel_line_qty")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_parcel_line_item_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "order_line_id"],
            ["order_line.warehouse_id", "order_line.id"],
            name=op.f("fk_parcel_line_warehouse_id_order_line_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "parcel_id"],
            ["parcel.warehouse_id", "parcel.id"],
            name=op.f("fk_parcel_line_warehouse_id_parcel_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_parcel_line_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_parcel_line")),
        sa.UniqueConstraint(
            "warehouse_id",
            "parcel_id",
            "order_line_id",
            "lot",
            name=op.f("uq_parcel_line_warehouse_id_parcel_id_order_line_id_lot"),
        ),
    )
    op.create_table(
        "push",
        sa.Column("shop_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("parcel_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(), nullable=False),
        sa.Column("leased_until", sa.DateTime(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shop.id"], name=op.f("fk_push_shop_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "order_id"],
            ["sales_order.warehouse_id", "sales_order.id"],
            name=op.f("fk_push_warehouse_id_order_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "parcel_id"],
            ["parcel.warehouse_id", "parcel.id"],
            name=op.f("fk_push_warehouse_id_parcel_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_push_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_push")),
        sa.UniqueConstraint("warehouse_id", "parcel_id", name=op.f("uq_push_warehouse_id_parcel_id")),
    )
    with op.batch_alter_table("push", schema=None) as batch_op:
        batch_op.create_index("ix_push_state", ["warehouse_id", "state", "next_at"], unique=False)

    op.create_table(
        "shortage",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("order_line_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("location_id", sa.BigInteger(), nullable=True),
        sa.Column("qty", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("decision", sa.String(length=40), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("qty > 0", name=op.f("ck_shortage_qty")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_shortage_item_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "order_id"],
            ["sales_order.warehouse_id", "sales_order.id"],
            name=op.f("fk_shortage_warehouse_id_order_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "order_line_id"],
            ["order_line.warehouse_id", "order_line.id"],
            name=op.f("fk_shortage_warehouse_id_order_line_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_shortage_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_shortage")),
    )
    with op.batch_alter_table("shortage", schema=None) as batch_op:
        batch_op.create_index("ix_shortage_state", ["warehouse_id", "state"], unique=False)

    op.create_table(
        "sign_in",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("device_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "device_id"],
            ["device.warehouse_id", "device.id"],
            name=op.f("fk_sign_in_warehouse_id_device_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "operator_id"],
            ["operator.warehouse_id", "operator.id"],
            name=op.f("fk_sign_in_warehouse_id_operator_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_sign_in_warehouse_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sign_in")),
    )
    op.create_table(
        "waybill",
        sa.Column("carrier_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("parcel_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["carrier_id"], ["carrier.id"], name=op.f("fk_waybill_carrier_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "parcel_id"],
            ["parcel.warehouse_id", "parcel.id"],
            name=op.f("fk_waybill_warehouse_id_parcel_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_waybill_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_waybill")),
        sa.UniqueConstraint("carrier_id", "number", name=op.f("uq_waybill_carrier_id_number")),
    )
    with op.batch_alter_table("waybill", schema=None) as batch_op:
        batch_op.create_index("ix_waybill_number", ["warehouse_id", "number"], unique=False)
        batch_op.create_index(
            "uq_waybill_one_live",
            ["warehouse_id", "parcel_id"],
            unique=True,
            sqlite_where=sa.text("state = 'live'"),
            postgresql_where=sa.text("state = 'live'"),
        )

    guard()


def downgrade() -> None:
    unguard()
    with op.batch_alter_table("waybill", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_waybill_one_live",
            sqlite_where=sa.text("state = 'live'"),
            postgresql_where=sa.text("state = 'live'"),
        )
        batch_op.drop_index("ix_waybill_number")

    op.drop_table("waybill")
    op.drop_table("sign_in")
    with op.batch_alter_table("shortage", schema=None) as batch_op:
        batch_op.drop_index("ix_shortage_state")

    op.drop_table("shortage")
    with op.batch_alter_table("push", schema=None) as batch_op:
        batch_op.drop_index("ix_push_state")

    op.drop_table("push")
    op.drop_table("parcel_line")
    with op.batch_alter_table("allocation", schema=None) as batch_op:
        batch_op.drop_index("ix_allocation_order")
        batch_op.drop_index("ix_allocation_balance")

    op.drop_table("allocation")
    with op.batch_alter_table("tote_use", schema=None) as batch_op:
        batch_op.drop_index("ix_tote_use_order")

    op.drop_table("tote_use")
    with op.batch_alter_table("print_attempt", schema=None) as batch_op:
        batch_op.drop_index("ix_print_attempt_job")

    op.drop_table("print_attempt")
    with op.batch_alter_table("pick_task", schema=None) as batch_op:
        batch_op.drop_index("ix_pick_task_step")
        batch_op.drop_index("ix_pick_task_order")
        batch_op.drop_index("ix_pick_task_operator")

    op.drop_table("pick_task")
    with op.batch_alter_table("parcel", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_parcel_one_open",
            sqlite_where=sa.text("state IN ('open', 'verified')"),
            postgresql_where=sa.text("state IN ('open', 'verified')"),
        )
        batch_op.drop_index("ix_parcel_state")
        batch_op.drop_index("ix_parcel_order")
        batch_op.drop_index("ix_parcel_operator")

    op.drop_table("parcel")
    with op.batch_alter_table("order_line", schema=None) as batch_op:
        batch_op.drop_index("ix_order_line_item")

    op.drop_table("order_line")
    with op.batch_alter_table("device", schema=None) as batch_op:
        batch_op.drop_index("ix_device_token")

    op.drop_table("device")
    op.drop_table("count_line")
    with op.batch_alter_table("stock_move", schema=None) as batch_op:
        batch_op.drop_index("ix_stock_move_to")
        batch_op.drop_index("ix_stock_move_item")
        batch_op.drop_index("ix_stock_move_from")
        batch_op.drop_index("ix_stock_move_cause")

    op.drop_table("stock_move")
    op.drop_table("station")
    with op.batch_alter_table("sales_order", schema=None) as batch_op:
        batch_op.drop_index("ix_sales_order_state")
        batch_op.drop_index("ix_sales_order_no")

    op.drop_table("sales_order")
    op.drop_table("receive_work")
    op.drop_table("receipt_line")
    op.drop_table("putaway_work")
    with op.batch_alter_table("print_job", schema=None) as batch_op:
        batch_op.drop_index("ix_print_job_queue")
        batch_op.drop_index("ix_print_job_document")

    op.drop_table("print_job")
    with op.batch_alter_table("count", schema=None) as batch_op:
        batch_op.drop_index("ix_count_state")
        batch_op.drop_index("ix_count_location")

    op.drop_table("count")
    with op.batch_alter_table("balance", schema=None) as batch_op:
        batch_op.drop_index("ix_balance_item")

    op.drop_table("balance")
    op.drop_table("waybill_range")
    op.drop_table("wave")
    op.drop_table("shop")
    with op.batch_alter_table("scan_request", schema=None) as batch_op:
        batch_op.drop_index("ix_scan_request_at")

    op.drop_table("scan_request")
    op.drop_table("receipt")
    op.drop_table("printer")
    op.drop_table("operator")
    with op.batch_alter_table("manifest", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_manifest_one_open",
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        )

    op.drop_table("manifest")
    op.drop_table("lot")
    with op.batch_alter_table("location", schema=None) as batch_op:
        batch_op.drop_index("ix_location_walk")

    op.drop_table("location")
    with op.batch_alter_table("journal", schema=None) as batch_op:
        batch_op.drop_index("ix_journal_document")

    op.drop_table("journal")
    with op.batch_alter_table("barcode", schema=None) as batch_op:
        batch_op.drop_index("ix_barcode_item_id")

    op.drop_table("barcode")
    op.drop_table("warehouse")
    op.drop_table("item")
    op.drop_table("carrier")
