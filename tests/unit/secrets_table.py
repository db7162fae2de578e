"""Texts with secrets in all the ways that they are written, for every place where texts leave the process."""

from __future__ import annotations

from typing import NamedTuple

SECRET = "hunter2"


class Sample(NamedTuple):
    """A text, the words in it that must not leave the process, and those that must."""

    text: str
    secrets: tuple[str, ...] = (SECRET,)
    stays: tuple[str, ...] = ()


_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4"
_PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIBVQIBADANBg\nkqhkiG9w0BAQ==\n-----END RSA PRIVATE KEY-----"

SAMPLES = [
    # structures
    Sample("{'password': ['hunter2'], 'a': ['bob']}", stays=("bob",)),
    Sample("{'password': ('hunter2', 'hunter2'), 'a': 1}", stays=("'a': 1",)),
    Sample("{b'password': [b'hunter2'], b'user': [b'bob']}", stays=("bob",)),
    Sample("{'secret': {'a': {'b': 'hunter2'}}, 'user': 'bob'}", stays=("bob",)),
    Sample("{'secret': [[['hunter2', ')'], 'x'], 'hunter2'], 'user': 'bob'}", stays=("bob",)),
    Sample('{"password": "hunter2", "user": "bob"}', stays=('"user": "bob"',)),
    Sample('{"password":"hunter2","user":"bob"}', stays=('"user":"bob"',)),
    Sample('{"password": "hun\\"ter2 hunter2", "user": "bob"}', ("ter2", SECRET), ("bob",)),
    Sample('"{\\"password\\": \\"hunter2\\", \\"user\\": \\"bob\\"}"', stays=("bob",)),
    Sample('"{\\"password\\": \\"hun\\\\\\"ter2\\", \\"user\\": \\"bob\\"}"', ("ter2",), ("bob",)),
    Sample(
        '"\\"{\\\\\\"secret\\\\\\": \\\\\\"hunter2\\\\\\", \\\\\\"user\\\\\\": \\\\\\"bob\\\\\\"}\\""', stays=("bob",)
    ),
    Sample("MultiDict([('secret', 'hunter2'), ('user', 'bob')])", stays=("bob",)),
    Sample("[('password', 'hunter2'), ('user', 'bob')]", stays=("bob",)),
    Sample("[(b'authorization', b'Bearer hunter2'), (b'host', b'bob')]", stays=("bob",)),
    Sample('[["password", "hunter2"], ["user", "bob"]]', stays=("bob",)),
    Sample('{"name": "password", "value": "hunter2"}', stays=("name",)),
    Sample('[{"key": "secret", "value": "hunter2"}, {"key": "user", "value": "bob"}]', stays=("bob",)),
    Sample("Login(user='bob', password='hunter2')", stays=("bob",)),
    Sample("Login(password=SecretStr('hunter2'), user='bob')", stays=("bob",)),
    Sample("os.environ['DB_PASSWORD'] = 'hunter2'", stays=("os.environ",)),
    Sample("'password' => 'hunter2', 'user' => 'bob'", stays=("bob",)),
    Sample("user[password]=hunter2&user[name]=bob", stays=("bob",)),
    Sample("requests.get(url, auth=('bob', 'hunter2'), timeout=3)", stays=("timeout=3",)),
    Sample("&quot;password&quot;: &quot;hunter2&quot;, &quot;user&quot;: &quot;bob&quot;", stays=("bob",)),
    # lines of configuration
    Sample("password: hunter2\nuser: bob", stays=("user: bob",)),
    Sample("password = hunter2\nuser = bob", stays=("user = bob",)),
    Sample("password:hunter2", stays=("password",)),
    Sample("password: |\n  hunter2\n  hunter2\nuser: bob", stays=("user: bob",)),
    Sample("host=h password='hun ter2' user=bob", ("hun", "ter2"), ("user=bob",)),
    Sample("host=h password=hunter2 user=bob", stays=("user=bob",)),
    Sample('PGPASSWORD="hunter2" psql', stays=("psql",)),
    Sample("Server=db;User Id=bob;Pwd=hunter2;Timeout=3", stays=("Timeout=3", "bob")),
    Sample("AccountName=bob;AccountKey=aHVudGVy+Mg==;Suffix=core", ("aHVudGVy", "Mg=="), ("Suffix=core",)),
    Sample("db_pass=hunter2", stays=("db_pass",)),
    Sample("OTEL_EXPORTER_OTLP_HEADERS=api-key=hunter2,x-team=hunter2", stays=("OTEL",)),
    Sample("OTEL_RESOURCE_ATTRIBUTES=api.key=hunter2,service.name=bob", stays=("service.name=bob",)),
    Sample("aws_secret_access_key=hunter2", stays=("aws",)),
    Sample("AWS_SESSION_TOKEN=hunter2", stays=("AWS",)),
    Sample("private_key=hunter2 passphrase=hunter2 SECRET_KEY=hunter2"),
    Sample("password1=hunter2&password_confirm=hunter2&user=bob", stays=("user=bob",)),
    Sample("client_secret=hunter2&refresh_token=hunter2&user=bob", stays=("user=bob",)),
    Sample("GITHUB_TOKEN_PROD: x secret_prod=hunter2"),
    # XML and HTML
    Sample("<user>bob</user><password>hunter2</password>", stays=("bob", "</password>")),
    Sample('<password type="text">hunter2</password>', stays=("</password>",)),
    Sample("<ns:Password>hunter2</ns:Password>"),
    Sample("<login user='bob' password='hunter2'/>", stays=("bob",)),
    Sample('<input type="text" name="password" value="hunter2">', stays=("input",)),
    # command lines
    Sample("app --password hunter2 --user bob", stays=("bob",)),
    Sample("app --password=hunter2 --user bob", stays=("bob",)),
    Sample("['app', '--password', 'hunter2', '--user', 'bob']", stays=("bob",)),
    Sample("sshpass -p hunter2 ssh bob@host", stays=("bob@host",)),
    Sample("curl -u bob:hunter2 http://host/", stays=("bob", "http://host/")),
    Sample("curl -H 'Authorization: Bearer hunter2' http://host/", stays=("http://host/",)),
    # headers
    Sample('{"Authorization": "Bearer hunter2", "Host": "bob"}', stays=("bob",)),
    Sample("Authorization: Basic hunter2\nHost: bob", stays=("Host: bob",)),
    Sample("Authorization: Digest username=bob, response=hunter2, nonce=hunter2\nHost: bob", stays=("Host: bob",)),
    Sample("Proxy-Authorization: Negotiate hunter2"),
    Sample("Cookie: a=hunter2; c2c_session=hunter2; theme=hunter2\nHost: bob", stays=("Host: bob",)),
    Sample("Set-Cookie: c2c_session=hunter2; Path=/; HttpOnly\nHost: bob", stays=("Host: bob",)),
    Sample("c2c_session=hunter2"),
    Sample("X-API-Key: hunter2\nHost: bob", stays=("Host: bob",)),
    Sample("Invalid API key: hunter2", stays=("Invalid API key",)),
    Sample("refused: Bearer hunter2", stays=("refused",)),
    Sample(f"expired: {_JWT} of bob", (_JWT, "SflKxwRJSMeKKF2QT4", "eyJzdWIi"), ("expired", "of bob")),
    Sample(f"key:\n{_PEM}\nbob", ("MIIBVQ", "kqhkiG9"), ("bob",)),
    Sample(f"[parameters: ('hunter2', 'hunter2')]\n{_PEM}\nbob", (SECRET, "MIIBVQ", "kqhkiG9"), ("bob",)),
    Sample(f"cut off: {_PEM[:50]}", ("MIIBVQ",), ("cut off",)),
    # parameters
    Sample("GET /x?secret=hunter2&y=1 HTTP/1.1", stays=("y=1", "HTTP/1.1")),
    Sample("GET /x?y=1;secret=hunter2 HTTP/1.1", stays=("y=1", "HTTP/1.1")),
    Sample("GET /x?y=1&amp;secret=hunter2&amp;z=2", stays=("y=1", "z=2")),
    Sample("GET /x?pass%77ord=hunter2&y=1", stays=("y=1",)),
    Sample("GET /x?p%61ssword=hunter2&y=1", stays=("y=1",)),
    Sample("GET /x?p%2561ssword=hunter2&y=1", stays=("y=1",)),
    Sample("GET /x?next=/y%3Fpassword%3Dhunter2%26z%3D1&y=1", stays=("y=1",)),
    Sample("GET /x?j=%7B%22password%22%3A%22hunter2%22%7D&y=1", stays=("y=1",)),
    Sample("secret=ab)hunter2"),
    Sample("secret=ab;hunter2"),
    Sample("secret=ab'hunter2"),
    Sample("secret=ab&hunter2"),
    Sample('secret=ab"hunter2'),
    Sample("secret=ab]hunter2,hunter2}hunter2>hunter2"),
    Sample("failed (secret=hunter2) for bob", stays=("for bob",)),
    Sample("'password=hunter2', 'user=bob'", stays=("user=bob",)),
    Sample('{"msg":"password=hunter2","user":"bob"}', stays=("bob",)),
    # addresses
    Sample("postgresql://bob:hunter2@host/db failed", stays=("bob", "host/db failed")),
    Sample("postgresql://bob:a/hunter2@b:c#d@host/db", ("a/", SECRET, "b:c", "#d"), ("bob", "host/db")),
    Sample("mysql://bob@corp:hunter2@host/db", stays=("host/db",)),
    Sample("redis://:hunter2@h1:6379/0,redis://:hunter2@h2:6379/0", stays=("h1:6379/0", "h2:6379/0")),
    Sample("http://hunter2:x-oauth-basic@host/a", stays=("host/a",)),
    Sample("http://hunter2@host/a", stays=("host/a",)),
    Sample("https://hunter2:@host/a", stays=("host/a",)),
    Sample("http://bob:hunter2@host/a", stays=("bob", "host/a")),
    Sample("http://bob:hun/ter2@host/a", ("hun", "ter2"), ("bob", "host/a")),
    Sample(f"https://{'9aF0' * 8}@sentry.example/1", ("9aF0",), ("sentry.example/1",)),
    Sample("/x?next=postgresql%3A%2F%2Fbob%3Ahunter2%40host%2Fdb", stays=("bob", "host")),
    Sample('{"url": "https:\\/\\/bob:hunter2@host\\/a"}', stays=("bob", "host")),
    # SQL
    Sample("ALTER ROLE app1 PASSWORD 'hunter2'", stays=("ALTER ROLE app1",)),
    Sample("CREATE USER bob IDENTIFIED BY 'hunter2'", stays=("CREATE USER bob",)),
    Sample("SET PASSWORD FOR bob = 'hunter2'", stays=("SET PASSWORD",)),
    Sample("SET PASSWORD FOR bob = PASSWORD('hunter2')", stays=("SET PASSWORD",)),
    Sample("SELECT a FROM t WHERE password = 'hun''ter2' AND b = 1", ("hun", "ter2"), ("AND b = 1",)),
    Sample("Filter: ((password)::text = 'hunter2'::text)", stays=("Filter", "::text)")),
    Sample("SELECT a FROM t WHERE password LIKE 'hunter2' AND b", stays=("AND b",)),
    Sample("[SQL: X]\n[parameters: ('a] b', 'hunter2')]\n(more)", stays=("[SQL: X]", "(more)")),
    Sample("[SQL: X]\n[parameters: ('hunter2', 'hunt", (SECRET, "hunt"), ("[SQL: X]",)),
    Sample("parameters: {'password_1': 'hunter2', 'user': 'bob'}", stays=("bob",)),
    # what servers quote
    Sample("Command # 1 (SET k hunter2) hunter2) of pipeline caused error: x", stays=("caused error: x",)),
    Sample("unknown command 'JSON.SET', with args beginning with: 'user:7' '$' 'hunter2' ", stays=("JSON.SET",)),
    Sample("DETAIL:  Key (email)=(hunter2@x) already exists.", stays=("Key (email)", "already exists.")),
    Sample(
        'null value in column "a"\nDETAIL:  Failing row contains (1, hunter2, null).',
        stays=("Failing row", 'column "a"'),
    ),
    Sample('invalid input syntax for type integer: "hunter2"', stays=("type integer",)),
    Sample('invalid input value for enum mood: "hunter2"', stays=("enum mood",)),
    Sample('value "hunter2" is out of range for type integer', stays=("out of range",)),
    Sample("(1062, \"Duplicate entry 'hunter2' for key 't.email'\")", stays=("t.email",)),
    Sample("Incorrect integer value: 'hunter2' for column 'a' at row 1", stays=("for column 'a'",)),
]

