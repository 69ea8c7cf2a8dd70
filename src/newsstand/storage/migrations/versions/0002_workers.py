"""Several workers on one database: who follows which node, and what is in doubt.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "newsstand_worker",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", BIG, nullable=False),
        sa.Column("started", sa.Text(), nullable=False),
        sa.Column("until", BIG, nullable=False),
        sa.Column("hears", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("shares", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_newsstand_worker")),
    )
    op.create_table(
        "newsstand_doubt",
        sa.Column("node_id", BIG, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=20), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id"], ["newsstand_node.id"], name=op.f("fk_newsstand_doubt_node_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("node_id", "digest", name=op.f("pk_newsstand_doubt")),
    )
    op.add_column("newsstand_node", sa.Column("leader", sa.String(length=32), nullable=True))


def downgrade() -> None:
    op.drop_column("newsstand_node", "leader")
    op.drop_table("newsstand_doubt")
    op.drop_table("newsstand_worker")
