"""The doctor asks real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.databases import PostgresPair, Valkey
from tests.unit.test_commands import call

pytestmark = pytest.mark.server


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_a_database_and_a_redis_that_answer_are_no_problem(
    tmp_path: Path, postgres: PostgresPair, valkey: Valkey, driver: str
) -> None:
    ini = tmp_path / "production.ini"
    ini.write_text("[app:main]\nsqlalchemy.url = %(MASTER)s\nsqlalchemy_slave.url = %(SLAVE)s\n")
    environ = {
        "MASTER": postgres.master.dsn(f"postgresql+{driver}"),
        "SLAVE": postgres.replica.dsn(f"postgresql+{driver}"),
        "C2C_REDIS_URL": valkey.url,
    }
    done = call(tmp_path, "doctor", "--config", str(ini), **environ)
    assert (done.returncode, done.stderr) == (0, "")
    wrong = {**environ, "SLAVE": environ["SLAVE"].rpartition("/")[0] + "/nowhere"}
    done = call(tmp_path, "doctor", "--config", str(ini), **wrong)
    assert done.returncode == 1
    assert "problem  sqlalchemy_slave.url: cannot be reached: OperationalError" in done.stdout
    assert 'database "nowhere" does not exist' in done.stdout
