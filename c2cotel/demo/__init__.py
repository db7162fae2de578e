"""What `c2cotel demo` runs: a real application, receivers for all that it sends, and what they got in plain sentences.

`run` holds all of it together; `application` is what the application's processes import, and nobody else does.
"""

DATABASE = "C2COTEL_DEMO_DATABASE"
"""Environment variable that tells the application's processes the SQLite file they share."""
