"""What alembic runs: of the library of 2018, it does only import `setup_process`."""

import os

import c2cotel.compat  # the one line that is new: before the first import of c2cwsgiutils
import c2cwsgiutils.setup_process
from alembic import context
from sqlalchemy import create_engine

with create_engine(os.environ["SQLALCHEMY_URL"]).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
