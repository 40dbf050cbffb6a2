"""station agents; each try of a print job has its number and is written down once; a queue may be trusted

The defaults stay in the tables: the release before this one writes rows without these columns. Tries written before
have no number, and no number clashes with none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004_station_agents"
down_revision = "0003_print_starts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("printer", sa.Column("trusted", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("print_attempt", sa.Column("attempt", sa.Integer(), nullable=True))
    op.create_index("ix_print_attempt_once", "print_attempt", ["warehouse_id", "job_id", "attempt"], unique=True)
    op.create_table(
        "station_agent",
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("station_id", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("system", sa.String(length=80), nullable=False),
        sa.Column("queues", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.Column("warehouse_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "station_id"],
            ["station.warehouse_id", "station.id"],
            name=op.f("fk_station_agent_warehouse_id_station_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_station_agent_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_station_agent")),
        sa.UniqueConstraint("warehouse_id", "code", name=op.f("uq_station_agent_warehouse_id_code")),
    )
    op.create_index("ix_station_agent_token", "station_agent", ["token_sha256"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_station_agent_token", table_name="station_agent")
    op.drop_table("station_agent")
    op.drop_index("ix_print_attempt_once", table_name="print_attempt")
    op.drop_column("print_attempt", "attempt")
    op.drop_column("printer", "trusted")
