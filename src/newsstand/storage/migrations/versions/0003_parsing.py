"""What is being parsed, so that an item which ends the process is put aside; how many bytes a node's items take.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "newsstand_parsing",
        sa.Column("node_id", BIG, autoincrement=False, nullable=False),
        sa.Column("until", sa.LargeBinary(length=20), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=20), nullable=True),
        sa.Column("revision", BIG, nullable=True),
        sa.Column("parser", sa.Text(), nullable=True),
        sa.Column("parser_version", sa.Integer(), nullable=True),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", BIG, nullable=False),
        sa.Column("started", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id"], ["newsstand_node.id"], name=op.f("fk_newsstand_parsing_node_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_newsstand_parsing")),
    )
    op.add_column("newsstand_node", sa.Column("payload_bytes", BIG, server_default="0", nullable=False))
    # One pass over the items; PostgreSQL knows their sizes without reading them.
    size = "length(CAST(xml AS BLOB))" if op.get_bind().dialect.name == "sqlite" else "octet_length(xml)"
    op.execute(
        sa.text(
            "UPDATE newsstand_node SET payload_bytes = coalesce("  # noqa: S608 - one of the two texts above
            f"(SELECT sum({size}) FROM newsstand_item WHERE newsstand_item.node_id = newsstand_node.id), 0)"
        )
    )


def downgrade() -> None:
    op.drop_column("newsstand_node", "payload_bytes")
    op.drop_table("newsstand_parsing")
