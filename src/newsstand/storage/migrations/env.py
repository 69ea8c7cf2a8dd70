"""How Alembic runs here: inside Newsstand's own transaction, or from its command line in this folder.

From the command line, `-x url=sqlite:///some.db` (or `postgresql://…`) names the database. `revision --autogenerate`
needs none: it compares the mapping with a database that it makes for the purpose.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from alembic import context
from sqlalchemy import Connection

from newsstand.errors import ConfigurationError
from newsstand.storage import database
from newsstand.storage.mapping import PREFIX, VERSION_TABLE, Base
from newsstand.storage.schema import versioning
from newsstand.storage.schema.full_text import FTS_TABLE
from newsstand.storage.sqlite.connections import check_length, make_engine, make_file, path_of, translated

HERE = Path(__file__).parent


def include_name(name: str | None, kind: str, _: Any) -> bool:
    """Only our tables: a program's own are none of our business, and those that FTS5 keeps are its own."""
    if kind == "index":
        return name != FTS_TABLE
    if kind != "table" or name is None:
        return True
    return name.startswith(PREFIX) and not name.startswith(FTS_TABLE) and name != VERSION_TABLE


def number_revision(_: Any, __: Any, directives: list[Any]) -> None:
    """Revisions are numbered, so that the newest is known from the files' names."""
    if directives:
        newest = max(versioning.revisions(), default="0000")
        directives[0].rev_id = f"{int(newest) + 1:04d}"


def run(conn: Connection) -> None:
    context.configure(
        connection=conn,
        target_metadata=Base.metadata,
        version_table=VERSION_TABLE,
        include_name=include_name,
        process_revision_directives=number_revision,
        render_as_batch=False,
        transactional_ddl=True,
        compare_type=True,
        compare_server_default=True,
    )
    context.run_migrations()
    versioning.check_foreign_keys(conn)


def run_on(url: str) -> None:
    def checked(conn: Connection) -> None:
        versioning.check_known(conn)
        run(conn)

    if not database.is_file(url):
        from newsstand.storage.postgresql import opening

        opening.run_under_lock(database.check_url(url), checked)
        return
    parsed = database.check_url(url)
    path = path_of(parsed)
    with translated(path):
        check_length(path, make_file(path))
        with make_engine(parsed, "IMMEDIATE", look_only=True).begin() as conn:
            checked(conn)


def run_from_command_line() -> None:
    url = context.get_x_argument(as_dictionary=True).get("url")
    if url is not None:
        run_on(url)
        return
    options = context.config.cmd_opts
    if options is None or options.cmd[0].__name__ not in ("revision", "check"):
        raise ConfigurationError("name the database: alembic -x url=sqlite:///some.db …")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/at-head.db"
        subprocess.run(  # noqa: S603 - our own interpreter and file
            [
                sys.executable,
                "-m",
                "alembic",
                "-c",
                HERE / "alembic.ini",
                "-x",
                f"url={url}",
                "upgrade",
                "head",
            ],
            check=True,
        )
        run_on(url)


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    run_from_command_line()
