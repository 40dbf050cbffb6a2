"""own label templates, printers by kind of label, rolls and gaps, container codes

The defaults stay in the tables: the release before this one writes rows without these columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006_labels_at_the_desk"
down_revision = "0005_platform_waybills"
branch_labels = None
depends_on = None

WAREHOUSE_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("warehouse", sa.Column("packing_lists", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("warehouse", sa.Column("gs1_prefix", sa.String(length=12), nullable=False, server_default=""))
    op.add_column("warehouse", sa.Column("next_carton", sa.BigInteger(), nullable=False, server_default="1"))
    op.add_column("printer", sa.Column("gap_mm", sa.Integer(), nullable=False, server_default="2"))
    op.add_column("printer", sa.Column("black_mark", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("printer", sa.Column("graphics", sa.String(length=8), nullable=False, server_default="z64"))
    op.add_column("printer", sa.Column("told", sa.JSON(), nullable=True))
    op.add_column("printer", sa.Column("told_at", sa.DateTime(), nullable=True))
    op.add_column("printer", sa.Column("roll_labels", sa.Integer(), nullable=True))
    op.add_column("printer", sa.Column("roll_at", sa.DateTime(), nullable=True))
    op.create_table(
        "station_printer",
        sa.Column("warehouse_id", WAREHOUSE_ID, nullable=False),
        sa.Column("station_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("printer_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "printer_id"],
            ["printer.warehouse_id", "printer.id"],
            name=op.f("fk_station_printer_warehouse_id_printer_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "station_id"],
            ["station.warehouse_id", "station.id"],
            name=op.f("fk_station_printer_warehouse_id_station_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_station_printer_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "station_id", "kind", name=op.f("pk_station_printer")),
    )
    op.create_table(
        "label_template",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("changed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.Column("trouble", sa.JSON(), nullable=True),
        sa.Column("failed_at", sa.DateTime(), nullable=True),
        sa.Column("warehouse_id", WAREHOUSE_ID, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_label_template_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_label_template")),
        sa.UniqueConstraint("warehouse_id", "name", name=op.f("uq_label_template_warehouse_id_name")),
    )
    op.create_index(
        "uq_label_template_one_active",
        "label_template",
        ["warehouse_id", "kind"],
        unique=True,
        sqlite_where=sa.text("active = 1"),
        postgresql_where=sa.text("active"),
    )
    op.create_table(
        "label_template_version",
        sa.Column("template_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("warehouse_id", WAREHOUSE_ID, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "template_id"],
            ["label_template.warehouse_id", "label_template.id"],
            name=op.f("fk_label_template_version_warehouse_id_template_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id"], ["warehouse.id"], name=op.f("fk_label_template_version_warehouse_id")
        ),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_label_template_version")),
        sa.UniqueConstraint(
            "warehouse_id",
            "template_id",
            "version",
            name=op.f("uq_label_template_version_warehouse_id_template_id_version"),
        ),
    )
    op.create_table(
        "carton_code",
        sa.Column("sscc", sa.String(length=18), nullable=False),
        sa.Column("document", sa.String(length=32), nullable=False),
        sa.Column("document_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("warehouse_id", WAREHOUSE_ID, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_carton_code_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_carton_code")),
        sa.UniqueConstraint("warehouse_id", "sscc", name=op.f("uq_carton_code_warehouse_id_sscc")),
    )
    op.create_index("ix_carton_code_document", "carton_code", ["warehouse_id", "document", "document_id"])


def downgrade() -> None:
    for table in ("carton_code", "label_template_version", "label_template", "station_printer"):
        op.drop_table(table)
    for column in ("roll_at", "roll_labels", "told_at", "told", "graphics", "black_mark", "gap_mm"):
        op.drop_column("printer", column)
    for column in ("next_carton", "gs1_prefix", "packing_lists"):
        op.drop_column("warehouse", column)
