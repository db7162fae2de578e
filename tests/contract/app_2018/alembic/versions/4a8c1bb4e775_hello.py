"""The table of what was said."""

from alembic import op

revision = "4a8c1bb4e775"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE hello (id serial PRIMARY KEY, value text NOT NULL)")
    op.execute("INSERT INTO hello (value) VALUES ('first')")


def downgrade():
    op.execute("DROP TABLE hello")
