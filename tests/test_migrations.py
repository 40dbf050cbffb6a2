"""Migrations go up and down on both databases, end at the models, and bring the triggers with them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text

from wms import db
from wms.migrations.append_only import TABLES
from wms.models import Base
from wms.models.base import UtcTime
from wms.settings import Settings

REVISIONS = [
    revision.revision
    for revision in reversed(list(ScriptDirectory.from_config(db.alembic_config("")).walk_revisions()))
]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    folder: str = request.getfixturevalue("postgres")
    head, query = folder.replace("postgresql://", "postgresql+psycopg://").split("?", 1)
    head, name = head.rsplit("/", 1)[0], "wms_" + uuid.uuid4().hex[:12]
    admin = create_engine(f"{head}/postgres?{query}", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield f"{head}/{name}?{query}"
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = create_engine(url)
    yield made
    made.dispose()


def same_kind(_context: Any, _column: Any, _meta_column: Any, found: Any, wanted: Any) -> bool | None:
    """Our own types say in the table what they are made of: a time without zone, a word of some length."""
    if isinstance(wanted, UtcTime):
        return not isinstance(found, sa.DateTime)
    if isinstance(wanted, sa.Enum):
        return not (isinstance(found, sa.String) and found.length == wanted.length)
    return None


def unlike_the_models(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": same_kind})
        return list(compare_metadata(context, Base.metadata))


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def triggers(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            return set(connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars())
        return set(connection.execute(text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")).scalars())


def checks(engine: Engine) -> set[tuple[str, str]]:
    looker = inspect(engine)
    return {
        (table, str(check["name"]))
        for table in looker.get_table_names()
        for check in looker.get_check_constraints(table)
    }


def test_the_newest_tables_are_those_of_the_models(url: str, engine: Engine) -> None:
    assert db.migrate(Settings(database_url=url)) == REVISIONS[-1]
    assert unlike_the_models(engine) == []
    assert tables(engine) == set(Base.metadata.tables)
    wanted = {
        (table.name, str(c.name))
        for table in Base.metadata.tables.values()
        for c in table.constraints
        if isinstance(c, sa.CheckConstraint)
    }
    assert wanted <= checks(engine)


def test_each_revision_goes_up_down_and_up_again(url: str, engine: Engine) -> None:
    config = db.alembic_config(url)
    for revision in REVISIONS:
        before, guards = tables(engine), triggers(engine)
        command.upgrade(config, revision)
        after = tables(engine)
        command.downgrade(config, "-1")
        assert (tables(engine), triggers(engine)) == (before, guards), f"{revision} leaves something behind"
        command.upgrade(config, revision)
        assert tables(engine) == after
    assert unlike_the_models(engine) == []
    command.downgrade(config, "base")
    assert tables(engine) == set()
    assert triggers(engine) == set()


def test_what_happened_stays_guarded_after_every_upgrade(url: str, engine: Engine) -> None:
    """R1, R45: autogenerate knows nothing of triggers, so a later migration that rebuilds a table may lose them."""
    db.migrate(Settings(database_url=url))
    found = triggers(engine)
    for table in TABLES:
        guards = {f"{table}_no_update", f"{table}_no_delete"} if url.startswith("sqlite") else {f"{table}_append_only"}
        assert guards <= found


def test_a_database_says_what_it_still_needs(url: str) -> None:
    database = db.Database(url)
    try:
        assert db.migrations_pending(database) == "nothing"
        db.migrate(Settings(database_url=url))
        assert db.migrations_pending(database) is None
        assert db.migrate(Settings(database_url=url)) == REVISIONS[-1], "a second time changes nothing"
    finally:
        database.close()


def test_sqlite_runs_as_the_floor_needs_it(tmp_path: Path) -> None:
    """Keys are kept, readers do not wait for the writer, and "done" survives a power cut."""
    database = db.Database(f"sqlite:///{tmp_path / 'wms.db'}")
    try:
        with database.engine.connect() as connection:
            said = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "foreign_keys", "synchronous")
            }
        assert said == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2}
    finally:
        database.close()
