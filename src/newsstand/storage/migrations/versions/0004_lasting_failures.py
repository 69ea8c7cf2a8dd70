"""Which failures wait for a change, so that a restart does not repeat them.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("newsstand_node", sa.Column("failed_by", sa.LargeBinary(length=16), nullable=True))


def downgrade() -> None:
    op.drop_column("newsstand_node", "failed_by")