HARMLESS = [
    "",
    "The secret of success is work",
    "The secret of success: work",
    "token bucket: 5 left",
    "author=bob keyboard: us monkey=1 tokenize=true",
    "max_tokens=100, prompt_tokens: 12, 'tokens': 7",
    "sort_key=name primary_key=id foreign_key: a key=1 cache_key='a:b'",
    "passwordless=1 secretary: Ann compass=north bypass: yes passed=3 pass: 3",
    "password_reset_url=/reset password_min_length=8 token_type=bearer token_url: /t",
    "password=None token=null 'secret': None, cookie_name=a",
    "http://host:8080/path@x http://[::1]:80/a@b https://host/?a=1&b=2",
    "at 12:30 and 12:30:15.5 from ::1 and fe80::1%eth0, 10.0.0.1:80",
    "ssh://git@host/repo mailto:bob@host postgresql://bob@host:5432/db?a=b@c",
    "{'a': 1, 'b': [1, 2, ('x', 'y')], 'c': {'d': \"it's\"}}",
    '{"event": "paid", "total": 99.5, "items": [{"id": 1, "name": "bread"}]}',
    'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    token = request.headers["X"]\nValueError: x',
    "GET /x?a=%C3%A9%20b&c=%2F HTTP/1.1",
    "<b>bold</b> if token > 5 and x < 3",
    "docker run -u 1000:1000 app --verbose -p 80:80",
    "signal: 9, design: new, assigned=bob, significant: yes",
    "bearer of news, basic authentication, Bearer token missing",
    "Session: 5 open, session_id: 7, process: 12",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "SELECT id, password FROM users WHERE id IN (1, 2)",
    "columns ('id', 'password', 'name') and [\"a\", \"secret\", \"b\"]",
    "invalid literal for int() with base 10: 'x'",
    "no value for key 'a': \"b\" (line 12, column 3)",
]
