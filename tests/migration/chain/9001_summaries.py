"""Test-only: an additive change, filled from other columns.

Revision ID: 9001
Revises: the newest of Newsstand's own, whichever that is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from newsstand.storage.schema.versioning import revisions

revision = "9001"
down_revision = max(known for known in revisions() if known < "9000")
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("newsstand_node", sa.Column("summary", sa.Text(), nullable=True))
    op.execute(sa.text("UPDATE newsstand_node SET summary = service || ' ' || name || ' ' || state"))
    op.create_index("ix_newsstand_node_summary", "newsstand_node", ["summary"])


def downgrade() -> None:
    op.drop_index("ix_newsstand_node_summary", table_name="newsstand_node")
    op.drop_column("newsstand_node", "summary")
