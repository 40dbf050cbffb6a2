"""a print job knows how often it was claimed and whether its newest try had begun

The defaults stay in the tables: the release before this one writes rows without these columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003_print_starts"
down_revision = "0002_printer_languages"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("print_job", sa.Column("attempt", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("print_job", sa.Column("started_at", sa.DateTime(), nullable=True))
    # What an older worker was sending when it was replaced may have begun: nobody can say it had not.
    op.execute("UPDATE print_job SET state = 'unknown', reason = 'interrupted' WHERE state = 'sending'")


def downgrade() -> None:
    for column in ("started_at", "attempt"):
        op.drop_column("print_job", column)
