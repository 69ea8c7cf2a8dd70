"""How often a program reads a node in one session: by this it is known what pays at the start of the next one.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("newsstand_node", sa.Column("session_reads", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("newsstand_node", "session_reads")
