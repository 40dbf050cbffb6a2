"""printers speak ZPL or TSPL; a job keeps its language, its source and what could not be drawn

The defaults stay in the tables: the release before this one writes rows without these columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002_printer_languages"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("printer", sa.Column("language", sa.String(length=24), nullable=False, server_default="zpl"))
    op.add_column("print_job", sa.Column("language", sa.String(length=24), nullable=False, server_default="zpl"))
    op.add_column("print_job", sa.Column("source", sa.LargeBinary(), nullable=True))
    op.add_column("print_job", sa.Column("source_kind", sa.String(length=8), nullable=False, server_default=""))
    op.add_column("print_job", sa.Column("not_drawn", sa.String(length=120), nullable=False, server_default=""))


def downgrade() -> None:
    for column in ("not_drawn", "source_kind", "source", "language"):
        op.drop_column("print_job", column)
    op.drop_column("printer", "language")
