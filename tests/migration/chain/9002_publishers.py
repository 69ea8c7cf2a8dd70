"""Test-only: data moves from one table to another, and back.

Revision ID: 9002
Revises: 9001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "9002"
down_revision = "9001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "newsstand_publisher",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("jid", sa.Text(), nullable=False, unique=True),
    )
    op.execute(
        sa.text(
            "INSERT INTO newsstand_publisher (jid)"
            " SELECT DISTINCT publisher FROM newsstand_item WHERE publisher IS NOT NULL ORDER BY publisher"
        )
    )
    op.add_column("newsstand_item", sa.Column("publisher_id", sa.BigInteger(), nullable=True))
    op.execute(
        sa.text(
            "UPDATE newsstand_item SET publisher = NULL,"
            " publisher_id = (SELECT id FROM newsstand_publisher WHERE jid = newsstand_item.publisher)"
        )
    )


def downgrade() -> None:
    op.execute(
        sa.text(
            "UPDATE newsstand_item SET"
            " publisher = (SELECT jid FROM newsstand_publisher WHERE id = newsstand_item.publisher_id)"
        )
    )
    op.drop_column("newsstand_item", "publisher_id")
    op.drop_table("newsstand_publisher")
