"""The first schema.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "newsstand_account",
        sa.Column("id", BIG, nullable=False),
        sa.Column("jid", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_newsstand_account")),
        sa.UniqueConstraint("jid", name=op.f("uq_newsstand_account_jid")),
    )
    op.create_table(
        "newsstand_service",
        sa.Column("jid", sa.String(length=3071), nullable=False),
        sa.Column("ways", JSON, nullable=False),
        sa.Column("learnt", BIG, nullable=False),
        sa.PrimaryKeyConstraint("jid", name=op.f("pk_newsstand_service")),
    )
    op.create_table(
        "newsstand_node",
        sa.Column("id", BIG, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("service", sa.String(length=3071), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_digest", sa.LargeBinary(length=20), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("analyser", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("subtype", sa.Text(), nullable=True),
        sa.Column("analysed_by", sa.LargeBinary(length=16), nullable=True),
        sa.Column("pubsub_type", sa.Text(), nullable=True),
        sa.Column("access_model", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("complete", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("verified_at", BIG, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retry_at", BIG, nullable=True),
        sa.Column("shows_publisher", sa.Boolean(), nullable=True),
        sa.Column("subscription", sa.String(length=16), server_default="none", nullable=False),
        sa.Column("revision", BIG, server_default="0", nullable=False),
        sa.Column("generation", BIG, server_default="0", nullable=False),
        sa.Column("read_at", BIG, nullable=True),
        sa.Column("item_count", BIG, server_default="0", nullable=False),
        sa.Column("quarantined", BIG, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["newsstand_account.id"],
            name=op.f("fk_newsstand_node_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_newsstand_node")),
        sa.UniqueConstraint(
            "account_id",
            "service",
            "name_digest",
            name=op.f("uq_newsstand_node_account_id_service_name_digest"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "newsstand_change",
        sa.Column("node_id", BIG, nullable=False),
        sa.Column("revision", BIG, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=20), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id"], ["newsstand_node.id"], name=op.f("fk_newsstand_change_node_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("node_id", "revision", "digest", name=op.f("pk_newsstand_change")),
    )
    op.create_index(op.f("ix_newsstand_change_at"), "newsstand_change", ["at"], unique=False)
    op.create_table(
        "newsstand_item",
        sa.Column("node_id", BIG, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=20), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("xml", sa.Text(), nullable=False),
        sa.Column("content_digest", sa.LargeBinary(length=20), nullable=False),
        sa.Column("quarantine", sa.Text(), nullable=True),
        sa.Column("publisher", sa.Text(), nullable=True),
        sa.Column("position", BIG, nullable=False),
        sa.Column("recency", BIG, nullable=False),
        sa.Column("revision", BIG, nullable=False),
        sa.Column("first_seen", BIG, nullable=False),
        sa.Column("updated", BIG, nullable=False),
        sa.Column("parsed", JSON, nullable=True),
        sa.Column("parser", sa.Text(), nullable=True),
        sa.Column("parser_version", sa.Integer(), nullable=True),
        sa.Column("parse_error", sa.Text(), nullable=True),
        sa.Column("to_parse", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id"], ["newsstand_node.id"], name=op.f("fk_newsstand_item_node_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("node_id", "digest", name=op.f("pk_newsstand_item")),
    )
    op.create_index(op.f("ix_newsstand_item_node_id_position"), "newsstand_item", ["node_id", "position"], unique=False)
    op.create_index(op.f("ix_newsstand_item_node_id_recency"), "newsstand_item", ["node_id", "recency"], unique=False)
    op.create_index(op.f("ix_newsstand_item_recency"), "newsstand_item", ["recency"], unique=True)
    op.create_index(
        "ix_newsstand_item_to_parse",
        "newsstand_item",
        ["node_id", "digest"],
        unique=False,
        sqlite_where=sa.text("to_parse = 1"),
        postgresql_where=sa.text("to_parse"),
    )
    op.create_table(
        "newsstand_item_text",
        sa.Column("docid", BIG, autoincrement=False, nullable=False),
        sa.Column("node_id", BIG, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=20), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id", "digest"],
            ["newsstand_item.node_id", "newsstand_item.digest"],
            name=op.f("fk_newsstand_item_text_node_id_digest"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("docid", name=op.f("pk_newsstand_item_text")),
        sa.UniqueConstraint("node_id", "digest", name=op.f("uq_newsstand_item_text_node_id_digest")),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE newsstand_item_fts USING fts5("
            "scope, terms, content='newsstand_item_text', content_rowid='docid', tokenize='ascii')"
        )
        op.execute(
            "CREATE TRIGGER newsstand_item_text_gone AFTER DELETE ON newsstand_item_text BEGIN "
            "INSERT INTO newsstand_item_fts(newsstand_item_fts, rowid, scope, terms) "
            "VALUES ('delete', old.docid, old.scope, old.terms); END"
        )
    else:
        op.execute(
            "CREATE INDEX newsstand_item_fts ON newsstand_item_text "
            "USING gin (string_to_array('@' || scope || ' ' || terms, ' '))"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER newsstand_item_text_gone")
        op.execute("DROP TABLE newsstand_item_fts")
    op.drop_table("newsstand_item_text")
    op.drop_index(
        "ix_newsstand_item_to_parse",
        table_name="newsstand_item",
        sqlite_where=sa.text("to_parse = 1"),
        postgresql_where=sa.text("to_parse"),
    )
    op.drop_index(op.f("ix_newsstand_item_node_id_recency"), table_name="newsstand_item")
    op.drop_index(op.f("ix_newsstand_item_recency"), table_name="newsstand_item")
    op.drop_index(op.f("ix_newsstand_item_node_id_position"), table_name="newsstand_item")
    op.drop_table("newsstand_item")
    op.drop_index(op.f("ix_newsstand_change_at"), table_name="newsstand_change")
    op.drop_table("newsstand_change")
    op.drop_table("newsstand_node")
    op.drop_table("newsstand_service")
    op.drop_table("newsstand_account")
