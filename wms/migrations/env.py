"""Alembic's entry: the same on SQLite and PostgreSQL, driven by wms.db.migrate."""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from sqlalchemy import create_engine

from wms.models import Base
from wms.models.base import UtcTime

config = context.config


def render_item(kind: str, obj: Any, _autogen_context: Any) -> str | Literal[False]:
    """Migrations speak plain SQL types: a later change of our own types must not change an old migration."""
    if kind == "type" and isinstance(obj, UtcTime):
        return "sa.DateTime()"
    if kind == "type" and isinstance(obj, sa.Enum):
        return f"sa.String(length={obj.length})"
    return False


engine = create_engine(config.attributes["url"])
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render_item,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
