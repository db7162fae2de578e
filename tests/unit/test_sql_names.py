"""The names of SQL statements (contract, section 3, ruling 4)."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2cotel.instrumentation.sqlalchemy.names import sql_name

NAMES = {
    # the contract's own
    "SELECT hello.id FROM hello LIMIT %(p)s": "SELECT FROM hello LIMIT ?",
    "SELECT (SELECT max(b) FROM y) AS m FROM x": "SELECT FROM y) AS m FROM x",
    # blanks
    "SELECT a\n  FROM\tt": "SELECT FROM t",
    "SELECT a, b,\r\n c FROM t \n WHERE  a = %(a)s": "SELECT FROM t WHERE a = ?",
    # SELECT
    "SELECT 1": "SELECT ?",
    "SELECT version()": "SELECT version()",
    "SELECT DISTINCT a FROM t": "SELECT FROM t",
    "SELECT count(*) AS count_1 FROM t": "SELECT FROM t",
    "select a from t where b = 1": "select a from t where b = ?",
    "SELECT a FROM t UNION SELECT b FROM u": "SELECT FROM t UNION SELECT FROM u",
    "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.id = t.id)": (
        "SELECT FROM t WHERE EXISTS (SELECT FROM u WHERE u.id = t.id)"
    ),
    "SELECT a FROM t JOIN u ON t.id = u.t WHERE u.x = %(x_1)s": "SELECT FROM t JOIN u ON t.id = u.t WHERE u.x = ?",
    "SELECT a FROM t LEFT OUTER JOIN u AS v ON t.id = v.t": "SELECT FROM t LEFT OUTER JOIN u AS v ON t.id = v.t",
    "SELECT a FROM t ORDER BY a DESC LIMIT %(l)s OFFSET %(o)s": "SELECT FROM t ORDER BY a DESC LIMIT ? OFFSET ?",
    "SELECT a FROM t GROUP BY a HAVING count(a) > 5": "SELECT FROM t GROUP BY a HAVING count(a) > ?",
    "SELECT a FROM t FOR UPDATE SKIP LOCKED": "SELECT FROM t FOR UPDATE SKIP LOCKED",
    "WITH c AS (SELECT a FROM t) SELECT a FROM c": "WITH c AS (SELECT FROM t) SELECT FROM c",
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c": (
        "WITH RECURSIVE c(n) AS (SELECT FROM c) SELECT FROM c"
    ),
    "SELECT EXTRACT(year FROM d) FROM t": "SELECT FROM d) FROM t",
    # IN
    "SELECT a FROM t WHERE b IN (1, 2, 3)": "SELECT FROM t WHERE b IN (?)",
    "SELECT a FROM t WHERE b IN (%(b_1)s, %(b_2)s)": "SELECT FROM t WHERE b IN (?)",
    "SELECT a FROM t WHERE b NOT IN (1) AND c IN (2)": "SELECT FROM t WHERE b NOT IN (?) AND c IN (?)",
    "SELECT a FROM t WHERE b IN (SELECT x FROM u WHERE y IN (1, 2)) AND c = 3": (
        "SELECT FROM t WHERE b IN (?) AND c = ?"
    ),
    "SELECT a FROM t WHERE b IN ('(', ')', 'it''s') AND c": "SELECT FROM t WHERE b IN (?) AND c",
    'SELECT a FROM t WHERE b IN (")") AND c': "SELECT FROM t WHERE b IN (?) AND c",
    "SELECT a FROM t WHERE (b, c) IN ((1, 2), (3, 4))": "SELECT FROM t WHERE (b, c) IN (?)",
    "SELECT a FROM t WHERE b IN (lower('X'), (1))": "SELECT FROM t WHERE b IN (?)",
    "SELECT a FROM t WHERE b IN (1, 2": "SELECT FROM t WHERE b IN (?, ?",
    "SELECT a FROM t WHERE b in (1, 2)": "SELECT FROM t WHERE b in (?)",
    # INSERT
    "INSERT INTO t (a, b) VALUES (%(a)s, %(b)s)": "INSERT INTO t",
    "INSERT INTO t (a) VALUES (1), (2), (3)": "INSERT INTO t",
    "INSERT INTO t (a) VALUES (%(a__0)s), (%(a__1)s) RETURNING t.id": "INSERT INTO t",
    "INSERT INTO s.t (a) SELECT b FROM u": "INSERT INTO s.t",
    "INSERT INTO t DEFAULT VALUES": "INSERT INTO t DEFAULT VALUES",
    'INSERT INTO "T x" (a) VALUES (1)': 'INSERT INTO "T x"',
    "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 1": "INSERT INTO t",
    "insert into t (a) values (1)": "insert into t (a) values (?)",
    # UPDATE, DELETE
    "UPDATE t SET a=%(a)s, b=%(b)s WHERE t.id = %(id)s": "UPDATE t SET WHERE t.id = ?",
    "UPDATE t SET a=1": "UPDATE t SET a=?",
    "UPDATE t SET a=(SELECT max(x) FROM u) WHERE b = 'y'": "UPDATE t SET WHERE b = ?",
    "DELETE FROM t WHERE t.id = %(id)s": "DELETE FROM t WHERE t.id = ?",
    "DELETE FROM t": "DELETE FROM t",
    # binds
    "SELECT a FROM t WHERE b = %s": "SELECT FROM t WHERE b = ?",
    "SELECT a FROM t WHERE b = $1 AND c = $12": "SELECT FROM t WHERE b = ? AND c = ?",
    "SELECT a FROM t WHERE b = :b AND c = :c_1": "SELECT FROM t WHERE b = ? AND c = ?",
    "SELECT a FROM t WHERE b = ? AND c = ?": "SELECT FROM t WHERE b = ? AND c = ?",
    "SELECT a FROM t WHERE b = ?1": "SELECT FROM t WHERE b = ?",
    "SELECT a FROM t WHERE b = %(b)s::INTEGER": "SELECT FROM t WHERE b = ?",
    "SELECT a FROM t LIMIT %(param_1)s::INTEGER": "SELECT FROM t LIMIT ?",
    "SELECT a FROM t WHERE b = $1::VARCHAR": "SELECT FROM t WHERE b = ?",
    "SELECT a FROM t WHERE b = $1::NUMERIC(10, 2) AND c": "SELECT FROM t WHERE b = ? AND c",
    "SELECT a FROM t WHERE b = %(b)s::TIMESTAMP WITHOUT TIME ZONE AND c": "SELECT FROM t WHERE b = ? AND c",
    "SELECT a FROM t WHERE b = ANY (%(b)s::INTEGER[])": "SELECT FROM t WHERE b = ANY (?)",
    "SELECT a FROM t WHERE b::text = 'x'": "SELECT FROM t WHERE b::text = ?",
    # literals
    "SELECT a FROM t WHERE b = 'it''s'": "SELECT FROM t WHERE b = ?",
    "SELECT a FROM t WHERE b = E'a\\nb' AND c = N'x'": "SELECT FROM t WHERE b = ? AND c = ?",
    "SELECT a FROM t WHERE b = X'1F'": "SELECT FROM t WHERE b = ?",
    "SELECT a FROM t WHERE b = 1.5 AND c = -2 AND d = .5 AND e = 1e-9": (
        "SELECT FROM t WHERE b = ? AND c = -? AND d = ? AND e = ?"
    ),
    "SELECT a FROM t1 WHERE t1.b2 = 3": "SELECT FROM t1 WHERE t1.b2 = ?",
    'SELECT a FROM "T1 9" WHERE "b:1" = 3': 'SELECT FROM "T1 9" WHERE "b:1" = ?',
    "SELECT a FROM `t 1` WHERE b = 3": "SELECT FROM `t 1` WHERE b = ?",
    "SELECT a FROM t WHERE b = $$it's$$": "SELECT FROM t WHERE b = ?",
    "SELECT a FROM t WHERE b = $x$ $$ ' $x$ AND c": "SELECT FROM t WHERE b = ? AND c",
    "SELECT a FROM t WHERE b = 'x:y %s $1'": "SELECT FROM t WHERE b = ?",
    "SELECT a FROM t WHERE b IS NULL AND c = true": "SELECT FROM t WHERE b IS NULL AND c = true",
    # comments go
    "SELECT a FROM t /* page 12 */": "SELECT FROM t",
    "/*traceparent='00-aaa-bbb-01'*/ SELECT a FROM t": "SELECT FROM t",
    "SELECT a /* FROM */ FROM t/*x*/WHERE b = 1": "SELECT FROM t WHERE b = ?",
    "SELECT a FROM t /* a /* nested */ comment */ WHERE b = 1": "SELECT FROM t WHERE b = ?",
    "SELECT a FROM t -- don't\nWHERE b = 'hunter2'": "SELECT FROM t WHERE b = ?",
    "SELECT a FROM t /* it's */ WHERE b='hunter2'": "SELECT FROM t WHERE b=?",
    "SELECT a FROM t WHERE b = '--x' AND c = $$/*$$ AND d": "SELECT FROM t WHERE b = ? AND c = ? AND d",
    'SELECT a FROM "--t" /* never closed': 'SELECT FROM "--t"',
    "SELECT a FROM t WHERE b = 'it\\'s hunter2' AND c = 'x'": "SELECT FROM t WHERE b = ? AND c = ?",
    "SELECT a FROM t WHERE b = 0xFF AND c = 1_000": "SELECT FROM t WHERE b = ? AND c = ?",
    "SELECT a FROM t WHERE b = %(b)s::timestamp with time zone": "SELECT FROM t WHERE b = ?",
    # others
    "BEGIN": "BEGIN",
    # savepoints, lists and made-up names
    "SAVEPOINT sa_savepoint_1": "SAVEPOINT ?",
    'SAVEPOINT "a b"': "SAVEPOINT ?",
    "RELEASE SAVEPOINT sa_savepoint_1": "RELEASE SAVEPOINT ?",
    "ROLLBACK TO SAVEPOINT sa_savepoint_1": "ROLLBACK TO SAVEPOINT ?",
    "ROLLBACK TO x;": "ROLLBACK TO ?;",
    "insert into t values (1, 'a'), (2, now()), (3, null)": "insert into t values (?)",
    "SELECT a FROM (VALUES (%(a)s, 1), (%(b)s, 2)) AS v": "SELECT FROM (VALUES (?)) AS v",
    "SELECT a FROM t WHERE b = ANY (ARRAY[1, 2, 3])": "SELECT FROM t WHERE b = ANY (ARRAY[?])",
    'FETCH FORWARD 50 FROM "c_7f5e3c0a1b50_1f"': 'FETCH FORWARD ? FROM "?"',
    "DROP TABLE tmp_4f1c7ab20d5c4c53": "DROP TABLE ?",
    "TABLE measurements_202401": "TABLE measurements_202401",
    "SELECT a FROM t WHERE b = 'never closed": "SELECT FROM t WHERE b = ?",
    "CREATE TABLE t (id SERIAL NOT NULL, PRIMARY KEY (id))": "CREATE TABLE t (id SERIAL NOT NULL, PRIMARY KEY (id))",
    'PRAGMA main.table_info("t")': 'PRAGMA main.table_info("t")',
    "": "",
}


@pytest.mark.parametrize(("statement", "name"), NAMES.items(), ids=list(NAMES))
def test_the_name_of_a_statement(statement: str, name: str) -> None:
    assert sql_name(statement) == name


def test_the_table_is_as_long_as_it_was_promised() -> None:
    assert len(NAMES) >= 60


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("SELECT a FROM t WHERE b = 'x' AND c = 5", "SELECT FROM t WHERE b = 'x' AND c = 5"),
        ("SELECT a FROM t WHERE b IN (1, 2) LIMIT %(p)s", "SELECT FROM t WHERE b IN (?) LIMIT ?"),
        ("SELECT a FROM t WHERE b = %s", "SELECT FROM t WHERE b = %s"),
        ("SELECT a FROM t LIMIT %(p)s::INTEGER", "SELECT FROM t LIMIT ?"),
        ("SELECT a FROM t LIMIT %s::INTEGER OFFSET $1::BIGINT", "SELECT FROM t LIMIT %s OFFSET $1"),
        ("SELECT (SELECT max(b) FROM y) AS m FROM x", "SELECT FROM y) AS m FROM x"),
        ("SELECT a FROM t /*traceparent='00-a'*/ WHERE b = 5", "SELECT FROM t WHERE b = 5"),
        ("SAVEPOINT sa_savepoint_12", "SAVEPOINT ?"),
    ],
)
def test_the_2018_names_keep_literals(statement: str, name: str) -> None:
    assert sql_name(statement, literals=True) == name


@given(st.text(max_size=200))
def test_any_text_has_a_name_on_one_line(text: str) -> None:
    assert "\n" not in sql_name(text)


@given(st.integers(0), st.integers(0))
def test_statements_that_differ_in_a_number_only_share_a_name(first: int, second: int) -> None:
    assert sql_name(f"SELECT a FROM t WHERE b = {first}") == sql_name(f"SELECT a FROM t WHERE b = {second}")


@pytest.mark.parametrize("literals", [False, True])
@pytest.mark.parametrize(
    "word",
    [
        "SELECT ",
        "SET search_path = x; ",
        "INSERT INTO ",
        " IN (",
        "'",
        "/* ",
        "*/",
        "-- ",
        "$a$ ",
        "$a$b$c$",
        "::",
        "?::a(",
        "E'\\'",
        "''",
        "\\",
        '"',
        "`",
        "1_",
        "(",
        "[",
        "ARRAY[?,",
        "VALUES (?),",
        "a_",
        "%(a",
        ":a",
        " ",
        "SAVEPOINT ",
        "0a",
    ],
)
def test_the_time_for_a_name_grows_with_the_statement_alone(word: str, literals: bool) -> None:
    def seconds(length: int) -> float:
        start = process_time()
        sql_name((word * length)[:length], literals=literals)
        return process_time() - start

    assert seconds(100_000) < 0.5 + 20 * seconds(25_000)


def test_many_tags_of_dollar_quotes_are_looked_at_once() -> None:
    start = process_time()
    sql_name("".join(f"$a{n}$" for n in range(20_000)))
    assert process_time() - start < 5


@pytest.mark.parametrize(
    "statement",
    ["SAVEPOINT s{n}", "SELECT a FROM t /* {n} */", "VALUES ({list})", "SELECT a FROM t WHERE a in ({list})"],
)
def test_names_do_not_grow_with_the_data_of_requests(statement: str) -> None:
    names = {sql_name(statement.format(n=n, list=", ".join(["?"] * n))) for n in range(1, 20)}
    assert len(names) == 1
