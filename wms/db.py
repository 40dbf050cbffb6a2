"""The engine and the transaction: the only way to the database, on SQLite (WAL) and PostgreSQL alike."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Executable, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

from wms import sealing
from wms.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it, on which device, by which scan (R16, R45). The night has no operator."""

    warehouse_id: int
    operator_id: int | None = None
    device_id: str | None = None
    scan_id: str | None = None


class WriterQueue:
    """Lets writers of one process through one by one, in the order they came.

    SQLite has one writer; its own busy handler sleeps in growing steps, which at 50 phones gave p99 above
    one second (docs/decisions/0003). A queue in front of BEGIN IMMEDIATE takes that tail away.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._busy = False
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        with self._guard:
            if not self._busy:
                self._busy = True
                gate = None
            else:
                gate = threading.Lock()
                gate.acquire()
                self._waiting.append(gate)
        if gate is not None:
            gate.acquire()
        try:
            yield
        finally:
            with self._guard:
                if self._waiting:
                    self._waiting.popleft().release()
                else:
                    self._busy = False


class Database:
    """One database: its engine, its writing and its reading sessions."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sqlite = url.startswith("sqlite")
        self._writers = WriterQueue()
        if self.sqlite:
            # Enough for every thread of a flood: a pool that overflows opens and closes files at each scan.
            self.engine = create_engine(url, pool_size=40, max_overflow=24, query_cache_size=2000)
            _speak_sqlite(self.engine)
        else:
            self.engine = create_engine(url, pool_size=32, max_overflow=16, pool_pre_ping=True, query_cache_size=2000)
        self._write = sessionmaker(self.engine, expire_on_commit=False)
        looking = self.engine.execution_options(reads=True, **({} if self.sqlite else {"postgresql_readonly": True}))
        self._read = sessionmaker(looking, expire_on_commit=False, autoflush=False)
        self._one_look = {"reads": True} if self.sqlite else {"isolation_level": "AUTOCOMMIT"}

    @contextmanager
    def transaction(self, actor: Actor | None = None) -> Iterator[Session]:
        """One short writing transaction: committed when the block ends, rolled back when it raises."""
        if not self.sqlite:
            with self._write() as session, session.begin():
                session.info["actor"] = actor
                yield session
            return
        with self._writers.turn(), self._write() as session, session.begin():
            session.info["actor"] = actor
            session.connection()  # BEGIN IMMEDIATE now: read-then-write inside the block is safe
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only looks: never holds the writer up; a change is thrown away, or refused by PostgreSQL.

        On PostgreSQL it ends with COMMIT: at each ROLLBACK psycopg throws its prepared statements away, and every
        statement of the next scan is planned anew (docs/decisions/0026).
        """
        with self._read() as session:
            try:
                yield session
            except BaseException:
                session.expunge_all()  # rows read stay readable; a rollback would empty them
                raise
            session.expunge_all()
            if self.sqlite:
                session.rollback()
            else:
                session.commit()

    def look(self, statement: Executable, parameters: dict[str, Any]) -> Sequence[Any] | None:
        """The first row of one statement, without the price of a session (every request asks who it is)."""
        with self.engine.connect() as connection:
            return connection.execution_options(**self._one_look).execute(statement, parameters).first()

    def close(self) -> None:
        self.engine.dispose()


def actor_of(session: Session) -> Actor:
    """The actor a transaction was opened for; a write without one is our own mistake."""
    actor = session.info.get("actor")
    assert isinstance(actor, Actor), "a writing transaction needs an actor"
    return actor


def _speak_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        # FULL, because "done" on a picker's screen must survive a power cut (facts: +0.1 ms a commit).
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=10000",
            "cache_size=-8192",  # the file is mapped as well; 40 connections have a cache each
            "temp_store=MEMORY",
            "mmap_size=268435456",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def open_database(settings: Settings) -> Database:
    if settings.sqlite:
        Path(settings.database_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    sealing.use_key(settings.secret_key)
    return Database(settings.database_url)


def alembic_config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


def migrate(settings: Settings, revision: str = "head") -> str:
    """Bring the tables to a revision (head when not said); returns the revision reached."""
    if settings.sqlite:
        Path(settings.database_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    config = alembic_config(settings.database_url)
    command.upgrade(config, revision)
    return ScriptDirectory.from_config(config).get_current_head() or ""


def migrations_pending(database: Database) -> str | None:
    """None when the tables are at head, else the revision they stand at ("nothing" when empty)."""
    head = ScriptDirectory.from_config(alembic_config(database.url)).get_current_head()
    with database.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    return None if current == head else (current or "nothing")
