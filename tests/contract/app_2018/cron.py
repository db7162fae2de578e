"""A job that cron starts: it counts what was said."""

import logging
import os
import sys

import c2cotel.compat  # the one line that is new: before the first import of c2cwsgiutils
import c2cwsgiutils.setup_process
from c2cwsgiutils import sentry, stats
from sqlalchemy import create_engine, text

LOG = logging.getLogger("cron")


def main():
    with sentry.capture_exceptions(), stats.outcome_timer_context(["cron", "run"]):
        with create_engine(os.environ["SQLALCHEMY_URL"]).connect() as connection:
            number = connection.execute(text("SELECT count(*) FROM hello")).scalar()
        stats.set_gauge(["cron", "hellos"], number)
        stats.increment_counter(["cron", "runs"])
        LOG.info("%d hellos", number)
        if "fail" in sys.argv:
            raise ValueError("the job failed")


if __name__ == "__main__":
    main()
